package read

import (
	"context"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
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
	room *semaphore.Weighted
	// steady has clients go on while others wait, however much they took before: much of it may be
	// in buffers of the system, and not read.
	steady bool

	mu      sync.Mutex
	sending map[*hold]struct{}
	waiting int
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
	return &ledger{room: semaphore.NewWeighted(int64(limit)), sending: make(map[*hold]struct{})}
}

// try makes a hold, if there is room. The caller closes it.
func (l *ledger) try(bytes int) (*hold, bool) {
	if !l.room.TryAcquire(int64(bytes)) {
		l.wait(0) // there is room sooner for the next one
		return nil, false
	}
	return &hold{ledger: l, bytes: bytes}, true
}

// take waits for room for a hold, which the caller closes.
func (l *ledger) take(ctx context.Context, bytes int) (*hold, error) {
	if h, ok := l.try(bytes); ok {
		return h, nil
	}
	l.wait(1)
	defer l.wait(-1)
	if err := acquire(ctx, l.room, bytes); err != nil {
		return nil, err
	}
	return &hold{ledger: l, bytes: bytes}, nil
}

// wait says that so many more wait for room, and hurries those who are sent what takes it.
func (l *ledger) wait(more int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting += more; more < 0 {
		return
	}
	for h := range l.sending {
		h.extend(h.sent+sendBytes, true)
	}
}

// shrink says that the answer holds only so many bytes.
func (h *hold) shrink(bytes int) {
	h.ledger.room.Release(int64(h.bytes - bytes))
	h.bytes = bytes
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
	until := h.began.Add(patience + took)
	if next := time.Duration(bytes-h.sent) * time.Second / leastBusyRate; busy && h.ledger.steady {
		if soon := time.Now().Add(busyPatience + next); soon.Before(until) {
			until = soon
		}
	}
	// A writer without deadlines (a test's) has none to extend.
	_ = h.control.SetWriteDeadline(until)
}

// close gives everything back, once or more.
func (h *hold) close() {
	h.shrink(0)
	h.ledger.mu.Lock()
	defer h.ledger.mu.Unlock()
	delete(h.ledger.sending, h)
}
