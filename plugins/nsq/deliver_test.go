package nsq

import (
	"fmt"
	"testing"
	"time"

	"github.com/nsqio/nsq/nsqd"

	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

func inMemory(o *nsqd.Options) { o.MemQueueSize = 200_000 }

func TestKeepsOrderUnderLoad(t *testing.T) {
	const n = 50_000
	s := nsqtest.Start(t, inMemory)
	s.CreateChannel(topic, channel)
	h := &fakeHost{}
	start(t, open(t, s.TCPAddr(), nil), h)
	for i := 0; i < n; i += 1000 { // waiting messages mix with new ones
		s.Publish(topic, numbered(i, 1000, 200)...)
	}
	testwait.Until(t, "all delivered", func() bool { return h.count() >= n })
	wantOnceInOrder(t, h, n)
	wantEmpty(t, s)
	for _, d := range h.deliveries() {
		if len(d.messages) > maxBatchMessages {
			t.Fatalf("a batch of %d messages", len(d.messages))
		}
	}
}

func TestMessageCarriesWhatNSQKnows(t *testing.T) {
	s := nsqtest.Start(t)
	h := &fakeHost{}
	start(t, open(t, s.TCPAddr(), nil), h)
	before := time.Now()
	s.Publish(topic, []byte("line"))
	testwait.Until(t, "delivered", func() bool { return h.count() == 1 })
	m := h.messages()[0]
	if string(m.Payload) != "line" || len(m.ID) != 16 || m.Attempts != 1 {
		t.Errorf("message: %+v", m)
	}
	if m.Published.Before(before) || m.Published.After(time.Now()) {
		t.Errorf("published %s, want between %s and now", m.Published, before)
	}
}

func TestIdleDeliversALoneMessageAtOnce(t *testing.T) {
	s := nsqtest.Start(t)
	h := &fakeHost{}
	start(t, open(t, s.TCPAddr(), nil), h)
	for i := range 20 {
		s.Publish(topic, numbered(i, 1, 0)...)
		// Nothing else comes: a message that waited for others would wait for ever.
		testwait.Until(t, "delivered alone", func() bool { return len(h.deliveries()) == i+1 })
	}
	wantOnceInOrder(t, h, 20)
}

func TestGathersWhileABatchIsUnderWay(t *testing.T) {
	s := nsqtest.Start(t)
	h := &fakeHost{}
	h.hold()
	start(t, open(t, s.TCPAddr(), nil), h)
	s.Publish(topic, numbered(0, 1, 0)...)
	testwait.Until(t, "the first is delivered", func() bool { return h.count() == 1 })
	s.Publish(topic, numbered(1, 500, 0)...)
	testwait.Until(t, "all are with the plugin", inFlight(s, 501))
	if n := len(h.deliveries()); n != 1 {
		t.Errorf("%d batches under way, want 1", n)
	}
	h.release(nil)
	wantEmpty(t, s)
	wantOnceInOrder(t, h, 501)
	// The number depends on what was still under way at the release.
	if n := len(h.deliveries()); n > 50 {
		t.Errorf("%d batches for 501 messages", n)
	}
}

func TestHandlerCountBoundsBatchesUnderWay(t *testing.T) {
	for _, handlers := range []int{1, 3} {
		t.Run(fmt.Sprint(handlers), func(t *testing.T) {
			s := nsqtest.Start(t)
			h := &fakeHost{}
			h.hold()
			a := open(t, s.TCPAddr(), map[string]string{"NSQ_HANDLER_COUNT": fmt.Sprint(handlers)})
			start(t, a, h)
			s.Publish(topic, numbered(0, 1, 0)...)
			testwait.Until(t, "the first is delivered", func() bool { return h.count() == 1 })
			s.Publish(topic, numbered(1, 200, 20<<10)...) // about ten fill a batch
			testwait.Until(t, "all are with the plugin", inFlight(s, 201))
			testwait.Until(t, "all handlers are busy", func() bool { return len(h.deliveries()) == handlers })
			h.deliveries()[0].receipt.Resolve(nil)
			if handlers > 1 {
				testwait.Until(t, "the next batch takes the place", func() bool { return len(h.deliveries()) == handlers+1 })
			}
			if n := len(h.deliveries()); n > handlers+1 {
				t.Errorf("%d batches delivered, with one resolved and %d handlers", n, handlers)
			}
			h.release(nil)
			wantEmpty(t, s)
			wantOnceInOrder(t, h, 201)
		})
	}
}

func TestFinishesOnlyWhatIsStored(t *testing.T) {
	s := nsqtest.Start(t)
	h := &fakeHost{}
	h.hold()
	start(t, open(t, s.TCPAddr(), nil), h)
	s.Publish(topic, numbered(0, 100, 0)...)
	testwait.Until(t, "all are with the plugin", inFlight(s, 100))
	testwait.Until(t, "delivered", func() bool { return h.count() > 0 })
	if c := s.Channel(topic, channel); c.InFlight != 100 || c.Depth != 0 {
		t.Errorf("in flight %d, waiting %d: want 100 and 0", c.InFlight, c.Depth)
	}
	h.release(nil)
	wantEmpty(t, s)
	if c := s.Channel(topic, channel); c.Requeued != 0 || c.TimedOut != 0 {
		t.Errorf("requeued %d, timed out %d: want none", c.Requeued, c.TimedOut)
	}
	wantOnceInOrder(t, h, 100)
}

func TestGivesBackWhatIsNotStored(t *testing.T) {
	for name, fail := range map[string]func(h *fakeHost){
		"receipt fails": func(h *fakeHost) {
			h.hold()
		},
		"deliver fails": func(h *fakeHost) {
			h.refuse = func(n int) error {
				if n == 1 {
					return fmt.Errorf("no room: %w", sdk.ErrFull)
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := nsqtest.Start(t)
			h := &fakeHost{}
			fail(h)
			start(t, open(t, s.TCPAddr(), nil), h)
			s.Publish(topic, []byte("bad"))
			testwait.Until(t, "delivered", func() bool { return h.count() >= 1 }) // and soon again
			h.mu.Lock()
			h.holding = false
			h.mu.Unlock()
			h.deliveries()[0].receipt.Resolve(fmt.Errorf("storage is away: %w", sdk.ErrUnavailable))
			s.Publish(topic, []byte("good"))
			testwait.Until(t, "delivered again, beside the other", func() bool { return h.count() == 3 })
			wantEmpty(t, s)
			first := h.messages()[0]
			attempts := map[string][]uint32{}
			for _, m := range h.messages() {
				attempts[string(m.Payload)] = append(attempts[string(m.Payload)], m.Attempts)
				if string(m.Payload) == "bad" && m.ID != first.ID {
					t.Errorf("id %q, was %q", m.ID, first.ID)
				}
			}
			if fmt.Sprint(attempts) != "map[bad:[1 2] good:[1]]" {
				t.Errorf("attempts: %v", attempts)
			}
			if n := s.Channel(topic, channel).Requeued; n != 1 {
				t.Errorf("requeued %d times, want 1", n)
			}
		})
	}
}

func TestFailingStorageDoesNotSpin(t *testing.T) {
	t.Parallel()
	s := nsqtest.Start(t)
	h := &fakeHost{outcome: fmt.Errorf("storage is away: %w", sdk.ErrUnavailable)}
	start(t, open(t, s.TCPAddr(), nil), h)
	s.Publish(topic, []byte("line"))
	testwait.Until(t, "tried four times", func() bool { return h.count() >= 4 })
	// The requeues before were deferred by 1, 2 and 3 steps.
	if elapsed := time.Since(h.messages()[0].Published); elapsed < 6*requeueStep {
		t.Errorf("four attempts within %s", elapsed)
	}
	h.release(nil)
	wantEmpty(t, s)
}

func TestLargeMessage(t *testing.T) {
	const size = 10 << 20
	s := nsqtest.Start(t, func(o *nsqd.Options) { o.MaxMsgSize = 2 * size })
	h := &fakeHost{}
	start(t, open(t, s.TCPAddr(), nil), h)
	bodies := append(numbered(0, 2, 0), numbered(2, 1, size)...)
	s.Publish(topic, append(bodies, numbered(3, 2, 0)...)...)
	testwait.Until(t, "delivered", func() bool { return h.count() == 5 })
	wantOnceInOrder(t, h, 5)
	if n := len(h.messages()[2].Payload); n != size {
		t.Errorf("%d bytes arrived, want %d", n, size)
	}
	wantEmpty(t, s)
}

func TestPausesNSQDWhenItHoldsManyBytes(t *testing.T) {
	const size, n, later = 1 << 20, 70, 10
	s := nsqtest.Start(t)
	h := &fakeHost{}
	h.hold()
	start(t, open(t, s.TCPAddr(), nil), h)
	s.Publish(topic, numbered(0, n, size)...)
	ready := func() int64 {
		for _, c := range s.Channel(topic, channel).Clients {
			return c.Ready
		}
		return -1
	}
	testwait.Until(t, "nsqd is told to pause", func() bool { return ready() == 0 })
	s.Publish(topic, numbered(n, later, size)...)
	testwait.Until(t, "what comes later waits", func() bool {
		c := s.Channel(topic, channel)
		return c.InFlight >= maxHeldBytes/size && c.Depth >= later
	})
	h.release(nil)
	testwait.Until(t, "the rest is delivered", func() bool { return h.count() == n+later })
	wantOnceInOrder(t, h, n+later)
	wantEmpty(t, s)
	testwait.Until(t, "RDY is 2500 again", func() bool { return ready() == 2500 })
}
