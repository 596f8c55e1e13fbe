package api

import (
	"net/http"
	"strings"
	"testing"

	v1 "github.com/deis/logger/host/api/v1"
)

// TestLoki: unless it is turned off, Loki's API answers with lines of this storage.
func TestLoki(t *testing.T) {
	s := kept(numbered(3)...)
	on := newAPI(s, func(o *Options) { o.V1 = v1.Options{Storage: s}; o.Loki = true })
	const query = "/loki/api/v1/query_range?query=%7Bapp%3D%22foo%22%7D&start=0&end=1&direction=forward"
	if w := do(on, http.MethodGet, query); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `["0","1"],["0","2"],["0","3"]`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := do(on, http.MethodGet, "/ready"); w.Code != http.StatusOK || w.Body.String() != "ready\n" {
		t.Errorf("/ready: %d %s", w.Code, w.Body)
	}
	on.opts.Readiness = func() Readiness { return Readiness{} }
	if w := do(on, http.MethodGet, "/ready"); w.Code != http.StatusServiceUnavailable {
		t.Errorf("/ready of one that is not: %d %s", w.Code, w.Body)
	}
	if w := do(on, http.MethodDelete, "/loki/api/v1/query"); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("DELETE: %d %v", w.Code, w.Header())
	}
	off := newAPI(s, func(o *Options) { o.V1 = v1.Options{Storage: s} })
	for _, path := range []string{query, "/ready"} {
		if w := do(off, http.MethodGet, path); w.Code != http.StatusNotFound {
			t.Errorf("%s, turned off: %d %s", path, w.Code, w.Body)
		}
	}
}
