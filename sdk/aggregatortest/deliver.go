package aggregatortest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/deis/logger/sdk"
)

// numbered makes payloads that contain their numbers.
func numbered(first, last int) (all [][]byte) {
	for i := first; i <= last; i++ {
		all = append(all, fmt.Appendf(nil, `{"log":"line %d"}`, i))
	}
	return all
}

// wantInOrder waits for the payloads and expects each once, in order.
func (s *subject) wantInOrder(h *host, want [][]byte) {
	s.Helper()
	s.eventually(fmt.Sprintf("%d messages are delivered", len(want)), func() bool { return h.count() >= len(want) })
	for i, got := range h.payloads() {
		if i >= len(want) {
			s.Fatalf("%d messages were delivered, want %d; the next is %.60q", h.count(), len(want), got)
		}
		if !bytes.Equal(got, want[i]) {
			s.Fatalf("message %d is %.60q of %d bytes, want %.60q of %d", i, got, len(got), want[i], len(want[i]))
		}
	}
}

// order: messages are delivered in the order in which the transport has them, whether
// they waited before or come one by one.
func order(s *subject) {
	n := 0
	more := func(size int) {
		s.publish(numbered(n+1, n+size)...)
		n += size
	}
	more(100)
	h := &host{}
	s.start(h)
	for _, size := range []int{1, 2, 1, 50, 1, 150} {
		more(size)
	}
	s.wantInOrder(h, numbered(1, n))
	for range 20 {
		more(1)
		s.wantInOrder(h, numbered(1, n))
	}
	s.empty()
}

// payload: any bytes are delivered as they are, and are the host's until deliver returns.
func payload(s *subject) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	payloads := [][]byte{
		[]byte("x"), []byte(" "), []byte("\n"), []byte("\x00"), []byte(" {} \r\n"), []byte("two\nlines\n"),
		[]byte("\xff\xfe not UTF-8 \xc3"), []byte("ünïcödé 🐳"), every, []byte("null"), []byte("x"),
		bytes.Repeat([]byte("0123456789abcdef"), 256), bytes.Repeat([]byte("a\x00\n"), 33_333),
	}
	payloads = slices.DeleteFunc(payloads, func(p []byte) bool { return !s.carries(p) })
	h := &host{slow: 2 * time.Millisecond} // in which what is not the host's would change
	s.start(h)
	s.publish(payloads...)
	for _, p := range payloads {
		s.publish(p)
	}
	s.wantInOrder(h, append(payloads, payloads...))
	s.publish(numbered(1, 100)...) // what would overwrite a buffer that is used again
	s.eventually("more messages are delivered", func() bool { return h.count() == 2*len(payloads)+100 })
	s.empty()
}

