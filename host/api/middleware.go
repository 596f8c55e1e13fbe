package api

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"regexp"
	"runtime/debug"
	"time"

	"github.com/go-chi/chi/v5/middleware"

	"github.com/deis/logger/host/access"
)

type requestIDKey struct{}

// requestIDHeader carries a request's id in both directions.
const requestIDHeader = "X-Request-Id"

// validRequestID matches the ids that are taken over from clients: none of them can forge a log
// line.
var validRequestID = regexp.MustCompile(`^[A-Za-z0-9._:/+=-]{1,128}$`)

// identify gives every request an id: the client's own, if it is valid. It also forbids to store
// the answer, unless the handler says otherwise.
func (a *API) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(requestIDHeader)
		if !validRequestID.MatchString(id) {
			id = rand.Text()
		}
		w.Header().Set(requestIDHeader, id)
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id)))
	})
}

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// logAccess logs a request at debug level, which may be switched on and off while the host runs.
func (a *API) logAccess(r *http.Request, w middleware.WrapResponseWriter, took time.Duration) {
	if !a.opts.Logger.IsDebug() {
		return
	}
	a.opts.Logger.Debug("request", "id", requestID(r.Context()), "method", fmt.Sprintf("%.16q", r.Method),
		"path", fmt.Sprintf("%.200q", access.RedactPath(r.URL.EscapedPath())), "status", w.Status(), "bytes", w.BytesWritten(),
		"took", took.String(), "remote", r.RemoteAddr)
}

// recoverPanic answers 500 for a handler that panicked, and logs where.
func (a *API) recoverPanic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == nil {
				return
			}
			if p == http.ErrAbortHandler { //nolint:errorlint // net/http compares it so, too
				panic(p) // an answer that is cut off on purpose
			}
			a.opts.Logger.Error("panic in a request", "id", requestID(r.Context()), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			plain(w, http.StatusInternalServerError, "internal error")
		}()
		next.ServeHTTP(w, r)
	})
}
