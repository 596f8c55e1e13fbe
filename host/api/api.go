package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/deis/logger/host/access"
	v1 "github.com/deis/logger/host/api/v1"
	"github.com/deis/logger/host/listen"
	"github.com/deis/logger/host/loki"
	"github.com/deis/logger/host/page"
	"github.com/deis/logger/host/read"
)

// Options configure an [API].
type Options struct {
	Storage read.Storage
	// Readiness answers GET /readyz.
	Readiness func() Readiness
	// Metrics answers GET /metrics.
	Metrics http.Handler
	// Registry gets the API's own metrics; nil for none.
	Registry prometheus.Registerer
	Logger   hclog.Logger
	// Guard admits requests to /logs and below /v1.
	Guard access.Guard
	// MaxConnections is as in [listen.Options].
	MaxConnections int
	// V1 configures /v1. Its Logs, Logger, Guard and StorageTimeout are set to this API's. If its
	// Storage is nil, there is no /v1.
	V1 v1.Options
	// Page serves the page for browsers, at / and /apps/{app}.
	Page bool
	// Loki serves Loki's read API below /loki, with the storage and the hub of V1.
	Loki bool
	// StorageTimeout bounds how long a request waits for its answer from the storage: the
	// controller sets no timeout of its own. Sending the answer may take longer.
	StorageTimeout time.Duration
	// ControllerName and MaxLineBytes are as in [read.Options].
	ControllerName string
	MaxLineBytes   int
}

// API serves HTTP on one listener.
type API struct {
	opts     Options
	metrics  *metrics
	listener *listen.Listener
	server   *http.Server
	logs     *read.Logs
	stops    []func(context.Context) // end the tails, which the server does not
}

// Limits on what a client may send and how long it may take.
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 10 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = 90 * time.Second
	maxHeaderBytes = 16 << 10
	// drainTimeout bounds how long requests under way may go on after a stop.
	drainTimeout = 500 * time.Millisecond
)

// New makes an API on the listener, which it owns from now on. Nothing is served yet.
func New(listener net.Listener, opts Options) *API {
	a := &API{opts: opts, metrics: newMetrics(opts.Registry)}
	a.listener = listen.New(listener, listen.Options{Most: opts.MaxConnections, Logger: opts.Logger})
	a.logs = read.New(read.Options{Storage: opts.Storage, Timeout: opts.StorageTimeout, Registry: opts.Registry, ControllerName: opts.ControllerName, MaxLineBytes: opts.MaxLineBytes})
	a.server = &http.Server{
		Handler:           listen.Handler(a.router()),
		ConnContext:       a.listener.ConnContext,
		ConnState:         a.listener.ConnState,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// OPTIONS * is answered like any path that does not exist.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     opts.Logger.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	return a
}

// Run serves until ctx ends, then drains for a moment and closes what is left.
func (a *API) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- a.server.Serve(a.listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	if err := a.server.Shutdown(drain); err != nil {
		a.opts.Logger.Warn("requests were cut off", "error", err)
		_ = a.server.Close()
	}
	for _, stop := range a.stops {
		stop(drain)
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (a *API) router() http.Handler {
	r := chi.NewRouter()
	r.Use(a.identify, a.measure, a.recoverPanic, middleware.GetHead)
	r.NotFound(func(w http.ResponseWriter, _ *http.Request) {
		plain(w, http.StatusNotFound, "no such path")
	})
	r.MethodNotAllowed(func(w http.ResponseWriter, req *http.Request) {
		v1.Allow(w, r, req.URL.Path)
		plain(w, http.StatusMethodNotAllowed, "method not allowed")
	})
	for _, slash := range []string{"", "/"} {
		r.Get("/healthz"+slash, a.healthz)
		r.Get("/readyz"+slash, a.readyz)
		r.Get("/logs/{app}"+slash, a.guarded(a.readLogs))
		r.Delete("/logs/{app}"+slash, a.guarded(a.deleteLogs))
		r.Method(http.MethodGet, "/metrics"+slash, a.opts.Metrics)
	}
	if a.opts.Page {
		page.New().Mount(r, a.admitted)
	}
	if opts := a.opts.V1; opts.Storage != nil {
		opts.Logs, opts.Logger, opts.Guard, opts.StorageTimeout = a.logs, a.opts.Logger, a.opts.Guard, a.opts.StorageTimeout
		tools := v1.New(opts)
		r.Mount("/v1", tools.Handler())
		a.stops = append(a.stops, tools.Stop)
		if a.opts.Loki {
			grafana := loki.New(loki.Options{
				Storage: opts.Storage, Logs: a.logs, Hub: opts.Hub, Guard: a.opts.Guard, Logger: a.opts.Logger, Origins: opts.Origins, StorageTimeout: a.opts.StorageTimeout,
			})
			r.Mount("/loki", grafana.Handler())
			a.stops = append(a.stops, grafana.Stop)
			r.Get("/ready", a.ready)
		}
	}
	return r
}

// admitted lets a request for the page in while there is room. It asks for no token: the page
// itself asks for the one that /v1 wants.
func (a *API) admitted(h http.HandlerFunc) http.HandlerFunc {
	return a.handle(func(w http.ResponseWriter, r *http.Request) error {
		err := a.opts.Guard.Admit(w, r, listen.Full)
		if err == nil {
			h(w, r)
		}
		return err
	})
}

// guarded lets a request for /logs in. It asks for a token only if the settings say so: the
// platform's controller sends none, and ignores the status of an answer, so it takes each refusal
// for a log that was deleted.
func (a *API) guarded(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return a.handle(func(w http.ResponseWriter, r *http.Request) error {
		// Room is left for probes: without it, a crowd of requests would make the logger look dead.
		if err := a.opts.Guard.Admit(w, r, listen.OnlyProbes); err != nil {
			return err
		}
		if a.opts.Guard.LogsAskToken {
			if err := a.opts.Guard.Token(r); err != nil {
				a.opts.Logger.Warn("a request for /logs has no valid token, which LOGGER_LOGS_ASK_TOKEN asks for; the platform's controller sends none",
					"method", r.Method, "remote", r.RemoteAddr)
				return err
			}
		}
		return h(w, r)
	})
}
