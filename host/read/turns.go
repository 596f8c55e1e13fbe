package read

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/deis/logger/sdk"
)

// ErrBusy is returned by a read that would have to wait for others longer than it can.
var ErrBusy = fmt.Errorf("too many logs are read at once: %w", sdk.ErrUnavailable)

// acquire takes n units from the semaphore. Callers wait in the order of their calls.
func acquire(ctx context.Context, s *semaphore.Weighted, n int) error {
	err := s.Acquire(ctx, int64(n))
	if errors.Is(err, context.DeadlineExceeded) {
		return ErrBusy
	}
	return err // the client left
}

// turns bounds how many callers do something at once. Others wait in the order in which they came;
// a caller that would wait too long is refused at once.
type turns struct {
	atOnce  int
	free    *semaphore.Weighted
	waiting atomic.Int64
	lasts   atomic.Int64 // nanoseconds that a turn takes, about
}

func newTurns(atOnce int) *turns {
	return &turns{atOnce: atOnce, free: semaphore.NewWeighted(int64(atOnce))}
}

// take waits for a turn, which the caller ends with end. It fails at once with [ErrBusy] if the
// turns before it would take longer than ctx has left.
func (t *turns) take(ctx context.Context) (end func(done bool), err error) {
	if !t.free.TryAcquire(1) {
		before := t.waiting.Add(1)
		defer t.waiting.Add(-1)
		wait := time.Duration(t.lasts.Load() * (int64(t.atOnce) + before) / int64(t.atOnce))
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
			return nil, ErrBusy
		}
		if err := acquire(ctx, t.free, 1); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	return func(done bool) {
		// A turn that was broken off may have been shorter than it would be.
		if longer := int64(time.Since(began)) - t.lasts.Load(); done || longer > 0 {
			t.lasts.Add(longer / 4)
		}
		t.free.Release(1)
	}, nil
}
