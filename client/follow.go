package client

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"
)

// FollowOptions configure [Client.Follow] and [Client.FollowApps].
type FollowOptions struct {
	// Handle is called with each entry and each gap, once and in order. If it returns an error,
	// Follow ends and returns that.
	Handle func(Record) error
	// Idle is called whenever everything that has arrived is handled. It may be nil.
	Idle func() error
	// Notice is called when something happens to the connection. It may be nil.
	Notice func(Event)
	// NoReconnect makes Follow end when its first connection ends.
	NoReconnect bool

	// Silence bounds how long a connection may be silent before it counts as lost. The server gives
	// a sign of life every 15 s. Zero means 45 s.
	Silence time.Duration
	// MinBackoff and MaxBackoff bound the wait before an attempt to connect. Zero means 250 ms and
	// 10 s.
	MinBackoff, MaxBackoff time.Duration
}

// Event says what happened to a connection of [Client.Follow].
type Event struct {
	Kind EventKind
	// Err is the reason, for events that have one.
	Err error
	// Down is, for [EventBack], how long there was no connection.
	Down time.Duration
}

// EventKind tells events apart.
type EventKind int

// The kinds of events.
const (
	// EventNoApp says that the app has no log yet, and that Follow waits for it.
	EventNoApp EventKind = iota + 1
	// EventLive says, once, that the server has sent what it kept: the first heartbeat came. It may
	// come too early if the history takes the server longer than 15 s, or if a connection was lost
	// meanwhile.
	EventLive
	// EventNotReady says that the server answers but is not ready, and that Follow tries again.
	EventNotReady
	// EventLost says that the connection ended, and that Follow makes another.
	EventLost
	// EventBack says that there is a connection again.
	EventBack
)

// Follow hands over what is kept of the app's log and then what comes, until ctx ends or the
// query's Until has passed. When a connection ends, Follow makes another and goes on from there,
// for ever. It fails if the server cannot be reached at the first attempt, or refuses. It returns
// the cursor to go on from, which is empty if nothing came.
func (c *Client) Follow(ctx context.Context, app string, q Query, opts FollowOptions) (cursor string, err error) {
	return c.follow(ctx, &follower{client: c, app: app, query: q, opts: opts})
}

// FollowApps does what Follow does, for several apps, which are named as in [Client.LogsOfApps].
// Apps that come to match a pattern join from their first line on.
func (c *Client) FollowApps(ctx context.Context, apps []string, q Query, opts FollowOptions) (cursor string, err error) {
	return c.follow(ctx, &follower{client: c, apps: apps, query: q, opts: opts})
}

func (c *Client) follow(ctx context.Context, f *follower) (cursor string, err error) {
	if f.opts.Silence == 0 {
		f.opts.Silence = 45 * time.Second
	}
	if f.opts.MinBackoff == 0 {
		f.opts.MinBackoff = 250 * time.Millisecond
	}
	if f.opts.MaxBackoff == 0 {
		f.opts.MaxBackoff = 10 * time.Second
	}
	f.place.cursor = f.query.After
	err = f.run(ctx)
	return f.place.String(), err
}

// follower runs one call of Follow. Its query changes so that it asks for what has not come yet;
// place has the cursor to ask after.
type follower struct {
	client *Client
	app    string
	apps   []string // nil for the one app
	query  Query
	opts   FollowOptions
	place  place
	moved  bool // the place is another than when the connection began

	began   time.Time // when the first connection was tried
	waits   bool      // the app is known to have no log, and is waited for
	reached bool      // there was a connection
	live    bool      // EventLive was told
	down    time.Time // since when there is no connection; zero while there is one
	backoff time.Duration
}

// stableAfter is how long a connection must have lasted to count as a good one if
// nothing came over it.
const stableAfter = 5 * time.Second

// handlerError wraps an error of the caller's Handle or Idle, which no other connection can mend.
type handlerError struct{ error }

