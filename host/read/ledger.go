package read

import (
	"context"
	"errors"
	"net/http"
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

// ledger bounds the bytes that answers hold, from before they are read to when they are
// sent.
type ledger struct {
	limit int

	mu      sync.Mutex
	held    int
	sending map[*hold]struct{}
	waiting int
	changed chan struct{} // closed when there may be room; nil if nobody waits
}

// hold is what one answer holds.
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

// try makes a hold, if there is room. The caller closes it.
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

// take waits for room for a hold, which the caller closes.
func (l *ledger) take(ctx context.Context, bytes int) (*hold, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.held+bytes > l.limit {
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
			return nil, ErrBusy
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
	l.held += bytes
	return &hold{ledger: l, bytes: bytes}, nil
}

// set says what the answer really holds.
func (h *hold) set(bytes int) {
	l := h.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	less := bytes < h.bytes
	l.held += bytes - h.bytes
	h.bytes = bytes
	if less && l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// send says that the answer is being sent from now on.
func (h *hold) send(control *http.ResponseController) {
	h.ledger.mu.Lock()
	defer h.ledger.mu.Unlock()
	h.control, h.began = control, time.Now()
	h.ledger.sending[h] = struct{}{}
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
	h.began = h.began.Add(time.Since(since))
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

// close gives everything back, once or more.
func (h *hold) close() {
	h.set(0)
	h.ledger.mu.Lock()
	defer h.ledger.mu.Unlock()
	delete(h.ledger.sending, h)
}