// oneAtATime: calls of deliver never overlap, and each publisher's messages keep their
// order, whoever else publishes and however slow the host is.
func oneAtATime(s *subject) {
	const publishers, each = 4, 100
	h := &host{slow: time.Millisecond} // so that the next call would begin meanwhile
	s.start(h)
	errs := make(chan error, publishers)
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			for i := range each {
				if err := s.transport.Publish(fmt.Appendf(nil, "%d %d", p, i)); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	all.Wait()
	close(errs)
	for err := range errs {
		s.Fatalf("Publish: %v", err)
	}
	s.eventually("all are delivered", func() bool { return h.count() >= publishers*each })
	var next [publishers]int
	for _, got := range h.payloads() {
		var p, i int
		if _, err := fmt.Sscanf(string(got), "%d %d", &p, &i); err != nil {
			s.Fatalf("%q: %v", got, err)
		}
		if i != next[p] {
			s.Fatalf("publisher %d: message %d came instead of %d", p, i, next[p])
		}
		next[p]++
	}
	s.empty()
}

// acknowledgesAfterReceipt: no message is acknowledged before its receipt says that it is stored,
// and every one is then.
func acknowledgesAfterReceipt(s *subject) {
	h := holding()
	s.start(h)
	s.publish(numbered(1, 5)...)
	s.eventually("a message is delivered", func() bool { return h.count() > 0 })
	s.holds("nothing is stored, and nothing acknowledged", func() bool { return s.keeps(5) })
	h.release()
	s.empty()
	for _, p := range numbered(1, 5) {
		if n := h.times(p); n != 1 {
			s.Errorf("%q came %d times, want once", p, n)
		}
	}
}

// acknowledgesWhatIsStored: the receipt of one batch says nothing of another.
func acknowledgesWhatIsStored(s *subject) {
	h := holding()
	s.start(h)
	s.publish(numbered(1, 1)...)
	s.eventually("a message is delivered", func() bool { return h.count() == 1 })
	s.publish(numbered(2, 2)...)
	first := h.all()[0]
	// The aggregator decides whether the next comes before the first is stored.
	s.holds("nothing is acknowledged", func() bool { return s.keeps(2) })
	first.receipt.Resolve(nil)
	s.comesTo(1, "what is stored is acknowledged")
	s.eventually("the other is delivered", func() bool { return h.count() == 2 })
	s.holds("what is not stored is not acknowledged", func() bool { return s.keeps(1) })
	h.release()
	s.empty()
}

// receiptsLate: receipts may resolve late, and in any order.
func receiptsLate(s *subject) {
	h := holding()
	s.start(h)
	for i := 1; i <= 5; i++ {
		s.publish(numbered(i, i)...)
		deadline := time.Now().Add(settle)
		for h.count() < i && time.Now().Before(deadline) {
			time.Sleep(2 * time.Millisecond)
		}
	}
	s.eventually("a message is delivered", func() bool { return h.count() > 0 })
	batches := h.all()
	for i := len(batches) - 1; i >= 0; i-- {
		batches[i].receipt.Resolve(nil)
	}
	h.release()
	s.empty()
	if h.count() != 5 {
		s.Errorf("%d messages came, want 5", h.count())
	}
}

// givesBackFailed: what could not be stored goes back to the transport and comes again,
// until it is stored; it is not lost and not acknowledged.
func givesBackFailed(s *subject) {
	var mu sync.Mutex
	failing := true
	h := &host{outcome: func(int) error {
		mu.Lock()
		defer mu.Unlock()
		if failing {
			return fmt.Errorf("not now: %w", sdk.ErrUnavailable)
		}
		return nil
	}}
	s.start(h)
	s.publish(numbered(1, 3)...)
	again := func() bool {
		for _, p := range numbered(1, 3) {
			if h.times(p) < 2 {
				return false
			}
		}
		return true
	}
	s.eventually("all that failed comes again", again)
	s.holds("what fails is not acknowledged", func() bool { return s.keeps(3) })
	mu.Lock()
	failing = false
	mu.Unlock()
	s.empty()
}

// redelivery: a message that comes again is the same: its bytes, even if the host used
// the first ones up, its identity, and a count of deliveries that rises.
func redelivery(s *subject) {
	h := holding()
	s.start(h)
	want := numbered(1, 3)
	s.publish(want...)
	s.eventually("a message is delivered", func() bool { return h.count() > 0 })
	first := map[string]sdk.Message{}
	earlier := h.all()
	for _, b := range earlier {
		for i, m := range b.messages {
			first[string(b.payloads[i])] = sdk.Message{ID: m.ID, Attempts: m.Attempts, Published: m.Published}
		}
		b.receipt.Resolve(fmt.Errorf("not now: %w", sdk.ErrUnavailable))
	}
	h.release()
	s.empty()
	again := h.all()[len(earlier):]
	came := map[string]bool{}
	for _, b := range again {
		for i, m := range b.messages {
			came[string(b.payloads[i])] = true
			before, ok := first[string(b.payloads[i])]
			switch {
			case !ok: // a first delivery
			case m.ID != before.ID:
				s.Errorf("%q had the id %q and comes again as %q", b.payloads[i], before.ID, m.ID)
			case before.Attempts > 0 && m.Attempts <= before.Attempts:
				s.Errorf("%q comes again as attempt %d after %d", b.payloads[i], m.Attempts, before.Attempts)
			case !m.Published.Equal(before.Published):
				s.Errorf("%q was published at %s and then at %s", b.payloads[i], before.Published, m.Published)
			}
		}
	}
	for _, p := range want {
		if !came[string(p)] {
			s.Errorf("%q did not come again as it was", p)
		}
	}
}

// deliverFails: messages that deliver refuses come again. Run may end with an error: the host
// starts it again.
func deliverFails(s *subject) {
	h := &host{refuse: func(n int) error {
		if n < 2 {
			return fmt.Errorf("the host has no place: %w", sdk.ErrUnavailable)
		}
		return nil
	}}
	c := s.start(h)
	s.publish(numbered(1, 3)...)
	s.eventually("all is acknowledged", func() bool {
		if c.endsWithin(5 * time.Millisecond) {
			if c.err == nil {
				s.Fatal("Run returned nil, and nobody stopped it")
			}
			c = s.start(h)
		}
		return s.rests(0)
	})
	for _, p := range numbered(1, 3) {
		if h.times(p) == 0 {
			s.Errorf("%q is acknowledged and was never taken", p)
		}
	}
}

// backpressure: while the host has no room, nothing is lost or acknowledged and the aggregator
// answers checks. Once there is room, everything comes in order.
func backpressure(s *subject) {
	h := &host{}
	h.block()
	c := s.start(h)
	line := strings.Repeat("x", 1000)
	want := make([][]byte, 0, 500)
	for i := range cap(want) {
		want = append(want, fmt.Appendf(nil, "%d %s", i, line))
	}
	s.publish(want...)
	s.eventually("deliver is called", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return h.inside > 0 })
	s.holds("nothing is acknowledged", func() bool { return s.keeps(len(want)) })
	if checker, ok := c.aggregator.(sdk.Checker); ok {
		s.answersChecks(checker)
	}
	h.open()
	s.wantInOrder(h, want)
	s.empty()
}

// answersChecks expects any answer within the second that a host waits.
func (s *subject) answersChecks(c sdk.Checker) {
	s.Helper()
	answered := make(chan error, 1)
	go func() { answered <- c.Check(s.Context()) }()
	select {
	case err := <-answered:
		if notReady := (*sdk.NotReadyError)(nil); err != nil && !errors.As(err, &notReady) && errors.Is(err, s.Context().Err()) {
			s.Errorf("Check: %v", err)
		}
	case <-time.After(time.Second):
		s.Error("Check did not answer within a second")
	}
}
