package api

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/internal/storagefake"
)

// TestRoomForTheController: tails take all connections except those kept for probes and the
// controller. Connections without a request take none.
func TestRoomForTheController(t *testing.T) {
	s := &storagefake.Storage{}
	s.Add("foo", numbered(1)...)
	addr := serve(t, newAPI(s, withV1(t, s), func(o *Options) { o.MaxConnections = 100 }))
	open := func(path string) (status string, header textproto.MIMEHeader) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if path == "" {
			return "", nil
		}
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		in := textproto.NewReader(bufio.NewReader(c))
		if status, err = in.ReadLine(); err == nil {
			header, err = in.ReadMIMEHeader()
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return strings.TrimPrefix(status, "HTTP/1.1 ")[:3], header
	}
	for i := range 90 {
		if status, _ := open("/v1/apps/foo/tail"); status != "200" {
			t.Fatalf("tail %d: %s", i, status)
		}
	}
	for range 30 { // too many
		open("")
	}
	for path, want := range map[string]string{
		"/v1/apps/foo/tail": "503", "/v1/apps/foo/logs": "503", "/logs/foo": "200", "/healthz": "200", "/readyz": "200",
	} {
		if status, header := open(path); status != want || (status == "503") != (header.Get("Retry-After") != "") {
			t.Errorf("%s: %s, %v, want %s", path, status, header, want)
		}
	}
}

// TestRoomForProbes: requests for /logs of a storage that hangs take all connections except those
// kept for probes. Otherwise the host would be restarted because it has many clients.
func TestRoomForProbes(t *testing.T) {
	hang := make(chan struct{})
	s := &storagefake.Storage{Before: func(context.Context, storagefake.Call) error { <-hang; return nil }}
	addr := serve(t, newAPI(s, func(o *Options) { o.MaxConnections = 40 }))
	defer close(hang)
	ask := func(path string) *http.Response {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		return resp
	}
	for i := range 60 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_, _ = fmt.Fprintf(c, "GET /logs/app-%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, _ = c.Read(make([]byte, 1)) // a refused request also takes its connection for a moment
	}
	for range 50 {
		for _, path := range []string{"/healthz", "/readyz"} {
			resp := ask(path)
			if _ = resp.Body.Close(); resp.StatusCode != 200 {
				t.Fatalf("%s: %d", path, resp.StatusCode)
			}
		}
	}
	resp := ask("/logs/foo")
	if _ = resp.Body.Close(); resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
		t.Errorf("one more for /logs: %d %v", resp.StatusCode, resp.Header)
	}
}

// TestNothingIsStored: no cache on the way may keep an answer, whatever its status.
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
