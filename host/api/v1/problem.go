package v1

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/deis/logger/host/access"
	"github.com/deis/logger/host/follow"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// problem is an error with the status and the code of its answer.
type problem struct {
	status  int
	code    string
	message string
}

func (p *problem) Error() string { return p.message }

func badRequest(err error) *problem {
	return &problem{http.StatusBadRequest, "bad_request", err.Error()}
}

func appUnknown(app string) *problem {
	return &problem{http.StatusNotFound, "app_unknown", "app " + app + " has no log"}
}

// asProblem gives an error its status and code.
func asProblem(err error) *problem {
	var p *problem
	var denied *access.Denied
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &denied):
		return &problem{denied.Status, denied.Code, denied.Reason}
	case errors.Is(err, sdk.ErrTooExpensive):
		return &problem{http.StatusBadRequest, "too_expensive", err.Error()}
	case errors.Is(err, read.ErrSearch):
		return &problem{http.StatusServiceUnavailable, "too_expensive", err.Error()}
	case errors.Is(err, sdk.ErrInvalid):
		return badRequest(err)
	case errors.Is(err, follow.ErrTooMany):
		return &problem{http.StatusServiceUnavailable, "too_many_followers", err.Error()}
	case errors.Is(err, read.ErrBusy):
		return &problem{http.StatusServiceUnavailable, "busy", err.Error()}
	case errors.Is(err, sdk.ErrStopping):
		return &problem{http.StatusServiceUnavailable, "stopping", "this logger is stopping"}
	case errors.Is(err, sdk.ErrUnsupported):
		return &problem{http.StatusNotImplemented, "unsupported", err.Error()}
	case errors.Is(err, context.DeadlineExceeded):
		return &problem{http.StatusServiceUnavailable, "storage_away", "the storage did not answer in time"}
	default:
		return &problem{http.StatusServiceUnavailable, "storage_away", err.Error()}
	}
}

// handle turns a handler that may fail into one that answers. A handler fails before it
// has begun its answer.
func (v *API) handle(h func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			v.answerProblem(w, asProblem(err))
		}
	}
}

func (v *API) answerProblem(w http.ResponseWriter, p *problem) {
	switch p.status {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="logger"`)
	}
	var body struct {
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	body.Error.Code = p.code
	body.Error.Message = strings.ToValidUTF8(strings.Join(strings.Fields(p.message), " "), "\uFFFD")
	answerJSON(w, p.status, body)
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that left needs no answer
}
