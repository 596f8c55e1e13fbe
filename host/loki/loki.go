package loki

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/host/access"
	"github.com/deis/logger/host/follow"
	"github.com/deis/logger/host/listen"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/host/scan"
	"github.com/deis/logger/sdk"
)

// Options configures an [API].
type Options struct {
	// Storage lists the apps.
	Storage scan.Lister
	// Logs reads kept lines.
	Logs *read.Logs
	Hub  *follow.Hub
	// Guard admits requests.
	Guard  access.Guard
	Logger hclog.Logger
	// Origins lists the origins whose pages may tail; "*" allows all. If it is empty, only pages of
	// this logger's own host may. A client that is not a browser sends no origin.
	Origins []string
	// StorageTimeout bounds how long the storage may take to list its apps.
	StorageTimeout time.Duration
}

const (
	// queryBytes bounds the lines of one answer, and heldBytes those of all answers together until
	// their clients have received them.
	queryBytes, heldBytes = 16 << 20, 64 << 20
	// formBytes bounds the body of a request.
	formBytes = 256 << 10
)

// API serves the paths below /loki.
type API struct {
	opts   Options
	memory *read.Memory
	router chi.Router
	tails  tails
}

// New makes the API. Mount [API.Handler] at /loki. Call [API.Stop] to end tails: the server does
// not end them.
func New(opts Options) *API {
	a := &API{opts: opts, memory: read.NewMemory(heldBytes)}
	a.tails.ctx, a.tails.cut = context.WithCancel(context.Background())
	r := chi.NewRouter()
	r.Use(a.admit, middleware.GetHead)
	r.NotFound(a.handle(func(http.ResponseWriter, *http.Request) error {
		return &problem{http.StatusNotFound, "not_found", "this logger does not have that part of Loki's API; docs/grafana.md lists what it has"}
	}))
	r.MethodNotAllowed(a.handle(func(w http.ResponseWriter, r *http.Request) error {
		allow := "GET, HEAD, POST"
		if strings.HasSuffix(r.URL.Path, "/tail") {
			allow = http.MethodGet
		}
		w.Header().Set("Allow", allow)
		return &problem{http.StatusMethodNotAllowed, "bad_data", "method not allowed"}
	}))
	r.Route("/api/v1", func(r chi.Router) {
		r.Use(a.authorize)
		for path, h := range map[string]handler{
			"/query":               a.query,
			"/query_range":         a.queryRange,
			"/labels":              a.labels,
			"/label":               a.labels,
			"/label/{name}/values": a.labelValues,
			"/series":              a.series,
			"/index/stats":         a.indexStats,
			"/index/volume":        a.volume,
			"/index/volume_range":  a.volumeRange,
			"/detected_labels":     a.detectedLabels,
			"/detected_fields":     a.detectedFields,
			"/format_query":        a.formatQuery,
			"/status/buildinfo":    a.buildInfo,

			"/detected_field/{name}/values": a.detectedValues,
		} {
			r.Get(path, a.handle(h))
			r.Post(path, a.handle(h))
		}
		r.Get("/tail", a.handle(a.tailLogs))
	})
	a.router = r
	return a
}

// Handler returns the handler that serves the API.
func (a *API) Handler() http.Handler { return a.router }

// admit admits a request for a name of this logger while there is room.
func (a *API) admit(next http.Handler) http.Handler {
	return a.handle(func(w http.ResponseWriter, r *http.Request) error {
		err := a.opts.Guard.Admit(w, r, listen.Full)
		if err == nil {
			next.ServeHTTP(w, r)
		}
		return err
	})
}

// authorize admits a request with a valid token, if tokens are needed, and parses its parameters.
func (a *API) authorize(next http.Handler) http.Handler {
	return a.handle(func(w http.ResponseWriter, r *http.Request) error {
		if err := a.opts.Guard.Token(r); err != nil {
			return err
		}
		r.Body = http.MaxBytesReader(w, r.Body, formBytes)
		err := r.ParseForm()
		if _, long := errors.AsType[*http.MaxBytesError](err); long {
			return sdk.Refusef("the body has more than %d KiB", formBytes>>10)
		}
		if err != nil {
			return sdk.Refusef("the parameters are not well-formed (%% is sent as %%25, ; as %%3B): %v", err)
		}
		next.ServeHTTP(w, r)
		return nil
	})
}
