package api

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/deis/logger/internal/storagefake"
)

// TestRoomForTheController: tails take all connections but those that are kept for probes and the
// controller, and connections without a request take none.
func TestRoomForTheController(t *testing.T) {
	s := &storagefake.Storage{}
	s.Add("foo", numbered(1)...)
	addr := serve(t, newAPI(s, withV1(t, s), func(o *Options) { o.MaxConnections = 20 }))
	open := func(path string) (*http.Response, *bufio.Reader) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		in := bufio.NewReader(c)
		if path == "" {
			return nil, in
		}
		if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(in, nil) //nolint:bodyclose // the connection is closed
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return resp, in
	}
	for i := range 18 {
		if resp, _ := open("/v1/apps/foo/tail"); resp.StatusCode != 200 {
			t.Fatalf("tail %d: %s", i, resp.Status)
		}
	}
	for range 30 { // they are one half too many
		open("")
	}
	for path, want := range map[string]int{
		"/v1/apps/foo/tail": 503, "/v1/apps/foo/logs": 503, "/logs/foo": 200, "/healthz": 200, "/readyz": 200,
	} {
		resp, _ := open(path)
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != want || err != nil || want == 503 && resp.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %s %s, %v", path, resp.Status, body, err)
		}
	}
}

// TestNothingIsStored: no answer may be kept by a cache on the way, whatever its status.
func TestNothingIsStored(t *testing.T) {
	a := newAPI(kept(numbered(1)...))
	for target, want := range map[string]int{
		"/logs/foo": 200, "/logs/foo?log_lines=0": 204, "/logs/bar": 204, "/logs/-": 400, "/nope": 404, "/healthz": 200, "/readyz": 200,
	} {
		if w := do(a, http.MethodGet, target); w.Code != want || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, want %d, %v", target, w.Code, want, w.Header())
		}
	}
	if w := do(a, http.MethodPut, "/logs/foo"); w.Code != 405 || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("PUT: %d %v", w.Code, w.Header())
	}
}
