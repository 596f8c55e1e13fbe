// Package nsq is the aggregator that consumes a channel of NSQ.
//
// A message walks through three parts. A link (link.go) keeps the connection to
// nsqd and hands over what arrives, in order. A flow (flow.go) holds every message
// from its arrival until nsqd has its FIN or REQ. The aggregator (this file)
// delivers the flow's batches to the host and settles them as their receipts
// resolve.
//
// Nothing is acknowledged before the host said that it is stored.
package nsq

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	gonsq "github.com/nsqio/go-nsq"

	"github.com/deis/logger/sdk"
)

const (
	// maxBatchMessages and maxBatchBytes bound a batch. The bytes are where gRPC is
	// at its best short of its next size of buffer, which it clears as a whole; one
	// larger message still goes, alone.
	maxBatchMessages = 1000
	maxBatchBytes    = 200 << 10

	// maxHeldBytes is when nsqd is told to pause: max-in-flight bounds the number of
	// messages held, not their size.
	maxHeldBytes = 64 << 20

	// requeueStep and maxRequeueDelay pace the redelivery of what could not be
	// stored: a delay that grows with the message's attempts.
	requeueStep     = 100 * time.Millisecond
	maxRequeueDelay = 5 * time.Second

	// touchParts and touchAge are parts of the message timeout: how often waiting
	// messages are looked at, and how long one waits before it is touched. So a
	// message is touched when a third to a half of its time is gone.
	touchParts = 6
	touchAge   = 3

	// closeTimeout bounds the end of a connection whose nsqd does not answer.
	closeTimeout = 300 * time.Millisecond

	// straggle is how long a message may take behind nsqd's good-bye.
	straggle = 10 * time.Millisecond
)

// Open checks the settings. The connection is Run's to make, and to keep.
func Open(_ context.Context, s Settings, host sdk.Host) (sdk.Aggregator, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	logger := host.Logger
	if logger == nil {
		logger = hclog.NewNullLogger()
	}
	return &aggregator{
		settings: s,
		logger:   logger,
		link:     newLink(s, logger),
		failures: limiter{every: logInterval},
	}, nil
}

// aggregator implements [sdk.Aggregator] and [sdk.Checker].
type aggregator struct {
	settings Settings
	logger   hclog.Logger
	link     *link
	failures limiter
}

var (
	_ sdk.Aggregator = (*aggregator)(nil)
	_ sdk.Checker    = (*aggregator)(nil)
)

// Check implements [sdk.Checker].
func (a *aggregator) Check(context.Context) error { return a.link.check() }

// Run implements [sdk.Aggregator]. It always returns nil; an nsqd that is away is no
// error.
//
// When ctx ends, nsqd is told to send no more, and what has arrived is delivered and
// settled as before: given back, it would come again behind newer messages. The host
// puts an end to that with a receipt that fails with [sdk.ErrStopping] or an error of
// deliver. What is left then goes back to nsqd, in order.
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

	var parts sync.WaitGroup
	parts.Go(func() {
		a.link.run(ctx, f) // pauses nsqd as it returns
		f.drain()
	})
	parts.Go(func() { keepAlive(settled, f, a.settings.MessageTimeout) })
	if a.work(ctx, f, deliver) {
		a.link.farewell(closeTimeout)
		a.work(ctx, f, deliver) // what nsqd had sent before it heard of the pause
	}
	requeue(f.stop(), 0)
	allSettled()
	parts.Wait()
	a.link.close(closeTimeout)
	return nil
}

// work delivers and settles what the flow has, until ctx has ended and then either
// nothing is held or the host accepts no more. It says whether the host still does.
// All that it delivered is settled when it returns.
func (a *aggregator) work(ctx context.Context, f *flow, deliver sdk.Deliver) (accepted bool) {
	accepting, refused := context.WithCancel(context.WithoutCancel(ctx))
	defer refused()
	delivered := make(chan *batch, min(a.settings.Handlers, a.settings.MaxInFlight))
	var settling sync.WaitGroup
	settling.Go(func() {
		for b := range delivered {
			<-b.receipt.Done()
			if ctx.Err() != nil && errors.Is(b.receipt.Err(), sdk.ErrStopping) {
				refused()
			}
			a.settle(ctx, f, b)
		}
	})
	for b := f.next(accepting); b != nil; b = f.next(accepting) {
		receipt, err := deliver(accepting, b.messages())
		if err != nil {
			if ctx.Err() != nil {
				refused()
			}
			receipt = sdk.NewReceipt()
			receipt.Resolve(err)
		}
		b.receipt = receipt
		delivered <- b
	}
	close(delivered)
	settling.Wait()
	return accepting.Err() == nil
}

// settle tells nsqd the outcome of a batch whose receipt has resolved.
func (a *aggregator) settle(ctx context.Context, f *flow, b *batch) {
	err := b.receipt.Err()
	messages := f.settle(b, err == nil)
	a.link.regulate(f)
	switch {
	case err == nil:
		finish(messages)
	case ctx.Err() != nil || errors.Is(err, sdk.ErrStopping):
		requeue(messages, 0) // another consumer can have them at once
	default:
		if n, ok := a.failures.allow(time.Now()); ok {
			a.logger.Warn("messages not stored: given back to nsqd", "messages", len(messages),
				"error", err, "lines_left_out", n)
		}
		requeue(messages, requeueStep)
	}
}

// keepAlive touches what waits, until ctx ends.
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

// finish, requeue and touch answer nsqd. Each message is answered by one of the
// first two exactly once: its connection counts them, and ends only at zero.

func finish(messages []*gonsq.Message) {
	for _, m := range messages {
		m.Finish()
	}
}

// requeue gives messages back, each after step for every attempt it has had.
func requeue(messages []*gonsq.Message, step time.Duration) {
	for _, m := range messages {
		m.RequeueWithoutBackoff(min(step*time.Duration(m.Attempts), maxRequeueDelay))
	}
}

func touch(messages []*gonsq.Message) {
	for _, m := range messages {
		m.Touch()
	}
}
