package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/deis/logger/internal/storagefake"
)

func TestRequestsAreCountedByRoute(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	a := New(nil, Options{Storage: &storagefake.Storage{}, StorageTimeout: time.Second, Logger: hclog.NewNullLogger(), Registry: registry, Metrics: http.NotFoundHandler()})
	for _, request := range []string{
		"GET /logs/foo", "GET /logs/bar/", "HEAD /logs/foo", "GET /healthz", "POST /logs/foo",
		"GET /nowhere", "GET /../../etc", "GET /logs/a/b/c", "BREW /pot", "WHATEVER /logs/foo",
	} {
		method, path, _ := strings.Cut(request, " ")
		a.server.Handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, http.NoBody))
	}
	const want = `
# HELP logger_http_requests_total HTTP requests answered, by method, route and status.
# TYPE logger_http_requests_total counter
logger_http_requests_total{code="200",method="GET",route="/healthz"} 1
logger_http_requests_total{code="204",method="GET",route="/logs/{app}"} 2
logger_http_requests_total{code="204",method="HEAD",route="/logs/{app}"} 1
logger_http_requests_total{code="404",method="GET",route="other"} 3
logger_http_requests_total{code="405",method="POST",route="other"} 1
logger_http_requests_total{code="405",method="other",route="other"} 2
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "logger_http_requests_total"); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(a.metrics.seconds); n != 3 {
		t.Errorf("durations of %d routes, want 3", n)
	}
}
