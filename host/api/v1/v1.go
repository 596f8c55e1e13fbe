// Package v1 is the API for people's tools: apps, their logs, live tails, and signed
// sessions. openapi.yaml describes it.
package v1

import (
	_ "embed"
	"net/http"
	"net/url"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/singleflight"

	"github.com/deis/logger/host/access"
	"github.com/deis/logger/host/follow"
	"github.com/deis/logger/host/listen"
	"github.com/deis/logger/host/many"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// Storage has the calls of a storage that the API needs.
type Storage interface {
	read.Storage
	follow.Storage
	sdk.AppLister
}

// Options configure an [API].
type Options struct {
	Storage Storage
	Hub     *follow.Hub
	// Guard lets requests in.
	Guard access.Guard
	// SessionKey signs sessions.
	SessionKey access.Key
	// Logs reads what is kept.
	Logs   *read.Logs
	Logger hclog.Logger
	// StorageTimeout bounds the time in which a request gets its first lines.
	StorageTimeout time.Duration
	// Origins are those whose pages a browser lets read the answers; "*" is all.
	Origins []string
	// PublicURL is what comes before /v1 in the URL of a session.
	PublicURL string
}

// API answers below /v1.
type API struct {
	opts    Options
	asked   singleflight.Group // of the storage about its apps
	lists   chan struct{}      // has one for each list that the storage is making
	many    *many.Histories
	catalog *many.Catalog
	router  chi.Router
	tails   listen.Group

	// heartbeat and writeTimeout are constants but for tests.
	heartbeat, writeTimeout time.Duration
}

//go:embed openapi.yaml
var openAPI []byte

// New makes the API. [API.Handler] is mounted at /v1. [API.Stop] ends what the server of
// the handler does not end.
func New(opts Options) *API {
	v := &API{opts: opts, lists: make(chan struct{}, atOnce), heartbeat: 15 * time.Second, writeTimeout: 30 * time.Second}
	v.many, v.catalog = many.NewHistories(opts.Storage, opts.Logs, opts.StorageTimeout), many.NewCatalog(opts.Storage, opts.Logger)
	r := chi.NewRouter()
	r.Use(v.cors, v.checked(v.admit), middleware.GetHead)
	r.NotFound(v.handle(func(http.ResponseWriter, *http.Request) error {
		return &problem{http.StatusNotFound, "not_found", "no such path; see /v1/openapi.yaml"}
	}))
	r.MethodNotAllowed(v.handle(func(w http.ResponseWriter, req *http.Request) error {
		path := chi.RouteContext(req.Context()).RoutePath
		if path == "" { // not mounted, but served alone
			path = req.URL.Path
		}
		Allow(w, r, path)
		if len(v.opts.Origins) > 0 {
			w.Header().Add("Allow", http.MethodOptions)
		}
		return &problem{http.StatusMethodNotAllowed, "method_not_allowed", "method not allowed"}
	}))
	r.Get("/openapi.yaml", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = w.Write(openAPI) // a client that left needs no answer
	})
	r.Get("/sessions/{token}/tail", v.handle(v.tailSession)) // the token is its credential
	r.Post("/sessions/{token}/tail", v.handle(v.tailSession))
	r.Group(func(r chi.Router) {
		r.Use(v.checked(v.authorize))
		r.Get("/apps", v.handle(v.listApps))
		r.Get("/apps/{app}", v.handle(v.showApp))
		for _, of := range []string{"", "/apps/{app}"} { // several apps, and one
			r.Get(of+"/histogram", v.handle(v.histogram))
			r.Get(of+"/logs", v.handle(v.readLogs))
			r.Get(of+"/tail", v.handle(v.tailLogs))
			r.Post(of+"/sessions", v.handle(v.createSession))
		}
		r.Post("/logs", v.handle(v.readLogs)) // whose parameters may be too long for a URL
		r.Post("/tail", v.handle(v.tailLogs))
		r.Delete("/apps/{app}/logs", v.handle(v.deleteLogs))
	})
	v.router = r
	return v
}

// Allow says in the header which methods the path has.
func Allow(w http.ResponseWriter, routes chi.Routes, path string) {
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		if routes.Match(chi.NewRouteContext(), method, path) {
			w.Header().Add("Allow", method)
			if method == http.MethodGet {
				w.Header().Add("Allow", http.MethodHead)
			}
		}
	}
}

// Handler serves the API.
func (v *API) Handler() http.Handler { return v.router }

// AppName returns the path's app. The router matches the path as it was sent if that is not how
// it would be written, which RawPath is for, and else without its escapes.
func AppName(r *http.Request) (app string, err error) {
	if app = chi.URLParam(r, "app"); r.URL.RawPath != "" {
		if app, err = url.PathUnescape(app); err != nil {
			return "", sdk.Refusef("app name %.80q: not a valid part of a path", chi.URLParam(r, "app"))
		}
	}
	return app, sdk.CheckApp(app)
}

// asked returns the app and the parameters of a request, which has none but those named.
func asked(r *http.Request, names []string) (app string, values url.Values, err error) {
	if app, err = AppName(r); err == nil {
		values, err = parameters(r, names)
	}
	return app, values, err
}

// admit refuses a request that is not for a name of this logger, or for which there is no room.
func (v *API) admit(w http.ResponseWriter, r *http.Request) error {
	return v.opts.Guard.Admit(w, r, listen.Full)
}

// authorize refuses a request that has no token, if tokens are asked for.
func (v *API) authorize(_ http.ResponseWriter, r *http.Request) error { return v.opts.Guard.Token(r) }

// checked lets those requests in that check does not refuse.
func (v *API) checked(check func(http.ResponseWriter, *http.Request) error) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return v.handle(func(w http.ResponseWriter, r *http.Request) error {
			err := check(w, r)
			if err == nil {
				next.ServeHTTP(w, r)
			}
			return err
		})
	}
}

// cors lets pages of the configured origins read the answers. Without any, which is
// the default, browsers keep pages of other origins out.
func (v *API) cors(next http.Handler) http.Handler {
	if len(v.opts.Origins) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, origin := w.Header(), r.Header.Get("Origin")
		h.Add("Vary", "Origin")
		h.Set("Access-Control-Expose-Headers", "ETag, Location, Retry-After, X-Request-Id")
		for _, allowed := range v.opts.Origins {
			if origin != "" && (allowed == "*" || allowed == origin) {
				h.Set("Access-Control-Allow-Origin", origin)
				break
			}
		}
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
			h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Last-Event-ID")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}
