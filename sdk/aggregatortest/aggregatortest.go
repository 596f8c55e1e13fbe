// Package aggregatortest is the conformance suite of [sdk.Aggregator]: every obligation that the
// contract states, as a subtest. An aggregator's author writes a [Transport], a small fixture over
// the queue that the aggregator consumes, and runs the suite in three ways: directly ([Run]), over
// gRPC in the same process ([RunRemote]), and against the executable that an operator installs
// ([RunExecutable]), which may be written in any language. [Check] does the last without go test.
package aggregatortest

import (
	"context"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/plugintest"
)

// Transport is the author's fixture: the queue behind an aggregator.
type Transport interface {
	// Publish gives the queue messages, in order. It returns once it has them.
	Publish(payloads ...[]byte) error
	// Outstanding counts the messages that the queue has and that are not acknowledged, whether
	// they wait or are handed out. The count has to be right while no message moves. While
	// messages move it may be wrong, for instance because the queue counts waiting and handed-out
	// messages one after the other: the suite asks again.
	Outstanding() (int, error)
}

// Breakable is a [Transport] that an aggregator can be cut off from. If a transport is
// not Breakable, leave out the check TransportAway, with [plugintest.Without].
type Breakable interface {
	// Break ends the aggregator's connections and lets no other in. What was published
	// stays.
	Break() error
	// Mend undoes Break.
	Mend() error
}

// Texts is a [Transport] of messages that are no records, such as syslog's. The aggregator makes a
// record of each. The suite publishes a text, in UTF-8, and expects it back from the record.
type Texts interface {
	// Text returns the text of a record that the aggregator delivered, byte by byte.
	Text(payload []byte) ([]byte, error)
}

// Open makes an empty transport for one subtest. It also returns a function that makes an
// aggregator on that transport. Some checks make several aggregators, one after the other. Open
// registers what the transport and the aggregators have to close with t.Cleanup.
type Open func(t *testing.T) (Transport, func(t *testing.T) sdk.Aggregator)

// patience bounds how long something that must happen may take. [waits] bounds the time that a
// whole run waits in vain.
const patience = 30 * time.Second

const (
	// stopPatience bounds how long a stop may take once nothing is owed.
	stopPatience = 3 * time.Second
	// settle is how long a check waits to see that something does not happen.
	settle = 300 * time.Millisecond
)

// grace is how long a remote aggregator has to finish; the suite stays below it.
const grace = 5 * time.Second

// Run checks the aggregators that open makes. If they are no [sdk.QueueLister], leave out the check
// Queues, with [plugintest.Without].
func Run(t *testing.T, open Open, opts ...plugintest.Option) {
	t.Helper()
	plugintest.Run(t, checks(&waits{}, func(t plugintest.T) (Transport, func() sdk.Aggregator) {
		transport, aggregator := open(t.(*testing.T))
		return transport, func() sdk.Aggregator { return aggregator(t.(*testing.T)) }
	}), opts...)
}

// RunRemote does what [Run] does, with the wire in between: the aggregator runs over gRPC, in the
// same process.
func RunRemote(t *testing.T, open Open, opts ...plugintest.Option) {
	t.Helper()
	Run(t, func(t *testing.T) (Transport, func(t *testing.T) sdk.Aggregator) {
		transport, aggregator := open(t)
		return transport, func(t *testing.T) sdk.Aggregator { return serve(t, aggregator(t)) }
	}, opts...)
}

// serve puts the wire between a check and the aggregator.
func serve(t plugintest.T, a sdk.Aggregator) sdk.Aggregator {
	t.Helper()
	remote := sdk.NewRemoteAggregator(plugintest.Serve(t, func(s *grpc.Server) { sdk.RegisterAggregator(s, a) }), grace)
	if c, ok := a.(sdk.Checker); ok {
		return checked{remote, c}
	}
	return remote
}

// checked wraps a remote aggregator, and adds the Check of its process.
type checked struct {
	*sdk.RemoteAggregator
	sdk.Checker
}

