package memory

import (
	"context"
	"slices"

	"github.com/deis/logger/sdk"
)

// Follow implements [sdk.Follower]: it sleeps until an append or a delete
// wakes it.
func (s *storage) Follow(ctx context.Context, app string, after sdk.Cursor, yield func(sdk.Page) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	wake := make(chan struct{}, 1)
	if err := s.watch(app, wake); err != nil {
		return err
	}
	defer s.unwatch(app, wake)
	return sdk.FollowByReading(ctx, s, app, after, wake, yield)
}

func (s *storage) watch(app string, wake chan struct{}) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	s.watching[app] = append(s.watching[app], wake)
	return nil
}

func (s *storage) unwatch(app string, wake chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := slices.DeleteFunc(s.watching[app], func(c chan struct{}) bool { return c == wake })
	if len(left) == 0 {
		delete(s.watching, app)
		return
	}
	s.watching[app] = left
}

// wake tells those who follow the app of a change. The lock is held, so that nobody
// who saw the log before it misses it.
func (s *storage) wake(app string) {
	for _, c := range s.watching[app] {
		select {
		case c <- struct{}{}:
		default: // it is about to look anyway
		}
	}
}

// wakeAll tells everyone that the storage is closed. The lock is held.
func (s *storage) wakeAll() {
	for app := range s.watching {
		s.wake(app)
	}
}
