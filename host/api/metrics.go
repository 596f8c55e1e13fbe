package api

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
)

// metrics count requests by route, and never by what a client made up: a label for each path or
// method would fill the memory.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(registry prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "logger_http_requests_total", Help: "HTTP requests answered, by method, route and status.",
		}, []string{"method", "route", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "logger_http_request_seconds", Help: "Duration of HTTP requests, by route; a tail lasts until its end.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 3, 10),
		}, []string{"route"}),
	}
	if registry != nil {
		registry.MustRegister(m.requests, m.seconds)
	}
	return m
}

// unknown is the label of requests without a route, and of unusual methods.
const unknown = "other"

// observe counts a request that was answered.
func (m *metrics) observe(r *http.Request, status int, took time.Duration) {
	route := strings.TrimSuffix(chi.RouteContext(r.Context()).RoutePattern(), "/")
	if route == "" || strings.HasSuffix(route, "*") {
		route = unknown
	}
	method := r.Method
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete, http.MethodOptions:
	default:
		method = unknown
	}
	if status == 0 {
		status = http.StatusOK // a handler that wrote nothing at all
	}
	m.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

// measure counts and, at debug level, logs each request once it is answered.
func (a *API) measure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ww := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		start := time.Now()
		defer func() {
			took := time.Since(start)
			a.metrics.observe(r, ww.Status(), took)
			a.logAccess(r, ww, took)
		}()
		next.ServeHTTP(ww, r)
	})
}
