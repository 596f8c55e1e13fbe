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

	v1 "github.com/deis/logger/host/api/v1"
	"github.com/deis/logger/host/read"
)

// Storage is what the API needs of a storage.
type Storage interface {
	read.Storage
	Delete(ctx context.Context, app string) error
}

// Options configure an [API].
type Options struct {
	Storage Storage
	// Readiness answers GET /readyz.
	Readiness func() Readiness
	// Metrics answers GET /metrics.
	Metrics http.Handler
	// Registry gets the API's own metrics; nil for none.
	Registry prometheus.Registerer
	Logger   hclog.Logger
	// V1 configures what is below /v1. Its Reader, Logger and StorageTimeout are this API's;
	// its Tokens are asked for in DELETE /logs/{app} too. Without a Storage there is no /v1.
	V1 v1.Options
	// StorageTimeout bounds the time in which one request gets its answer from the
	// storage: the controller sets no timeout of its own. Sending it may take longer.
	StorageTimeout time.Duration
	// ControllerName is as in [read.Options].
	ControllerName string
}

// API serves HTTP on one listener.
type API struct {
	opts     Options
	metrics  *metrics
	listener net.Listener
	server   *http.Server
	reader   *read.Reader
	v1       *v1.API // nil without
}

// Limits on what a client may send and how long it may take.
const (
	headerTimeout  = 5 * time.Second
	requestTimeout = 10 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = 90 * time.Second
	maxHeaderBytes = 16 << 10
	// drainTimeout is how long requests under way may go on after a stop.
	drainTimeout = 500 * time.Millisecond
)

// New makes an API on the listener, which it owns from now on; nothing is served yet.
func New(listener net.Listener, opts Options) *API {
	a := &API{opts: opts, metrics: newMetrics(opts.Registry), listener: listener}
	a.reader = read.New(read.Options{Storage: opts.Storage, Timeout: opts.StorageTimeout, Registry: opts.Registry, ControllerName: opts.ControllerName})
	a.server = &http.Server{
		Handler:           answered(a.router()),
		ConnContext:       withConn,
		ConnState:         connState,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// OPTIONS * is answered as any other path that there is not.
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     opts.Logger.StandardLogger(&hclog.StandardLoggerOptions{ForceLevel: hclog.Debug}),
	}
	return a
}

// Run serves until ctx ends, then drains for a moment and closes what is left.
func (a *API) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- a.server.Serve(answering{a.listener}) }()
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
	if a.v1 != nil {
		a.v1.Stop(drain)
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
		r.Get("/logs/{app}"+slash, a.handle(a.readLogs))
		r.Delete("/logs/{app}"+slash, a.authorized(a.handle(a.deleteLogs)))
		r.Method(http.MethodGet, "/metrics"+slash, a.opts.Metrics)
	}
	if opts := a.opts.V1; opts.Storage != nil {
		opts.Reader, opts.Logger, opts.StorageTimeout = a.reader, a.opts.Logger, a.opts.StorageTimeout
		a.v1 = v1.New(opts)
		r.Mount("/v1", a.v1.Handler())
	}
	return r
}

// authorized asks for a token, if tokens are asked for.
func (a *API) authorized(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if t := a.opts.V1.Tokens; t != nil && !t.Allow(r) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="logger"`)
			plain(w, http.StatusUnauthorized, "a valid token is needed: Authorization: Bearer TOKEN")
			return
		}
		next(w, r)
	}
}
