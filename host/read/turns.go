package read

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/deis/logger/sdk"
)

// ErrBusy is the error of a read that had to wait for others, and could not.
var ErrBusy = fmt.Errorf("too many logs are read at once: %w", sdk.ErrUnavailable)

// turns bounds how many do something at once. Others wait in the order in which they
// came; who would wait too long need not.
type turns struct {
	places int

	mu    sync.Mutex
	taken int
	queue []chan struct{} // one per waiting; closed when it has its turn
	lasts time.Duration   // about how long a turn is kept
}

// take waits for a turn, which the caller ends. It fails at once if those before would
// take longer than ctx has left.
func (t *turns) take(ctx context.Context) (end func(done bool), err error) {
	t.mu.Lock()
	if t.taken < t.places {
		t.taken++
		t.mu.Unlock()
		return t.ender(), nil
	}
	wait := t.lasts + t.lasts*time.Duration(len(t.queue)+1)/time.Duration(t.places)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		t.mu.Unlock()
		return nil, ErrBusy
	}
	mine := make(chan struct{})
	t.queue = append(t.queue, mine)
	t.mu.Unlock()

	select {
	case <-mine:
		return t.ender(), nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(t.queue, mine); i >= 0 {
		t.queue = slices.Delete(t.queue, i, i+1)
	} else { // it had just got its turn
		t.pass()
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, ErrBusy
	}
	return nil, ctx.Err() // the client left
}

// ender ends the turn that begins now. One that was broken off may have been shorter
// than it would be.
func (t *turns) ender() func(done bool) {
	began := time.Now()
	return func(done bool) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if took := time.Since(began); done || took > t.lasts {
			t.lasts += (took - t.lasts) / 4
		}
		t.pass()
	}
}

// pass gives a turn to the next.
func (t *turns) pass() {
	if len(t.queue) == 0 {
		t.taken--
		return
	}
	close(t.queue[0])
	t.queue = slices.Delete(t.queue, 0, 1)
}
