package read

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// A client takes its answer at this pace, from some time after it began on, or it is
	// let go: what it does not take is memory.
	leastRate = 256 << 10 // bytes a second
	patience  = 10 * time.Second
	// While others wait for that memory, at this one.
	leastBusyRate = 1 << 20
	busyPatience  = 500 * time.Millisecond
)

// ledger bounds the bytes that answers hold, from their first to when they are sent.
// The limit may be passed by one answer, and only so far as it is larger than all the
// limit: it is gathered when nothing else is left to be sent.
type ledger struct {
	limit int

	mu      sync.Mutex
	held    int
	growing []*hold // the eldest first
	sending map[*hold]struct{}
	waiting int
	changed chan struct{} // closed when there may be room; nil if nobody waits
}

// hold is what one answer holds. It grows, then it is sent, then it is closed.
type hold struct {
	ledger *ledger
	bytes  int

	// While it is sent:
	control *http.ResponseController
	began   time.Time
	sent    int
}

func newLedger(limit int) *ledger {
	return &ledger{limit: limit, sending: make(map[*hold]struct{})}
}

// open makes a hold that grows. The caller closes it.
func (l *ledger) open() *hold {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := &hold{ledger: l}
	l.growing = append(l.growing, h)
	return h
}

// try makes a hold that does not grow any more, if there is room.
func (l *ledger) try(bytes int) (*hold, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held+bytes > l.limit {
		l.hurry() // for the next one
		return nil, false
	}
	l.held += bytes
	return &hold{ledger: l, bytes: bytes}, true
}

// grow waits for room for more.
func (h *hold) grow(ctx context.Context, bytes int) error {
	l := h.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	for !l.room(h, bytes) {
		if l.changed == nil {
			l.changed = make(chan struct{})
		}
		changed := l.changed
		l.waiting++
		l.hurry()
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		l.mu.Lock()
		l.waiting--
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return ErrBusy
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	h.add(bytes)
	return nil
}

func (l *ledger) room(h *hold, bytes int) bool {
	if l.held+bytes <= l.limit {
		return true
	}
	// Of those that grow, one must get on; not at the cost of what is being sent.
	grown := 0
	for _, g := range l.growing {
		grown += g.bytes
	}
	return h == l.growing[0] && l.held == grown
}

func (h *hold) add(bytes int) {
	h.bytes += bytes
	h.ledger.held += bytes
	if bytes < 0 {
		h.ledger.wake()
	}
}

// wake has those who wait look again.
func (l *ledger) wake() {
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// set says what it really holds.
func (h *hold) set(bytes int) {
	h.ledger.mu.Lock()
	defer h.ledger.mu.Unlock()
	h.add(bytes - h.bytes)
}

// send says that it is being sent from now on.
func (h *hold) send(control *http.ResponseController) {
	h.ledger.mu.Lock()
	defer h.ledger.mu.Unlock()
	h.control, h.began = control, time.Now()
	h.ledger.sending[h] = struct{}{}
}

// gathered says that it does not grow any more.
func (h *hold) gathered() {
	h.ledger.mu.Lock()
	defer h.ledger.mu.Unlock()
	h.stopGrowing()
}

func (h *hold) stopGrowing() {
	l := h.ledger
	if i := slices.Index(l.growing, h); i >= 0 {
		l.growing = slices.Delete(l.growing, i, i+1)
		l.wake() // another may be the eldest
	}
}

// step says that so much was sent, and gives the client its time for the next step.
func (h *hold) step(sent, next int) {
	h.ledger.mu.Lock()
	defer h.ledger.mu.Unlock()
	h.sent = sent
	h.extend(sent+next, h.ledger.waiting > 0)
}

// paused says that since then the client had nothing to take, which is not its fault.
func (h *hold) paused(since time.Time) {
	h.ledger.mu.Lock()
	defer h.ledger.mu.Unlock()
	if h.control != nil {
		h.began = h.began.Add(time.Since(since))
	}
}

// extend gives the client until it must have taken so much.
func (h *hold) extend(bytes int, busy bool) {
	rate, patience := leastRate, patience
	if busy {
		rate, patience = leastBusyRate, busyPatience
	}
	took := time.Duration(float64(bytes) / float64(rate) * float64(time.Second))
	// A writer without deadlines (a test's) has none to extend.
	_ = h.control.SetWriteDeadline(h.began.Add(patience + took))
}

// hurry is for when others wait.
func (l *ledger) hurry() {
	for h := range l.sending {
		h.extend(h.sent+sendBytes, true)
	}
}

// close gives everything back.
func (h *hold) close() {
	h.ledger.mu.Lock()
	defer h.ledger.mu.Unlock()
	delete(h.ledger.sending, h)
	h.add(-h.bytes)
	h.stopGrowing()
}
