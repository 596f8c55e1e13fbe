package v1

import (
	"cmp"
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

// problem wraps an error with the status and the code of its answer.
type problem struct {
	status  int
	code    string
	message string
}

func (p *problem) Error() string { return p.message }

func appUnknown(app string) *problem {
	return &problem{http.StatusNotFound, "app_unknown", "app " + app + " has no log"}
}

// problems are those of errors, the first that an error is. Without a message it is the error's.
var problems = []struct {
	err error
	problem
}{
	{sdk.ErrTooExpensive, problem{http.StatusBadRequest, "too_expensive", ""}},
	{read.ErrSearch, problem{http.StatusServiceUnavailable, "too_expensive", ""}},
	{sdk.ErrInvalid, problem{http.StatusBadRequest, "bad_request", ""}},
	{follow.ErrTooMany, problem{http.StatusServiceUnavailable, "too_many_followers", ""}},
	{access.ErrFull, problem{http.StatusServiceUnavailable, "busy", ""}},
	{read.ErrBusy, problem{http.StatusServiceUnavailable, "busy", ""}},
	{sdk.ErrStopping, problem{http.StatusServiceUnavailable, "stopping", "this logger is stopping"}},
	{sdk.ErrUnsupported, problem{http.StatusNotImplemented, "unsupported", ""}},
	{context.DeadlineExceeded, problem{http.StatusServiceUnavailable, "storage_away", "the storage did not answer in time"}},
}

// asProblem gives an error its status and code.
func asProblem(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if denied, ok := errors.AsType[*access.Denied](err); ok {
		return &problem{denied.Status, denied.Code, denied.Reason}
	}
	for _, known := range problems {
		if errors.Is(err, known.err) {
			return &problem{known.status, known.code, cmp.Or(known.message, err.Error())}
		}
	}
	return &problem{http.StatusServiceUnavailable, "storage_away", err.Error()}
}

// Refuse sets the headers of the answer to a request that failed, and returns its status and code,
// and a line that says why.
func Refuse(w http.ResponseWriter, err error) (status int, code, message string) {
	p := asProblem(err)
	switch p.status {
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="logger"`)
	}
	return p.status, p.code, strings.ToValidUTF8(strings.Join(strings.Fields(p.message), " "), "\uFFFD")
}

// handle turns a handler that may fail into one that answers. A handler fails before it
// has begun its answer.
func (v *API) handle(h func(w http.ResponseWriter, r *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := h(w, r)
		if err == nil {
			return
		}
		var body struct {
			Error struct {
				Code    string `json:"code"`
				Message string `json:"message"`
			} `json:"error"`
		}
		var status int
		status, body.Error.Code, body.Error.Message = Refuse(w, err)
		answerJSON(w, status, body)
	}
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a client that left needs no answer
}
