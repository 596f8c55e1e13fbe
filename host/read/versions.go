package read

import (
	"context"
	"sync"
	"time"
)

// versions asks the storage which versions logs are, for all requests that want to know at
// a time: while one question is under way, those that come are gathered for the next. So
// each has an answer to a question that was asked after it came.
type versions struct {
	ask     func(ctx context.Context, apps []string) ([]uint64, error)
	timeout time.Duration // of one question

	mu      sync.Mutex
	next    *question // what is gathered; nil for nothing
	running bool
}

// question is about several apps.
type question struct {
	done chan struct{} // closed when the rest is there
	apps []string
	at   map[string]int // of apps
	all  []uint64
	err  error
}

// of is the version of the app's log, 0 if nobody knows.
func (v *versions) of(ctx context.Context, app string) (uint64, error) {
	q, i := v.gather(app)
	select {
	case <-q.done:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if q.err != nil {
		return 0, q.err
	}
	return q.all[i], nil
}

func (v *versions) gather(app string) (*question, int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.next == nil {
		v.next = &question{done: make(chan struct{}), at: map[string]int{}}
	}
	q := v.next
	i, known := q.at[app]
	if !known {
		i = len(q.apps)
		q.at[app], q.apps = i, append(q.apps, app)
	}
	if !v.running {
		v.running = true
		go v.run() // ends when nobody waits, each question within its timeout
	}
	return q, i
}

func (v *versions) run() {
	for {
		v.mu.Lock()
		q := v.next
		v.next = nil
		v.running = q != nil
		v.mu.Unlock()
		if q == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), v.timeout)
		q.all, q.err = v.ask(ctx, q.apps)
		cancel()
		if len(q.all) < len(q.apps) { // what is not said is not known
			q.all = append(q.all, make([]uint64, len(q.apps)-len(q.all))...)
		}
		close(q.done)
	}
}
