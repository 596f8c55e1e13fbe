package v1

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/deis/logger/host/access"
	"github.com/deis/logger/host/follow"
	"github.com/deis/logger/host/many"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// tailLogs answers as readLogs does, and goes on.
func (v *API) tailLogs(w http.ResponseWriter, r *http.Request) error {
	of, values, err := subjectOf(r, tailNames, excerptNames, severalNames)
	if err != nil {
		return err
	}
	return v.tail(w, r, &of, values, access.Session{})
}

// tail sends what is kept, and goes on with what comes, until the client leaves, the host stops, or
// the session is over. Nothing of the floor's log that is older than the session's floor is sent.
func (v *API) tail(w http.ResponseWriter, r *http.Request, of *subject, values url.Values, session access.Session) error {
	lastEvent(r, values)
	q, err := parseRequest(r, values, true)
	if err != nil {
		return err
	}
	if q.floor = session.Floor; q.after != "" {
		q.lines = -1 // all that follows
	}
	out := v.newSink(w, q.format)
	if !q.filter.IsZero() {
		if out.filter, err = q.filter.Compile(); err != nil {
			return err
		}
	}
	k, err := v.keep(r.Context(), of, &q, out)
	if err != nil {
		return err
	}
	defer k.Close()
	if !k.exists() && !q.wait {
		return of.unknown()
	}
	t := &tailing{api: v, out: out, until: q.filter.Until}
	if session.Expires != 0 {
		t.expires = time.Unix(session.Expires, 0)
	}
	if t.follower, err = k.follow(&q); err != nil {
		return err
	}
	left := false
	defer func() {
		if !left {
			t.follower.Close()
		}
	}()
	if r.Method == http.MethodHead { // which has no end otherwise
		out.begin()
		return nil
	}
	t.token, _ = access.Given(r)
	// The server's time for reading a request is not for the life of this one.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	// It lives on where the server does not know of it, which no further request could.
	w.Header().Set("Connection", "close")
	out.begin()
	if out.format == "sse" && q.after != "" {
		_ = out.write(resumed) // else the next write fails
	}
	if !t.history(r.Context()) {
		return nil
	}
	k.onward()
	// So that the client knows that what was kept has come, and where it is.
	if out.beat() != nil || out.flush() != nil {
		return nil
	}
	if left = v.detach(w, r, t); !left {
		t.run(r.Context())
	}
	return nil
}

// lastEvent has the cursor of the URL be the one where a client stopped. A browser resumes by the
// header, and event-source-polyfill by the parameter. Both are newer than the URL.
func lastEvent(r *http.Request, values url.Values) {
	if id := cmp.Or(r.Header.Get("Last-Event-ID"), values.Get("lastEventId")); id != "" {
		values.Set("after", id)
	}
}

// follower gives what comes.
type follower interface {
	Next(ctx context.Context) (read.Batch, error)
	// At is the place behind what Next gave.
	At() read.Place
	// Live says that what was kept is read.
	Live() bool
	Close()
}

// tailing runs a tail that has begun.
type tailing struct {
	api            *API
	out            *sink
	follower       follower
	expires, until time.Time
	token          access.Token
}

// hold returns a context that ends when the tail's token is no longer good. A session outlives
// the token that it was made with.
func (t *tailing) hold(client context.Context) (context.Context, func()) {
	if !t.expires.IsZero() {
		return client, func() {}
	}
	return t.api.opts.Guard.Hold(client, t.token)
}

// history sends what is kept. It is false if the tail ended.
func (t *tailing) history(client context.Context) bool {
	ctx, release := t.hold(client)
	defer release()
	a := t.out.answer
	defer func() { t.out.answer = nil }()
	for beaten := time.Now(); ; {
		b, err := a.Next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return true
		case err != nil:
			t.failed(client, ctx, err)
			return false
		}
		if err := t.out.batch(ctx, &b); err != nil {
			t.failed(client, ctx, err)
			return false
		}
		if time.Since(beaten) >= t.api.heartbeat { // of a long log, little may pass the filter
			if t.out.beat() != nil {
				return false
			}
			beaten = time.Now()
		}
	}
}

// run sends lines until the client leaves, which ends client, the host stops, or the time
// is up.
func (t *tailing) run(client context.Context) {
	ctx, release := t.hold(client)
	defer release()
	if !t.expires.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, t.expires)
		defer cancel()
	}
	for {
		every := t.api.heartbeat
		if !t.until.IsZero() {
			every = min(every, max(grace, time.Until(t.until)))
		}
		if !t.until.IsZero() && time.Since(t.until) > grace && t.follower.Live() {
			t.end("until")
			return
		}
		if err := t.pump(ctx, every); err != nil {
			t.failed(client, ctx, err)
			return
		}
		if t.out.beat() != nil {
			return
		}
	}
}

// failed ends the tail for an error, and ctx is what it ran by. Client ends when the client left.
func (t *tailing) failed(client, ctx context.Context, err error) {
	switch {
	case client.Err() != nil || errors.Is(err, errWrite):
	case errors.Is(context.Cause(ctx), access.ErrRevoked):
		t.end("unauthorized")
	case errors.Is(err, sdk.ErrStopping):
		t.end("stopping")
	case errors.Is(err, read.ErrSearch), errors.Is(err, sdk.ErrTooExpensive):
		t.end("too_expensive")
	case errors.Is(err, many.ErrTooMany):
		t.end("too_many_apps")
	case errors.Is(err, follow.ErrTooMany):
		t.end("too_many_followers")
	case !t.expires.IsZero() && !time.Now().Before(t.expires):
		t.end("expired")
	case errors.Is(err, sdk.ErrUnavailable), errors.Is(err, context.DeadlineExceeded):
		t.end("storage_away")
	default:
		t.end("failed")
		t.api.opts.Logger.Warn("a tail failed", "app", t.out.app, "error", err)
	}
}

// end sends the tail's last record. The follower is closed before: a client that has read it may
// tail again at once.
func (t *tailing) end(reason string) {
	t.follower.Close()
	t.out.end(reason)
}

// grace is the time that a tail with an until waits, after its end, for lines from before it.
const grace = time.Second

// errWrite is the error of a client that does not take what it is sent.
var errWrite = errors.New("the client does not read")

// untilBeat returns how long it is until the next heartbeat: a bit less than every, so that those
// of all tails fall on the same few moments. Waking the processor up costs more than a
// heartbeat.
func untilBeat(now time.Time, every time.Duration) time.Duration {
	step := max(every/beatSteps, 1)
	return every - time.Duration(now.Add(every).UnixNano())%step
}

// beatSteps is the number of moments, within a tail's interval, at which heartbeats are sent.
const beatSteps = 8

// pump sends what comes until a heartbeat is due.
func (t *tailing) pump(ctx context.Context, every time.Duration) error {
	due, cancel := context.WithTimeout(ctx, untilBeat(time.Now(), every))
	defer cancel()
	for {
		b, err := t.follower.Next(due)
		switch {
		case err != nil && due.Err() != nil && ctx.Err() == nil && !errors.Is(err, sdk.ErrStopping):
			return nil
		case err != nil:
			return err
		}
		if err := t.out.batch(ctx, &b); err != nil {
			return err
		}
		if !b.More && t.out.dirty && t.out.flush() != nil {
			return errWrite
		}
		t.out.at(t.follower.At())
	}
}