func (f *follower) run(ctx context.Context) error {
	for {
		began := time.Now()
		f.moved = false
		err := f.connection(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		var own handlerError
		if errors.As(err, &own) {
			return own.error
		}
		if HasCode(err, CodeAppUnknown) && !f.waits {
			// Whatever the app will log is new, so none of it may be left out.
			f.waits, f.query.Lines = true, AllLines
			f.notice(Event{Kind: EventNoApp})
			continue
		}
		if !f.mendable(err) || f.opts.NoReconnect {
			return err
		}
		if f.moved || f.reached && time.Since(began) > stableAfter {
			f.backoff = 0
		}
		f.lost(err)
		if err := f.wait(ctx, err); err != nil {
			return err
		}
	}
}

// mendable reports whether another attempt may succeed.
func (f *follower) mendable(err error) bool {
	var (
		answer      *Error
		unreachable *UnreachableError
		lost        *LostError
		ended       *EndedError
	)
	switch {
	case errors.As(err, &answer):
		return answer.NotReady() || answer.Code == CodeAppUnknown
	case errors.As(err, &unreachable):
		return f.reached
	default:
		return errors.As(err, &lost) || errors.As(err, &ended)
	}
}

func (f *follower) lost(err error) {
	if !f.down.IsZero() {
		return // it was told
	}
	f.down = time.Now()
	kind := EventLost
	if !f.reached {
		kind = EventNotReady
	}
	f.notice(Event{Kind: kind, Err: err})
}

// wait waits for a random part of a time that doubles, so that not all followers meet a server that
// comes back at once.
func (f *follower) wait(ctx context.Context, err error) error {
	f.backoff = min(max(2*f.backoff, f.opts.MinBackoff), f.opts.MaxBackoff)
	delay := f.backoff/2 + rand.N(f.backoff/2+1) //nolint:gosec // spreads load, hides nothing
	var answer *Error
	if errors.As(err, &answer) {
		delay += min(answer.RetryAfter, f.opts.MaxBackoff)
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// errSilent is the cause when a connection without a sign of life is given up.
var errSilent = errors.New("no sign of life")

// connection follows over one connection, to its end.
func (f *follower) connection(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	query := f.query
	query.After = f.place.String()
	if f.began.IsZero() {
		f.began = time.Now()
	} else { // relative times count from the first attempt, until an answer pins them
		waited := time.Since(f.began).Round(time.Millisecond)
		query.Since, query.Until = query.Since.after(waited), query.Until.after(waited)
	}
	stream, err := f.client.tail(ctx, f.app, f.apps, query, f.waits || f.reached)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	f.reached = true
	f.query.Since, f.query.Until = query.Since.pin(stream.date), query.Until.pin(stream.date)
	if !f.down.IsZero() {
		f.notice(Event{Kind: EventBack, Down: time.Since(f.down)})
		f.down = time.Time{}
	}
	watchdog := time.AfterFunc(f.opts.Silence, func() { cancel(errSilent) })
	defer watchdog.Stop()
	for {
		if f.opts.Idle != nil && stream.Waiting() {
			if err := f.opts.Idle(); err != nil {
				return handlerError{err}
			}
		}
		watchdog.Reset(f.opts.Silence)
		r, err := stream.Next()
		watchdog.Stop() // the handler's time is not the server's
		if err != nil {
			if end := stream.place.String(); end != "" { // the last record may have moved it
				f.at(&Record{Cursor: end})
			}
			if errors.Is(context.Cause(ctx), errSilent) {
				return &LostError{errSilent}
			}
			return err
		}
		if err := f.take(r); err != nil {
			return err
		}
	}
}

func (f *follower) take(r Record) error {
	switch r.Kind {
	case KindEntry, KindGap:
		if err := f.opts.Handle(r); err != nil {
			return handlerError{err}
		}
	case KindHeartbeat:
		if !f.live {
			f.live = true
			f.notice(Event{Kind: EventLive})
		}
	case KindEnd: // is an error of the stream
	}
	f.at(&r)
	return nil
}

// at remembers how far the follower has come.
func (f *follower) at(r *Record) {
	before := f.place.cursor
	if f.place.note(r); f.place.cursor != before || f.place.since != nil {
		f.moved, f.query.Lines = true, AllLines
	}
}

func (f *follower) notice(e Event) {
	if f.opts.Notice != nil {
		f.opts.Notice(e)
	}
}
