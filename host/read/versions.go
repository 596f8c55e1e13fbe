package read

import (
	"context"
	"sync"
	"time"
)

const (
	// freshFor bounds how old an answer about a log's version may be, counted from when the storage
	// was asked. A line takes longer than that from a collector to this host, and one question
	// serves all requests of that time.
	freshFor = 1500 * time.Microsecond
	// askedFor is the time, after a request for an app, in which questions still ask about that
	// app. The next request within this time finds an answer.
	askedFor = 50 * time.Millisecond
	// mostAsked bounds the apps of one question.
	mostAsked = 1000
)

// versions asks the storage for the versions of logs, for all requests at once. While one question
// is under way, new requests wait for the next. A request that accepts an answer of a moment ago
// uses the last one.
type versions struct {
	ask     func(ctx context.Context, apps []string) ([]uint64, error)
	timeout time.Duration // of one question

	mu     sync.Mutex
	apps   map[string]time.Time // to ask about, and when somebody last wanted to know
	asking bool                 // a question is under way, or about to be
	next   *question            // nil if nobody waits for one
	last   *question            // the one that was answered last
	forgot time.Time            // questions from before this are not used any more
}

// question asks for the versions of several apps.
type question struct {
	done  chan struct{} // closed when the rest is there
	asked time.Time
	of    map[string]uint64 // versions; 0 is not known
	err   error
}

// of returns the version of the app's log, as of at most fresh before this call; 0 if it is not
// known.
func (v *versions) of(ctx context.Context, app string, fresh time.Duration) (uint64, error) {
	q := v.gather(app, fresh)
	select {
	case <-q.done:
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return q.of[app], q.err
}

// forget makes requests that come from now on use no earlier question.
func (v *versions) forget() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.forgot = time.Now()
}

// gather returns a question that asks about the app: the last one if it is recent, else the next.
func (v *versions) gather(app string, fresh time.Duration) *question {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := time.Now()
	if v.apps == nil {
		v.apps = map[string]time.Time{}
	}
	v.apps[app] = now
	if q := v.last; q != nil && q.err == nil && now.Sub(q.asked) < fresh && q.asked.After(v.forgot) {
		if _, has := q.of[app]; has {
			return q
		}
	}
	return v.begin()
}

// begin returns the next question, which is asked soon. The caller holds the lock.
func (v *versions) begin() *question {
	if v.next == nil {
		v.next = &question{done: make(chan struct{})}
	}
	if !v.asking {
		v.asking = true
		go v.answer() // ends within its timeout
	}
	return v.next
}

// answer asks the next question, and then the one after it if requests came meanwhile.
func (v *versions) answer() {
	q, apps := v.take()
	ctx, cancel := context.WithTimeout(context.Background(), v.timeout)
	defer cancel()
	all, err := v.ask(ctx, apps)
	q.of, q.err = make(map[string]uint64, len(apps)), err
	for i := range min(len(apps), len(all)) {
		q.of[apps[i]] = all[i]
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.last = q
	close(q.done)
	if v.asking = v.next != nil; v.asking {
		go v.answer()
	}
}

// take removes and returns the next question, with the apps to ask about: those that were wanted
// recently.
func (v *versions) take() (q *question, apps []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	q, v.next = v.next, nil
	q.asked = time.Now()
	since := q.asked.Add(-askedFor)
	if v.last != nil && v.last.asked.Before(since) { // somebody may have waited since
		since = v.last.asked
	}
	for app, wanted := range v.apps {
		if wanted.Before(since) || len(apps) == mostAsked {
			delete(v.apps, app)
			continue
		}
		apps = append(apps, app)
	}
	return q, apps
}
