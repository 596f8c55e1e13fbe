package api

import (
	"net/http"

	v1 "github.com/deis/logger/host/api/v1"
)

// handle turns a handler that may fail into one that answers an error with its status and a line of
// text. The handler may only fail before it has begun its answer.
func (a *API) handle(h func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			status, _, line := v1.Refuse(w, err)
			plain(w, status, line)
		}
	}
}

// plain answers one line of text.
func plain(w http.ResponseWriter, status int, line string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(line + "\n")) // a client that left needs no answer
}
