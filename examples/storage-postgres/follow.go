package main

import (
	"context"
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
	wake, leave := s.followers.Join(app)
	defer leave()
	return sdk.FollowByReading(ctx, s, app, after, wake, yield)
}

// wakeAll wakes everybody.
func (s *storage) wakeAll() { s.followers.Wake(s.followers.Names()...) }

// listen listens while there are followers, on one connection after the other. Between two of them
// everybody is woken again and again: a follower then reads what nobody told of, or fails as its
// read does, and the host knows why.
func (s *storage) listen(ctx context.Context) {
	for ctx.Err() == nil {
		_ = s.listenOnce(ctx)
		s.wakeAll()
		select {
		case <-time.After(listenAgain):
		case <-ctx.Done():
		}
	}
}

// listenOnce wakes whom the channel tells of, until the connection breaks or ctx ends.
func (s *storage) listenOnce(ctx context.Context) error {
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
	s.wakeAll() // what was appended before was not heard
	for {
		err := within(ctx, silence, func(ctx context.Context) error {
			heard, err := conn.WaitForNotification(ctx)
			if err == nil {
				s.followers.Wake(heard.Payload)
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
