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

	v1 "github.com/deis/logger/host/api/v1"
)

type requestIDKey struct{}

// requestIDHeader carries a request's id in both directions.
const requestIDHeader = "X-Request-Id"

// validRequestID is what is taken over from a client: nothing that could forge a
// log line.
var validRequestID = regexp.MustCompile(`^[A-Za-z0-9._:/+=-]{1,128}$`)

// identify gives every request an id: the client's own, if it is sane.
func (a *API) identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(requestIDHeader)
		if !validRequestID.MatchString(id) {
			id = rand.Text()
		}
		w.Header().Set(requestIDHeader, id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id)))
	})
}

func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// accessLog writes a line for each request, at debug level.
func (a *API) accessLog(next http.Handler) http.Handler {
	if !a.opts.Logger.IsDebug() {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		start := time.Now()
		defer func() {
			a.opts.Logger.Debug("request", "id", requestID(r.Context()), "method", fmt.Sprintf("%.16q", r.Method),
				"path", fmt.Sprintf("%.200q", v1.RedactPath(r.URL.EscapedPath())), "status", ww.Status(), "bytes", ww.BytesWritten(),
				"took", time.Since(start).String(), "remote", r.RemoteAddr)
		}()
		next.ServeHTTP(ww, r)
	})
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
