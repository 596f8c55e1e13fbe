package read

import (
	"context"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
)

const (
	// leastRate is the pace at which a client has to take its answer, and patience the time that it
	// has beyond that. A client that is slower is cut off: what it does not take stays in memory.
	leastRate = 256 << 10 // bytes a second
	patience  = 10 * time.Second
	// leastBusyRate and busyPatience take their place while others wait for that memory.
	leastBusyRate = 1 << 20
	busyPatience  = 500 * time.Millisecond
)

// Memory bounds the bytes that answers hold together, from before they are read until they are
// sent.
type Memory struct {
	room *semaphore.Weighted
	// steady makes clients go on while others wait, however much they took before: much of that may
	// be in the system's buffers, unread.
	steady bool

	mu      sync.Mutex
	sending map[*Hold]struct{}
	waiting int
}

// Hold accounts for the memory of one answer.
type Hold struct {
	memory *Memory
	bytes  int

	// While it is sent:
	control *http.ResponseController
	began   time.Time
	sent    int // bytes before the step that is being sent
	step    int
}

// NewMemory returns memory of so many bytes, apart from what [Logs] has for its own answers.
func NewMemory(bytes int) *Memory {
	m := newMemory(bytes)
	m.steady = true
	return m
}

func newMemory(bytes int) *Memory {
	return &Memory{room: semaphore.NewWeighted(int64(bytes)), sending: make(map[*Hold]struct{})}
}

// try makes a hold if there is room now. The caller closes it.
func (m *Memory) try(bytes int) (*Hold, bool) {
	if !m.room.TryAcquire(int64(bytes)) {
		m.wait(0) // hurry the clients, so that the next one finds room
		return nil, false
	}
	return &Hold{memory: m, bytes: bytes}, true
}

// Hold waits for so many bytes. The caller closes the hold. It fails with [ErrBusy] if ctx's
// deadline comes first. While it waits, clients have to take their answers faster.
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

// wait notes that so many more wait for room. Unless that is fewer, it hurries the clients that are
// being sent an answer.
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

// Shrink gives back all but so many bytes.
func (h *Hold) Shrink(bytes int) {
	if bytes < h.bytes {
		h.memory.room.Release(int64(h.bytes - bytes))
		h.bytes = bytes
	}
}

// send notes that the answer is being sent from now on.
func (h *Hold) send(control *http.ResponseController) {
	h.memory.mu.Lock()
	defer h.memory.mu.Unlock()
	h.control, h.began = control, time.Now()
	h.memory.sending[h] = struct{}{}
}

// Extend gives the client the time to take so many more bytes.
func (h *Hold) Extend(control *http.ResponseController, bytes int) {
	if h.control == nil {
		h.send(control)
	}
	h.memory.mu.Lock()
	defer h.memory.mu.Unlock()
	h.sent, h.step = h.sent+h.step, bytes
	h.extend(bytes, h.memory.waiting > 0)
}

// paused gives the client back the time since then, in which it had nothing to take.
func (h *Hold) paused(since time.Time) {
	h.memory.mu.Lock()
	defer h.memory.mu.Unlock()
	h.began = h.began.Add(time.Since(since))
}

// extend sets the deadline by which the client must have taken so many more bytes than were sent.
// busy says that others wait for memory.
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

// Close gives everything back. It may be called more than once.
func (h *Hold) Close() {
	h.Shrink(0)
	h.memory.mu.Lock()
	defer h.memory.mu.Unlock()
	delete(h.memory.sending, h)
}
