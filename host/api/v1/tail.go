package v1

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/deis/logger/host/follow"
	"github.com/deis/logger/sdk"
)

// tailLogs answers as readLogs does, and goes on.
func (v *API) tailLogs(w http.ResponseWriter, r *http.Request) error {
	app, err := appName(r)
	if err != nil {
		return err
	}
	values := r.URL.Query()
	if err := known(values, tailNames); err != nil {
		return err
	}
	return v.tail(w, r, app, values, time.Time{})
}

// tail sends lines until the client leaves, the host stops, or the time is up.
func (v *API) tail(w http.ResponseWriter, r *http.Request, app string, values url.Values, expires time.Time) error {
	// A browser resumes by this header; it knows better than the URL that it has.
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		values.Set("after", id)
	}
	q, err := parseQuery(values, time.Now())
	if err != nil {
		return err
	}
	format, err := q.chooseFormat(r, true)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), v.opts.StorageTimeout)
	defer cancel()
	s, err := v.find(ctx, app, &q)
	if err != nil {
		return err
	}
	if !s.exists && !q.wait {
		return appUnknown(app)
	}
	follower, err := v.opts.Hub.Follow(app, s.after)
	if err != nil {
		return err
	}
	defer follower.Close()
	// The server's time for reading a request is not for the life of this one.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})

	out := v.newSink(w, app, format, q.filter)
	out.cursor = s.after
	out.begin()
	if s.page != nil {
		b := follower.Take(*s.page)
		if out.batch(&b) != nil {
			return nil
		}
	}
	// At once, so that the client knows that it is connected and where it is.
	if out.beat() != nil || out.flush() != nil {
		return nil
	}
	ctx, cancel = r.Context(), func() {}
	if !expires.IsZero() {
		ctx, cancel = context.WithDeadline(ctx, expires)
	}
	defer cancel()
	every := v.heartbeat
	if !q.until.IsZero() {
		every = min(every, grace)
	}
	for {
		if !q.until.IsZero() && time.Since(q.until) > grace && follower.Live() {
			out.end("until")
			return nil
		}
		err := v.pump(ctx, every, out, follower)
		switch {
		case err == nil:
			err = out.beat()
			if err == nil {
				continue
			}
			return nil
		case r.Context().Err() != nil:
			return nil // the client left
		case errors.Is(err, sdk.ErrStopping):
			out.end("stopping")
			return nil
		case ctx.Err() != nil:
			out.end("expired")
			return nil
		case errors.Is(err, errWrite):
			return nil
		default:
			out.end("failed")
			v.opts.Logger.Warn("a tail failed", "app", app, "error", err)
			return nil
		}
	}
}

// grace is how long after its end a tail with an until waits for lines of before.
const grace = time.Second

// errWrite is the error of a client that does not take what it is sent.
var errWrite = errors.New("the client does not read")

// pump sends what comes until a heartbeat is due.
func (v *API) pump(ctx context.Context, every time.Duration, out *sink, follower *follow.Follower) error {
	due, cancel := context.WithTimeout(ctx, every)
	defer cancel()
	for {
		b, err := follower.Next(due)
		switch {
		case err != nil && due.Err() != nil && ctx.Err() == nil && !errors.Is(err, sdk.ErrStopping):
			return nil
		case err != nil:
			return err
		}
		if out.batch(&b) != nil {
			return errWrite
		}
		if !b.More && out.dirty && out.flush() != nil {
			return errWrite
		}
		out.cursor = follower.Last()
	}
}