// checks returns the suite. Open makes a transport, and returns a function that makes an
// aggregator.
func checks(waits *waits, open func(plugintest.T) (Transport, func() sdk.Aggregator)) (all []plugintest.Check) {
	for _, c := range []struct {
		name  string
		check func(*subject)
	}{
		{"Order", order},
		{"Payload", payload},
		{"Records", records},
		{"OneAtATime", oneAtATime},
		{"AcknowledgesAfterReceipt", acknowledgesAfterReceipt},
		{"AcknowledgesWhatIsStored", acknowledgesWhatIsStored},
		{"ReceiptsLate", receiptsLate},
		{"GivesBackFailed", givesBackFailed},
		{"Redelivery", redelivery},
		{"DeliverFails", deliverFails},
		{"Backpressure", backpressure},
		{"StopIdle", stopIdle},
		{"StopBeforeStart", stopBeforeStart},
		{"StopNothingNew", stopNothingNew},
		{"StopWaits", stopWaits},
		{"StopGivesBack", stopGivesBack},
		{"StopBlocked", stopBlocked},
		{"TransportAway", transportAway},
		{"Check", check},
		{"Queues", queues},
	} {
		all = append(all, plugintest.Check{Name: c.name, Run: func(t plugintest.T) {
			transport, aggregator := open(t)
			s := &subject{T: t, transport: transport, open: aggregator, waits: waits}
			c.check(s)
		}})
	}
	return all
}

// subject holds one transport, and the aggregators that a check runs on it.
type subject struct {
	plugintest.T
	transport Transport
	open      func() sdk.Aggregator
	waits     *waits
}

// consumer holds one aggregator that consumes the transport.
type consumer struct {
	s          *subject
	aggregator sdk.Aggregator
	host       *host
	cancel     context.CancelFunc
	ended      chan struct{} // closed when Run returned
	err        error         // set before ended closes
}

// start runs an aggregator into the host until the check is over.
func (s *subject) start(h *host) *consumer {
	s.Helper()
	// The check's own context would end too soon: what is owed then is given back in order.
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.Context()))
	if texts, ok := s.transport.(Texts); ok {
		h.text = texts.Text
	}
	c := &consumer{s: s, aggregator: s.open(), host: h, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		c.err = c.aggregator.Run(ctx, h.deliver)
	}()
	s.Cleanup(func() {
		cancel()
		h.stop() // as a host does when its stop timeout is over
		if waited := c.awaitEnd(grace + stopPatience); waited > 0 {
			s.Errorf("Run did not return within %s after the stop", waited)
		}
		for _, problem := range h.problems() {
			s.Error(problem)
		}
	})
	return c
}

func (c *consumer) endsWithin(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-c.ended:
		return true
	case <-t.C:
		return false
	}
}

// awaitEnd waits up to d for Run to return. It returns how long it waited in vain, or 0.
func (c *consumer) awaitEnd(d time.Duration) time.Duration {
	d = c.s.waits.patience(d)
	if c.endsWithin(d) {
		return 0
	}
	c.s.waits.spent(d)
	return d
}

// stopped ends the context, if nobody has, and expects Run to return nil soon.
func (c *consumer) stopped() {
	c.s.Helper()
	c.cancel()
	if waited := c.awaitEnd(stopPatience); waited > 0 {
		c.s.Fatalf("Run did not return within %s of the stop, and is owed no receipt", waited)
	}
	if c.err != nil {
		c.s.Errorf("Run returned %v after a stop, want nil", c.err)
	}
}

// carries reports whether the transport can carry these bytes.
func (s *subject) carries(payload []byte) bool {
	_, texts := s.transport.(Texts)
	return !texts || utf8.Valid(payload)
}

// publish gives the transport messages.
func (s *subject) publish(payloads ...[]byte) {
	s.Helper()
	if err := s.transport.Publish(payloads...); err != nil {
		s.Fatalf("Publish: %v", err)
	}
}

// eventually polls until ok.
func (s *subject) eventually(what string, ok func() bool) {
	s.Helper()
	if waited := s.waits.poll(ok); waited > 0 {
		s.Fatalf("not within %s: %s (%d messages outstanding)", waited, what, s.outstanding())
	}
}

// holds polls ok for settle, and expects it to stay true.
func (s *subject) holds(what string, ok func() bool) {
	s.Helper()
	for deadline := time.Now().Add(settle); time.Now().Before(deadline); {
		if !ok() {
			s.Fatalf("no more: %s (%d messages outstanding)", what, s.outstanding())
		}
		time.Sleep(5 * time.Millisecond)
	}
}
