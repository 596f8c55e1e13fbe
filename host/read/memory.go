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

// Memory bounds the bytes that answers hold together, from before they are read to when they are
// sent.
type Memory struct {
	room *semaphore.Weighted
	// steady has clients go on while others wait, however much they took before: much of it may be
	// in buffers of the system, and not read.
	steady bool

	mu      sync.Mutex
	sending map[*Hold]struct{}
	waiting int
}

// Hold is what one answer holds.
type Hold struct {
	memory *Memory
	bytes  int

	// While it is sent:
	control *http.ResponseController
	began   time.Time
	sent    int // before the step that is being sent
	step    int
}

// NewMemory returns memory of so many bytes, beside what a [Reader] has for its own answers.
func NewMemory(bytes int) *Memory {
	m := newMemory(bytes)
	m.steady = true
	return m
}

func newMemory(bytes int) *Memory {
	return &Memory{room: semaphore.NewWeighted(int64(bytes)), sending: make(map[*Hold]struct{})}
}

// try makes a hold, if there is room. The caller closes it.
func (m *Memory) try(bytes int) (*Hold, bool) {
	if !m.room.TryAcquire(int64(bytes)) {
		m.wait(0) // there is room sooner for the next one
		return nil, false
	}
	return &Hold{memory: m, bytes: bytes}, true
}

// Hold waits for so much of the memory. The caller closes the hold. It fails with [ErrBusy] if
// ctx's deadline comes first. While it waits, clients that do not take their answers are let go.
func (m *Memory) Hold(ctx context.Context, bytes int) (*Hold, error) {
	if h, ok := m.try(bytes); ok {
		return h, nil
	}
	m.wait(1)
	defer m.wait(-1)
	if err := acquire(ctx, m.room, bytes); err != nil {
		return nil, err
	}
	return &Hold{memory: m, bytes: bytes}, nil
}

// wait says that so many more wait for room, and hurries those who are sent what takes it.
func (m *Memory) wait(more int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.waiting += more; more < 0 {
		return
	}
	for h := range m.sending {
		h.extend(sendBytes, true)
	}
}

// Shrink gives back what is more than so many bytes.
func (h *Hold) Shrink(bytes int) {
	if bytes < h.bytes {
		h.memory.room.Release(int64(h.bytes - bytes))
		h.bytes = bytes
	}
}

// send says that the answer is being sent from now on.
func (h *Hold) send(control *http.ResponseController) {
	h.memory.mu.Lock()
	defer h.memory.mu.Unlock()
	h.control, h.began = control, time.Now()
	h.memory.sending[h] = struct{}{}
}

// Extend gives the client the time to take so many bytes more.
func (h *Hold) Extend(control *http.ResponseController, bytes int) {
	if h.control == nil {
		h.send(control)
	}
	h.memory.mu.Lock()
	defer h.memory.mu.Unlock()
	h.sent, h.step = h.sent+h.step, bytes
	h.extend(bytes, h.memory.waiting > 0)
}

// paused says that since then the client had nothing to take, which is not its fault.
func (h *Hold) paused(since time.Time) {
	h.memory.mu.Lock()
	defer h.memory.mu.Unlock()
	h.began = h.began.Add(time.Since(since))
}

// extend gives the client until it must have taken so many bytes more than were sent.
func (h *Hold) extend(bytes int, busy bool) {
	rate, patience := leastRate, patience
	if busy {
		rate, patience = leastBusyRate, busyPatience
	}
	took := time.Duration(float64(h.sent+bytes) / float64(rate) * float64(time.Second))
	until := h.began.Add(patience + took)
	if next := time.Duration(bytes) * time.Second / leastBusyRate; busy && h.memory.steady {
		if soon := time.Now().Add(busyPatience + next); soon.Before(until) {
			until = soon
		}
	}
	// A writer without deadlines (a test's) has none to extend.
	_ = h.control.SetWriteDeadline(until)
}

// Close gives everything back, once or more.
func (h *Hold) Close() {
	h.Shrink(0)
	h.memory.mu.Lock()
	defer h.memory.mu.Unlock()
	delete(h.memory.sending, h)
}
