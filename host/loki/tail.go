package loki

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/deis/logger/host/access"
	"github.com/deis/logger/host/follow"
	"github.com/deis/logger/host/loki/logql"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

const (
	// maxTailApps bounds the apps of one tail.
	maxTailApps = 100
	// lookEvery is the interval at which a tail looks for new apps, unless its query names the
	// apps.
	lookEvery = 5 * time.Second
	// sendTimeout bounds how long a client may take for one message. pingEvery is the interval at
	// which it is asked whether it is still there.
	sendTimeout, pingEvery = 30 * time.Second, 20 * time.Second
	// maxDelay bounds delay_for, which is not needed: lines come in the order of publishing.
	maxDelay = 5 * time.Second
)

// tails holds the tails under way.
type tails struct {
	ctx  context.Context // ends when the tails are cut off
	cut  context.CancelFunc
	mu   sync.Mutex
	over bool
	all  sync.WaitGroup

	shared sharedTails
}

// run calls f in this goroutine. It fails with [sdk.ErrStopping] once the API stops.
func (t *tails) run(f func()) error {
	t.mu.Lock()
	if t.over {
		t.mu.Unlock()
		return sdk.ErrStopping
	}
	t.all.Add(1)
	t.mu.Unlock()
	defer t.all.Done()
	f()
	return nil
}

// Stop waits until the tails have ended, which they do once the hub stops. When ctx ends, it cuts
// off those that are left.
func (a *API) Stop(ctx context.Context) {
	a.tails.mu.Lock()
	a.tails.over = true
	a.tails.mu.Unlock()
	defer context.AfterFunc(ctx, a.tails.cut)()
	a.tails.all.Wait()
	a.tails.cut()
}

// tail sends the lines of a query, live, over a WebSocket.
type tail struct {
	api    *API
	target target
	start  time.Time
	limit  int

	conn    *websocket.Conn
	writing sync.Mutex  // one message at a time
	b       []byte      // for the message; writing guards it
	late    *time.Timer // ends the tail unless the message is sent in time; writing guards it
	follows sync.WaitGroup
}

// tailLogs sends the lines that are kept since start, at most limit of each app, and then all new
// lines, whatever their time.
func (a *API) tailLogs(w http.ResponseWriter, r *http.Request) error {
	q, err := parseSelector(r.Form.Get("query"))
	if err != nil {
		return err
	}
	t := &tail{api: a, target: aim(q)}
	if t.start, err = parseTime("start", r.Form.Get("start"), time.Now().Add(-defaultWindow)); err != nil {
		return err
	}
	if t.limit, err = parseLimit("limit", r.Form.Get("limit")); err != nil {
		return err
	}
	if delay, err := parseDuration("delay_for", r.Form.Get("delay_for"), 0); err != nil || delay > maxDelay {
		return sdk.Refusef("delay_for=%.40q: want at most %s", r.Form.Get("delay_for"), maxDelay)
	}
	if _, err := logql.NewPipeline(q); err != nil {
		return err
	}
	apps, err := t.apps(r.Context())
	if err != nil {
		return err
	}
	token, _ := access.Given(r)
	refused := error(nil)
	stopping := a.tails.run(func() {
		h := &handshake{ResponseWriter: w}
		t.conn, err = websocket.Accept(h, r, &websocket.AcceptOptions{
			OriginPatterns: a.opts.Origins, InsecureSkipVerify: slices.Contains(a.opts.Origins, "*"),
		})
		if err != nil {
			refused = &problem{h.status, "bad_data", err.Error()}
			return
		}
		held, release := a.opts.Guard.Hold(r.Context(), token)
		defer release()
		t.run(t.conn.CloseRead(r.Context()), held, apps)
	})
	return cmp.Or(stopping, refused)
}

// handshake keeps back the text of an error that the WebSocket library answers with: it is not
// JSON.
type handshake struct {
	http.ResponseWriter
	status int
}

// WriteHeader notes the status of an error.
func (h *handshake) WriteHeader(status int) {
	if h.status = status; status == http.StatusSwitchingProtocols {
		h.ResponseWriter.WriteHeader(status)
	}
}

// Write drops the text of an error.
func (h *handshake) Write(b []byte) (int, error) { return len(b), nil }

// Unwrap returns the writer that can hand over its connection.
func (h *handshake) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// apps returns the apps that the tail follows now.
func (t *tail) apps(ctx context.Context) ([]string, error) {
	apps, err := t.api.appsOf(ctx, &t.target, time.Time{})
	if err == nil && len(apps) > maxTailApps {
		err = sdk.Refusef("the query selects %d apps, want at most %d in one tail", len(apps), maxTailApps)
	}
	return apps, err
}

// run sends lines until one of these happens: the client leaves (which ends client), the token is
// revoked (which ends held), the API stops, or a follower fails.
func (t *tail) run(client, held context.Context, apps []string) {
	ctx, end := context.WithCancelCause(client)
	defer t.follows.Wait()
	// Unless the tail was closed for a reason, its client sees a lost connection (1006): only then
	// do Grafana and logcli come back. This also ends a message being sent.
	defer func() { _ = t.conn.CloseNow() }()
	defer end(nil)
	defer context.AfterFunc(t.api.tails.ctx, func() { end(sdk.ErrStopping) })()
	defer context.AfterFunc(held, func() { end(context.Cause(held)) })()
	t.late = time.AfterFunc(sendTimeout, func() { end(context.DeadlineExceeded) })
	t.late.Stop()
	defer t.late.Stop()
	followed := map[string]bool{}
	follow := func(apps []string, fresh bool) {
		for _, app := range apps {
			if !followed[app] {
				followed[app] = true
				t.follows.Go(func() { t.followApp(ctx, app, fresh, end) }) // ends with ctx; if it fails, it ends ctx
			}
		}
	}
	follow(apps, false)
	ping, look := time.NewTicker(pingEvery), time.NewTicker(lookEvery)
	defer ping.Stop()
	defer look.Stop()
	if t.target.none || t.target.apps != nil {
		look.Stop()
	}
	for ctx.Err() == nil {
		select {
		case <-ping.C:
			if t.ping(ctx) != nil {
				return
			}
		case <-look.C:
			apps, err := t.apps(ctx)
			if errors.Is(err, sdk.ErrInvalid) {
				end(err)
			}
			follow(apps, true) // while the storage is away, there are none, and those already followed stay
		case <-ctx.Done():
		}
	}
	if err := context.Cause(ctx); final(err) {
		_ = t.conn.Close(websocket.StatusPolicyViolation, closing(err))
	}
}

// final reports whether the client would fail again if it came back.
func final(err error) bool {
	return errors.Is(err, access.ErrRevoked) || errors.Is(err, sdk.ErrInvalid) || errors.Is(err, read.ErrSearch) || errors.Is(err, follow.ErrTooMany)
}

// closing returns a reason of at most 123 bytes, the limit of a WebSocket.
func closing(err error) string {
	text := sdk.OneLine(err.Error())
	if len(text) > 120 {
		text = fmt.Sprintf("%.117s…", text[:117])
	}
	return text
}

// ping asks the client whether it is still there.
func (t *tail) ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	return t.conn.Ping(ctx)
}

// followApp pumps until ctx ends. If it fails, it ends all of the tail.
func (t *tail) followApp(ctx context.Context, app string, fresh bool, end context.CancelCauseFunc) {
	defer func() {
		if p := recover(); p != nil {
			t.api.opts.Logger.Error("panic in a tail", "app", app, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			end(errors.New("internal error"))
		}
	}()
	if err := t.pump(ctx, app, fresh); err != nil && ctx.Err() == nil {
		end(err)
	}
}
