package nsq

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

// running controls a plugin under way: unlike start, it lets a test step through the stop and the
// host's grace.
type running struct {
	t     *testing.T
	stop  context.CancelFunc
	ended chan struct{}
	err   error // Run's error, once ended is closed
}

func run(t *testing.T, a sdk.Aggregator, deliver sdk.Deliver) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, stop: cancel, ended: make(chan struct{})}
	go func() {
		defer close(r.ended)
		r.err = a.Run(ctx, deliver)
	}()
	t.Cleanup(cancel)
	return r
}

// wait waits for Run to return without an error.
func (r *running) wait() {
	r.t.Helper()
	select {
	case <-r.ended:
		if r.err != nil {
			r.t.Errorf("stop: %v", r.err)
		}
	case <-time.After(testwait.Patience):
		r.t.Fatal("the plugin does not stop")
	}
}

func wantPaused(t *testing.T, s *nsqtest.Server) {
	t.Helper()
	testwait.Until(t, "nsqd is told to send no more", func() bool {
		clients := s.Channel(topic, channel).Clients
		return len(clients) == 1 && clients[0].Ready == 0
	})
}

func TestStopDeliversWhatHasArrived(t *testing.T) {
	const held, all = 100, 150
	s := nsqtest.Start(t, inMemory)
	s.CreateChannel(topic, channel)
	h := &fakeHost{}
	h.hold()
	r := run(t, open(t, s.TCPAddr(), map[string]string{"NSQ_MAX_IN_FLIGHT": fmt.Sprint(held)}), h.deliver)
	s.Publish(topic, numbered(0, 1, 0)...)
	testwait.Until(t, "the first is delivered", func() bool { return h.count() == 1 })
	s.Publish(topic, numbered(1, all-1, 0)...) // stays pending
	testwait.Until(t, "the plugin has all it may", inFlight(s, held))
	r.stop()
	wantPaused(t, s)
	h.release(nil) // within the grace
	r.wait()
	wantOnceInOrder(t, h, held)
	if c := s.Channel(topic, channel); c.Depth != all-held || c.InFlight != 0 || c.Requeued != 0 {
		t.Errorf("after the stop %d wait, %d are in flight, %d were given back: want %d, 0, 0",
			c.Depth, c.InFlight, c.Requeued, all-held)
	}
	start(t, open(t, s.TCPAddr(), nil), h)
	testwait.Until(t, "another consumer has the rest", func() bool { return h.count() == all })
	wantOnceInOrder(t, h, all)
}

func TestStopEndsWithTheGrace(t *testing.T) {
	t.Parallel()
	const n = 100
	stopping := fmt.Errorf("the grace is over: %w", sdk.ErrStopping)
	for name, over := range map[string]func(*fakeHost){
		"a receipt fails": func(h *fakeHost) { h.release(stopping) },
		"deliver fails": func(h *fakeHost) {
			second := h.deliveries()[1]
			h.mu.Lock()
			h.refuse = func(int) error { return stopping }
			h.mu.Unlock()
			second.receipt.Resolve(nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := nsqtest.Start(t, inMemory)
			s.CreateChannel(topic, channel)
			h := &fakeHost{}
			h.hold()
			r := run(t, open(t, s.TCPAddr(), nil), h.deliver)
			s.Publish(topic, numbered(0, 1, 0)...)
			testwait.Until(t, "the first is delivered", func() bool { return h.count() == 1 })
			// More than two batches: a batch has 768 KiB.
			s.Publish(topic, numbered(1, n-1, 40<<10)...)
			testwait.Until(t, "all are with the plugin", inFlight(s, n))
			testwait.Until(t, "batches are under way", func() bool { return len(h.deliveries()) > 2 })
			h.deliveries()[0].receipt.Resolve(nil)
			r.stop()
			wantPaused(t, s) // otherwise nsqd would send at once what is given back
			over(h)
			testwait.Until(t, "nothing more is delivered", func() bool {
				h.release(stopping) // what is under way meanwhile
				select {
				case <-r.ended:
					return true
				default:
					return false
				}
			})
			r.wait()
			stored := 0
			for _, d := range h.deliveries() {
				if d.receipt.Err() == nil {
					stored += len(d.messages)
				}
			}
			c := s.Channel(topic, channel)
			if c.InFlight != 0 || c.Deferred != 0 || c.Depth != int64(n-stored) {
				t.Errorf("after the stop %d wait, %d are in flight, %d deferred: want %d, 0, 0",
					c.Depth, c.InFlight, c.Deferred, n-stored)
			}
			next := &fakeHost{}
			start(t, open(t, s.TCPAddr(), nil), next)
			testwait.Until(t, "another consumer has the rest", func() bool { return next.count() == n-stored })
			for i, m := range next.messages() {
				if got := number(t, m); got != stored+i {
					t.Fatalf("message %d of the rest is number %d, want %d", i, got, stored+i)
				}
			}
		})
	}
}

