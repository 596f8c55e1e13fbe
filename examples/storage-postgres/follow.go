package main

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deis/logger/sdk"
)

// Every transaction that changes logs tells their names on a channel of PostgreSQL (NOTIFY), which
// passes them on when the transaction is committed. A process listens while it has followers. A
// notification only wakes: what is new is read by position, like everything else. So one that comes
// twice or for nothing does no harm, and all that must not be missed is what happens while nobody
// listens.
const (
	// silence is how long a connection may be silent before it is asked whether it lives.
	silence = time.Second
	// listenAgain is how long after a failure the next connection is tried.
	listenAgain = 500 * time.Millisecond
)

// wake tells the followers of the apps, on all hosts. The channel is named after the schema: one
// database may have several.
func (s *storage) wake(batch *pgx.Batch, apps []string) {
	batch.Queue(`SELECT pg_notify($1, app) FROM unnest($2::text[]) AS app`, s.Schema, apps)
}

// Follow implements sdk.Follower.
func (s *storage) Follow(ctx context.Context, app string, after sdk.Cursor, yield func(sdk.Page) error) error {
	wake, leave := s.followers.join(s, app)
	defer leave()
	return sdk.FollowByReading(ctx, s, app, after, wake, yield)
}

// followers are those of this process.
type followers struct {
	mu      sync.Mutex
	waiting map[string][]chan struct{} // by app
	end     context.CancelFunc         // of the listening
}

// join returns a channel that hears of changes of the app, until leave is called.
func (f *followers) join(s *storage, app string) (wake chan struct{}, leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) == 0 {
		f.waiting = map[string][]chan struct{}{}
		var ctx context.Context
		ctx, f.end = context.WithCancel(context.Background())
		go f.keepListening(ctx, s)
	}
	wake = make(chan struct{}, 1)
	f.waiting[app] = append(f.waiting[app], wake)
	return wake, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.waiting[app] = slices.DeleteFunc(f.waiting[app], func(c chan struct{}) bool { return c == wake })
		if len(f.waiting[app]) == 0 {
			delete(f.waiting, app)
		}
		if len(f.waiting) == 0 {
			f.end()
		}
	}
}

// wakeApp wakes the followers of the app. One that has not looked since the last time is about to.
func (f *followers) wakeApp(app string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, wake := range f.waiting[app] {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
}

// wakeAll wakes everybody.
func (f *followers) wakeAll() {
	f.mu.Lock()
	apps := make([]string, 0, len(f.waiting))
	for app := range f.waiting {
		apps = append(apps, app)
	}
	f.mu.Unlock()
	for _, app := range apps {
		f.wakeApp(app)
	}
}

// keepListening listens until ctx ends, on one connection after the other. Between two of them
// everybody is woken again and again: a follower then reads what nobody told of, or fails as its
// read does, and the host knows why.
func (f *followers) keepListening(ctx context.Context, s *storage) {
	for ctx.Err() == nil {
		_ = f.listen(ctx, s)
		f.wakeAll()
		select {
		case <-time.After(listenAgain):
		case <-ctx.Done():
		}
	}
}

// listen wakes whom the channel tells of, until the connection breaks or ctx ends.
func (f *followers) listen(ctx context.Context, s *storage) error {
	conn, err := pgx.ConnectConfig(ctx, s.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), silence)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if err := within(ctx, readTimeout, func(ctx context.Context) error {
		_, err := conn.Exec(ctx, `LISTEN `+pgx.Identifier{s.Schema}.Sanitize())
		return err
	}); err != nil {
		return err
	}
	f.wakeAll() // what was appended before was not heard
	for {
		err := within(ctx, silence, func(ctx context.Context) error {
			heard, err := conn.WaitForNotification(ctx)
			if err == nil {
				f.wakeApp(heard.Payload)
			}
			return err
		})
		if err == nil {
			continue
		}
		// A network that is cut tells nobody. A connection that is only silent answers.
		if err := within(ctx, readTimeout, conn.Ping); err != nil {
			return err
		}
	}
}

// within calls f with a context that ends after d.
func within(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return f(ctx)
}
