package host

import (
	"context"
	"sync"
	"time"
)

const (
	// askTimeout bounds how long a scrape waits for a plugin.
	askTimeout = time.Second
	// askEvery is the age up to which an answer is used again: answering is work for a plugin.
	// After a failure, askAgain is.
	askEvery, askAgain = 2 * time.Second, time.Second
)

// question asks a plugin for a scrape. Scrapes at the same time share one answer, so a plugin that
// hangs delays each of them only once.
type question[T any] struct {
	// ask runs once at a time, with a context that ends after askTimeout.
	ask func(ctx context.Context) (T, error)

	mu   sync.Mutex
	last *answer[T] // nil at first
}

// answer holds an answer that has come, or will come.
type answer[T any] struct {
	done  chan struct{} // closed when the other fields are set
	value T
	err   error
	ends  time.Time // when the answer is too old
}

// get returns an answer within askTimeout.
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
	<-a.done // whoever makes it asks with a timeout
	return a.value, a.err
}

// current returns the answer to use. If mine is true, the caller has to make it.
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