// TestRollingRestartKeepsOrder hands a stream from consumer to consumer.
func TestRollingRestartKeepsOrder(t *testing.T) {
	const n, consumers = 40_000, 8
	s := nsqtest.Start(t, inMemory)
	s.CreateChannel(topic, channel)
	s.Publish(topic, numbered(0, n, 200)...)
	h := &fakeHost{}
	var got atomic.Int64
	for i := 1; i <= consumers; i++ {
		goal := int64(i * n / consumers / 2) // may be reached already: a stop delivers what has arrived
		r := run(t, open(t, s.TCPAddr(), nil), func(ctx context.Context, messages []sdk.Message) (*sdk.Receipt, error) {
			receipt, err := h.deliver(ctx, messages)
			got.Add(int64(len(messages)))
			return receipt, err
		})
		testwait.Until(t, fmt.Sprintf("consumer %d delivers up to %d", i, goal), func() bool { return got.Load() >= goal })
		r.stop()
		r.wait()
	}
	start(t, open(t, s.TCPAddr(), nil), h)
	wantEmpty(t, s)
	wantOnceInOrder(t, h, n)
	if c := s.Channel(topic, channel); c.Requeued != 0 {
		t.Errorf("%d were given back", c.Requeued)
	}
}

// TestStopWithoutGraceGetsNothingBack has a host that accepts no more from the stop on. nsqd has to
// know that before it gets messages back, or it would send them again.
func TestStopWithoutGraceGetsNothingBack(t *testing.T) {
	const n = 500
	s := nsqtest.Start(t, inMemory)
	s.CreateChannel(topic, channel)
	h := &fakeHost{}
	h.hold()
	a := open(t, s.TCPAddr(), nil)
	r := run(t, a, h.deliver)
	s.Publish(topic, numbered(0, n, 2000)...)
	testwait.Until(t, "all are with the plugin", inFlight(s, n))
	testwait.Until(t, "delivered", func() bool { return h.count() > 0 })
	a.pool.readyMu.Lock() // delays the pause
	r.stop()
	h.release(fmt.Errorf("no grace: %w", sdk.ErrStopping))
	begin := time.Now()
	testwait.Until(t, "there was time to give back too early", func() bool { return time.Since(begin) > 100*time.Millisecond })
	if c := s.Channel(topic, channel); c.Requeued != 0 {
		t.Errorf("%d were given back before nsqd was told to send no more", c.Requeued)
	}
	a.pool.readyMu.Unlock()
	r.wait()
	if c := s.Channel(topic, channel); c.InFlight != 0 || c.Depth != n || c.Requeued != n {
		t.Errorf("%d wait, %d are in flight, %d were given back: want %d, 0, %[4]d", c.Depth, c.InFlight, c.Requeued, n)
	}
	next := &fakeHost{}
	start(t, open(t, s.TCPAddr(), nil), next)
	testwait.Until(t, "another consumer has all", func() bool { return next.count() == n })
	for _, m := range next.messages() {
		if m.Attempts != 2 {
			t.Fatalf("attempt %d: it came to the first consumer again", m.Attempts)
		}
	}
	wantOnceInOrder(t, next, n)
}

// TestStopDoesNotWaitForADeliveryThatHangs has a host that reads no more, so deliver blocks
// whatever its context does.
func TestStopDoesNotWaitForADeliveryThatHangs(t *testing.T) {
	const n, tooLong = 100, 5 * time.Second
	s := nsqtest.Start(t, inMemory)
	s.CreateChannel(topic, channel)
	h := &fakeHost{}
	h.hold()
	hangs, goOn := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(goOn) })
	var calls atomic.Int32
	r := run(t, open(t, s.TCPAddr(), nil), func(ctx context.Context, messages []sdk.Message) (*sdk.Receipt, error) {
		if calls.Add(1) == 2 {
			close(hangs)
			<-goOn
		}
		return h.deliver(ctx, messages)
	})
	s.Publish(topic, numbered(0, 1, 0)...)
	testwait.Until(t, "the first is delivered", func() bool { return h.count() == 1 })
	s.Publish(topic, numbered(1, n-1, 40<<10)...)
	<-hangs
	testwait.Until(t, "all are with the plugin", inFlight(s, n))
	r.stop()
	begin := time.Now()
	h.release(fmt.Errorf("the grace is over: %w", sdk.ErrStopping))
	r.wait()
	if took := time.Since(begin); took > tooLong {
		t.Errorf("the stop took %s", took)
	}
	if c := s.Channel(topic, channel); c.InFlight != 0 || c.Depth != n {
		t.Errorf("%d wait, %d are in flight: want %d, 0", c.Depth, c.InFlight, n)
	}
}
