// Package nsq is the aggregator that consumes a channel of NSQ.
//
// A message passes through three parts. A pool (pool.go) keeps a connection (conn.go) to each nsqd.
// The connection hands over what arrives, in order. A flow (flow.go) holds every message from its
// arrival until its outcome is known. The aggregator (this file) delivers the flow's batches to the
// host and answers nsqd as their receipts resolve. Apart from that, and only when asked, nsqd's
// HTTP side says what waits (stats.go).
//
// No message is acknowledged before the host has said that it is stored.
package nsq

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

const (
	// maxBatchMessages and maxBatchBytes bound a batch. The bytes stay below gRPC's largest buffers
	// (1 MiB). The host makes its batches of these, and each batch costs the storage: with half as
	// many messages Redis works a fifth more. The messages are half of those in flight, so that one
	// batch arrives while another is stored. A larger message still goes, alone.
	maxBatchMessages = 1250
	maxBatchBytes    = 1000 << 10

	// maxHeldBytes bounds how many bytes may be held before nsqd is told to pause: max-in-flight
	// bounds only the number of messages.
	maxHeldBytes = 64 << 20

	// requeueStep and maxRequeueDelay pace the redelivery of messages that could not be stored: the
	// delay grows with a message's attempts.
	requeueStep     = 100 * time.Millisecond
	maxRequeueDelay = 5 * time.Second

	// touchParts and touchAge are in parts of the message timeout. They say how often waiting
	// messages are looked at, and how long one waits before it is touched. So a message is touched
	// when a third to a half of its time is gone.
	touchParts = 6
	touchAge   = 3

	// closeTimeout bounds each step of closing a connection whose nsqd does not answer.
	closeTimeout = 300 * time.Millisecond

	// abandonAfter bounds how long a delivery may still block when the host takes no more.
	abandonAfter = 50 * time.Millisecond
)

// Open checks the settings. Run makes the connections.
func Open(_ context.Context, s Settings, host sdk.Host) (sdk.Aggregator, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	logger := host.Logger
	if logger == nil {
		logger = hclog.NewNullLogger()
	}
	p, err := newPool(&s, logger)
	if err != nil {
		return nil, err
	}
	s.warn(logger)
	p.measured.measure(p)
	return &aggregator{
		measured: p.measured,
		settings: s,
		logger:   logger,
		pool:     p,
		stats:    newStats(s.Topic, s.Channel),
		failures: limiter{every: logInterval},
	}, nil
}

// aggregator implements [sdk.Aggregator], [sdk.Checker], [sdk.Exposer] and [sdk.QueueLister].
type aggregator struct {
	*measured

	settings Settings
	logger   hclog.Logger
	pool     *pool
	stats    *stats
	failures limiter
}

var (
	_ sdk.Aggregator = (*aggregator)(nil)
	_ sdk.Checker    = (*aggregator)(nil)
	_ sdk.Exposer    = (*aggregator)(nil)

	_ sdk.QueueLister = (*aggregator)(nil)
)

// Check implements [sdk.Checker].
func (a *aggregator) Check(context.Context) error { return a.pool.check() }

// Queues implements [sdk.QueueLister]: each nsqd is a queue. It returns none if no nsqd is to be
// asked.
func (a *aggregator) Queues(ctx context.Context) ([]sdk.QueueInfo, error) {
	if a.settings.HTTP == 0 {
		return nil, nil
	}
	return a.stats.ask(ctx, a.pool.sources()), nil
}

// Run implements [sdk.Aggregator]. It always returns nil: that an nsqd is away is no error.
//
// When ctx ends, Run tells nsqd to send no more, and delivers and settles what has arrived as
// before: if it went back, it would come again after newer messages. The host ends that with a
// receipt that fails with [sdk.ErrStopping], or with an error of deliver. What is left then goes
// back to nsqd, in order. Run does not wait for a delivery that hangs.
func (a *aggregator) Run(ctx context.Context, deliver sdk.Deliver) error {
	f := newFlow(limits{
		handlers:      a.settings.Handlers,
		batchMessages: maxBatchMessages,
		batchBytes:    maxBatchBytes,
		inFlight:      a.settings.MaxInFlight,
		heldBytes:     maxHeldBytes,
	})
	settled, allSettled := context.WithCancel(context.WithoutCancel(ctx))
	defer allSettled()
	paused := make(chan struct{})

	var parts sync.WaitGroup
	parts.Go(func() {
		a.pool.run(ctx, f, closeTimeout) // pauses nsqd as it returns
		f.drain()
		close(paused)
	})
	parts.Go(func() { keepAlive(settled, f, a.settings.MessageTimeout) })
	left := a.work(ctx, f, deliver)
	<-paused // else nsqd would send us again what it gets back
	a.giveBack(left, 0)
	a.giveBack(f.stop(), 0)
	allSettled()
	parts.Wait()
	a.pool.close(closeTimeout)
	return nil
}

