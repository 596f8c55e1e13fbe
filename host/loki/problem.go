package loki

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/deis/logger/host/access"
	"github.com/deis/logger/host/follow"
	"github.com/deis/logger/host/loki/logql"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// problem wraps an error with the status and the type of its answer.
type problem struct {
	status  int
	kind    string
	message string
}

func (p *problem) Error() string { return p.message }

// asProblem gives an error its status and type.
func asProblem(err error) *problem {
	var p *problem
	var denied *access.Denied
	var syntax *logql.Error
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &denied):
		return &problem{denied.Status, denied.Code, denied.Reason}
	case errors.As(err, &syntax):
		return &problem{http.StatusBadRequest, "bad_data", "parse error: " + syntax.Error()}
	case errors.Is(err, logql.ErrTooLarge), errors.Is(err, logql.ErrLine), errors.Is(err, sdk.ErrTooExpensive):
		return &problem{http.StatusBadRequest, "execution", err.Error()}
	case errors.Is(err, sdk.ErrInvalid):
		return &problem{http.StatusBadRequest, "bad_data", err.Error()}
	case errors.Is(err, read.ErrSearch):
		return &problem{http.StatusServiceUnavailable, "too_expensive", err.Error()}
	case errors.Is(err, sdk.ErrStopping):
		return &problem{http.StatusServiceUnavailable, "unavailable", "this logger is stopping"}
	case errors.Is(err, context.DeadlineExceeded):
		return &problem{http.StatusServiceUnavailable, "timeout", "the storage did not answer in time"}
	case errors.Is(err, sdk.ErrUnsupported):
		return &problem{http.StatusNotImplemented, "unsupported", err.Error()}
	case errors.Is(err, follow.ErrTooMany):
		return &problem{http.StatusServiceUnavailable, "unavailable", err.Error()}
	default:
		return &problem{http.StatusServiceUnavailable, "unavailable", err.Error()}
	}
}

// handler answers a request, or fails before it has begun to answer.
type handler func(w http.ResponseWriter, r *http.Request) error

// handle turns a handler that may fail into one that always answers.
func (a *API) handle(h handler) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			a.answerProblem(w, asProblem(err))
		}
	}
}

// answerProblem answers with the error. Grafana shows "message", and logcli the whole body.
func (a *API) answerProblem(w http.ResponseWriter, p *problem) {
	switch p.status {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="logger"`)
	}
	answerJSON(w, p.status, struct {
		Status  string `json:"status"`
		Kind    string `json:"errorType"`
		Message string `json:"message"`
	}{"error", p.kind, strings.ToValidUTF8(strings.Join(strings.Fields(p.message), " "), "\uFFFD")})
}

// answerJSON answers with the body, encoded by encoding/json.
func answerJSON(w http.ResponseWriter, status int, body any) {
	begin(w, status)
	_ = json.NewEncoder(w).Encode(body) // a client that left needs no answer
}

// asJSON returns a function that writes the body, which encoding/json must be able to encode.
func asJSON(body any) func(*out) {
	return func(o *out) {
		text, _ := json.Marshal(body)
		o.hold.Shrink(len(text))
		o.b = append(o.b, text...)
	}
}

// begin sends the header of a JSON answer.
func begin(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
}
