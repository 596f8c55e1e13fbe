package aggregatortest

import (
	"context"
	"time"

	"github.com/deis/logger/sdk"
)

// stopIdle: when nothing is under way, Run returns nil at once.
func stopIdle(s *subject) {
	h := &host{}
	c := s.start(h)
	s.publish(numbered(1, 3)...)
	s.wantInOrder(h, numbered(1, 3))
	s.empty()
	c.stopped()
}

// stopBeforeStart: a context that has ended already stops Run before it takes anything
// for good.
func stopBeforeStart(s *subject) {
	s.publish(numbered(1, 3)...)
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	h := holding()
	c := &consumer{s: s, aggregator: s.open(), host: h, cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		c.err = c.aggregator.Run(ctx, h.deliver)
	}()
	h.stop()
	c.stopped()
	s.comesTo(3, "nothing is lost")
	h = &host{}
	s.start(h)
	s.comesTo(0, "another delivers them")
	for _, p := range numbered(1, 3) {
		if h.times(p) == 0 {
			s.Errorf("%q is gone", p)
		}
	}
}

// stopNothingNew: messages published after the stop are left to the next aggregator.
func stopNothingNew(s *subject) {
	h := holding()
	c := s.start(h)
	s.publish(numbered(1, 1)...)
	s.eventually("a message is delivered", func() bool { return h.count() == 1 })
	c.cancel()
	s.holds("Run waits for its receipt", func() bool { return !c.endsWithin(0) }) // and has heard of the stop
	s.publish(numbered(2, 20)...)
	s.holds("nothing new is delivered", func() bool { return h.count() == 1 })
	h.release()
	c.stopped()
	if h.count() != 1 {
		s.Errorf("%d messages were delivered, want the one from before the stop", h.count())
	}
	s.comesTo(19, "the others are still there")
	next := &host{}
	s.start(next)
	s.eventually("the next delivers them", func() bool { return next.count() >= 19 })
	s.empty()
}

// stopWaits: a stop waits for the receipts that are owed, and acknowledges what they
// say is stored.
func stopWaits(s *subject) {
	h := holding()
	c := s.start(h)
	s.publish(numbered(1, 4)...)
	s.eventually("a message is delivered", func() bool { return h.count() > 0 }) // the others may wait for its receipt
	c.cancel()
	s.holds("Run waits for its receipts", func() bool { return !c.endsWithin(0) && s.keeps(4) })
	h.release()
	c.stopped()
	left := 0
	for _, p := range numbered(1, 4) {
		if h.times(p) == 0 {
			left++
		}
	}
	s.comesTo(left, "what is stored is acknowledged, and nothing else")
}

// stopGivesBack: messages that are not stored when the host's time is over go back, and come to the
// next aggregator.
func stopGivesBack(s *subject) {
	h := holding()
	c := s.start(h)
	s.publish(numbered(1, 4)...)
	s.eventually("a message is delivered", func() bool { return h.count() > 0 }) // the others may wait for its receipt
	c.cancel()
	h.stop()
	c.stopped()
	s.comesTo(4, "all are back")
	next := &host{}
	s.start(next)
	s.empty()
	for _, p := range numbered(1, 4) {
		if next.times(p) == 0 {
			s.Errorf("%q did not come to the next", p)
		}
	}
}

// stopBlocked: messages also go back if deliver waits for room when the stop comes.
func stopBlocked(s *subject) {
	h := &host{}
	h.block()
	c := s.start(h)
	s.publish(numbered(1, 4)...)
	s.eventually("deliver is called", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return h.inside > 0 })
	c.cancel()
	s.holds("nothing is acknowledged", func() bool { return s.keeps(4) })
	h.stop()
	c.stopped()
	s.comesTo(4, "all are back")
	next := &host{}
	s.start(next)
	s.empty()
}

// transportAway: an aggregator outlasts a transport that is away, at its start and
// later, and loses nothing by it.
func transportAway(s *subject) {
	b, ok := s.transport.(Breakable)
	if !ok {
		s.Fatal("the transport cannot be broken: make it Breakable, or leave this out by name")
	}
	do := func(what string, f func() error) {
		s.Helper()
		if err := f(); err != nil {
			s.Fatalf("%s: %v", what, err)
		}
	}
	s.publish(numbered(1, 3)...)
	do("Break", b.Break)
	h := &host{}
	c := s.start(h)
	s.holds("Run keeps trying", func() bool { return !c.endsWithin(0) && h.count() == 0 })
	if checker, ok := c.aggregator.(sdk.Checker); ok {
		s.eventually("Check says that the transport is away", func() bool {
			ctx, cancel := context.WithTimeout(s.Context(), time.Second)
			defer cancel()
			return checker.Check(ctx) != nil
		})
	}
	do("Mend", b.Mend)
	s.empty()

	h.mu.Lock()
	h.held = true
	before := len(h.batches)
	h.mu.Unlock()
	s.publish(numbered(4, 6)...)
	s.eventually("more is delivered", func() bool { return len(h.all()) > before })
	do("Break", b.Break)
	h.release() // whether that still gets through is open
	s.holds("Run keeps trying", func() bool { return !c.endsWithin(0) })
	do("Mend", b.Mend)
	s.empty()
	for _, p := range numbered(1, 6) {
		if h.times(p) == 0 {
			s.Errorf("%q was never delivered", p)
		}
	}
	c.stopped()
}

// check: Check returns nil while the transport is there.
func check(s *subject) {
	c := s.start(&host{})
	checker, ok := c.aggregator.(sdk.Checker)
	if !ok {
		return
	}
	var last error
	waited := s.waits.poll(func() bool {
		ctx, cancel := context.WithTimeout(s.Context(), time.Second)
		defer cancel()
		last = checker.Check(ctx)
		return last == nil
	})
	if waited > 0 {
		s.Fatalf("not ready within %s: %v", waited, last)
	}
}