// work delivers and settles what the flow has, until ctx has ended and then either nothing is held
// or the host accepts no more. It returns the messages that were delivered and now have to go back
// to nsqd.
func (a *aggregator) work(ctx context.Context, f *flow, deliver sdk.Deliver) (left []held) {
	accepting, refused := context.WithCancel(context.WithoutCancel(ctx))
	defer refused()
	delivered := make(chan *batch, min(a.settings.Handlers, a.settings.MaxInFlight))
	abandoned := make(chan struct{})
	go func() { // ends when deliver does, at the latest when the host ends the run
		for b := f.next(accepting); b != nil; b = f.next(accepting) {
			receipt, err := deliver(accepting, b.messages())
			b.giveBack()
			if err != nil {
				if ctx.Err() != nil {
					refused()
				}
				receipt = sdk.NewReceipt()
				receipt.Resolve(err)
			}
			b.receipt = receipt
			select {
			case delivered <- b:
			case <-abandoned:
				return
			}
		}
		close(delivered)
	}()
	late := make(chan struct{})
	defer context.AfterFunc(accepting, func() { time.AfterFunc(abandonAfter, func() { close(late) }) })()
	for {
		var b *batch
		select {
		case b = <-delivered:
		case <-late:
			select {
			case b = <-delivered: // the choice between two is random
			default:
				// A delivery hangs. Its outcome is unknown, so the flow gives its messages back.
				close(abandoned)
				return left
			}
		}
		if b == nil {
			return left
		}
		<-b.receipt.Done()
		if ctx.Err() != nil && errors.Is(b.receipt.Err(), sdk.ErrStopping) {
			refused()
		}
		left = append(left, a.settle(ctx, f, b)...)
	}
}

// settle tells nsqd the outcome of a batch whose receipt has resolved. It returns messages to be
// given back once nsqd sends no more.
func (a *aggregator) settle(ctx context.Context, f *flow, b *batch) (left []held) {
	err := b.receipt.Err()
	messages := f.settle(b, err == nil)
	switch {
	case err == nil:
		a.finished.Add(float64(len(messages)))
		finish(messages)
	case ctx.Err() != nil:
		return messages // another consumer can have them at once, but we do not want them
	default:
		if n, ok := a.failures.allow(time.Now()); ok {
			a.logger.Warn("messages not stored: given back to nsqd", "messages", len(messages),
				"error", err, "lines_left_out", n)
		}
		a.giveBack(messages, requeueStep)
	}
	f.recycle(b)
	a.pool.regulate()
	return nil
}

// giveBack requeues messages and counts them.
func (a *aggregator) giveBack(messages []held, step time.Duration) {
	a.requeued.Add(float64(len(messages)))
	requeue(messages, step)
}

// keepAlive touches the messages that wait, until ctx ends.
func keepAlive(ctx context.Context, f *flow, timeout time.Duration) {
	ticker := time.NewTicker(timeout / touchParts)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			touch(f.due(now, timeout/touchAge))
		}
	}
}

// finish, requeue and touch answer nsqd.

func finish(messages []held) {
	answer(messages, func(b []byte, h *held) []byte { return appendFinish(b, &h.id) })
}

// requeue gives messages back, each after step for every attempt it has had.
func requeue(messages []held, step time.Duration) {
	answer(messages, func(b []byte, h *held) []byte {
		return appendRequeue(b, &h.id, min(step*time.Duration(h.latest), maxRequeueDelay))
	})
}

func touch(messages []held) {
	answer(messages, func(b []byte, h *held) []byte { return appendTouch(b, &h.id) })
}
