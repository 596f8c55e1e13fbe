package api

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/deis/logger/host/access"
	"github.com/deis/logger/sdk"
)

// handle turns a handler that may fail into one that answers: the one place where
// an error becomes a status and a line of text. A handler fails before it has begun its answer.
func (a *API) handle(h func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		status := sdk.HTTPStatus(err)
		if denied := (*access.Denied)(nil); errors.As(err, &denied) {
			status = denied.Status
		}
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer realm="logger"`)
		}
		if status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "1")
		}
		text := err.Error()
		if errors.Is(err, context.DeadlineExceeded) {
			text = "the storage did not answer in time"
		}
		plain(w, status, text)
	}
}

// plain answers one line of text.
func plain(w http.ResponseWriter, status int, line string) {
	line = strings.ToValidUTF8(strings.NewReplacer("\n", " ", "\r", " ").Replace(line), "\uFFFD")
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(line + "\n")) // a client that left needs no answer
}
