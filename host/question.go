package host

import (
	"context"
	"sync"
	"time"
)

const (
	// askTimeout bounds what a scrape may ask of a plugin.
	askTimeout = time.Second
	// askEvery is how old the answer may be: it is work for a plugin. One that failed is
	// asked again after askAgain.
	askEvery, askAgain = 2 * time.Second, time.Second
)

// question is what scrapes want to know of a plugin. All that want it at a time share one
// answer, so that a plugin that hangs holds each of them up once.
type question[T any] struct {
	// ask is called by one at a time, with a context of askTimeout.
	ask func(ctx context.Context) (T, error)

	mu   sync.Mutex
	last *answer[T] // nil at first
}

// answer is one that is there, or one to come.
type answer[T any] struct {
	done  chan struct{} // closed when the rest is there
	value T
	err   error
	ends  time.Time // from then on it is too old
}

// get answers within askTimeout.
func (q *question[T]) get() (T, error) {
	a, mine := q.current()
	if mine {
		ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
		defer cancel()
		a.value, a.err = q.ask(ctx)
		a.ends = time.Now().Add(askEvery)
		if a.err != nil {
			a.ends = time.Now().Add(askAgain)
		}
		close(a.done)
	}
	<-a.done // the one whose it is asks with a timeout
	return a.value, a.err
}

// current returns the answer to use, which may be the caller's to make.
func (q *question[T]) current() (_ *answer[T], mine bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.last != nil {
		select {
		case <-q.last.done:
		default:
			return q.last, false
		}
		if time.Now().Before(q.last.ends) {
			return q.last, false
		}
	}
	q.last = &answer[T]{done: make(chan struct{})}
	return q.last, true
}
