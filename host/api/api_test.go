package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/sdk"
)

func TestMain(m *testing.M) {
	if os.Getenv(modeEnv) != "" {
		serveMemory()
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// kept returns a storage in which foo's log has these entries.
func kept(entries ...sdk.Entry) *storagefake.Storage {
	s := &storagefake.Storage{}
	s.Add("foo", entries...)
	return s
}

// numbered returns n entries whose text is their number.
func numbered(n int) []sdk.Entry {
	out := make([]sdk.Entry, n)
	for i := range out {
		out[i] = sdk.Entry{Time: time.Unix(0, 0).UTC(), Source: sdk.SourceApp, Process: "web", Release: "v1", Message: fmt.Sprint(i + 1)}
	}
	return out
}

func newAPI(s read.Storage, change ...func(*Options)) *API {
	o := Options{
		Storage: s, Logger: hclog.NewNullLogger(), StorageTimeout: 10 * time.Second,
		Readiness: func() Readiness { return Readiness{Ready: true} }, Metrics: http.NotFoundHandler(),
	}
	for _, f := range change {
		f(&o)
	}
	return New(nil, o)
}

func do(a *API, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	a.server.Handler.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

func TestLogLines(t *testing.T) {
	const all = 250
	a := newAPI(kept(numbered(all)...))
	for query, want := range map[string]int{
		"": 100, "?log_lines=": 100, "?log_lines=abc": 100, "?log_lines=1.5": 100, "?log_lines=%zz": 100, "?log_lines=1e3": 100,
		"?log_lines=0x10": 100, "?log_lines=1_0": 100, "?log_lines=%20": 100, "?other=5": 100, "?log_lines=5;x": 100,
		"?log_lines=7": 7, "?log_lines=%2B7": 7, "?log_lines=007": 7, "?log_lines=1&log_lines=9": 1,
		"?log_lines=-1": all, "?log_lines=-5": all, "?log_lines=251": all, "?log_lines=9223372036854775807": all,
		"?log_lines=99999999999999999999999": all, "?log_lines=-99999999999999999999999": all,
		"?log_lines=0": 0, "?log_lines=-0": 0,
	} {
		for _, slash := range []string{"", "/"} {
			w := do(a, http.MethodGet, "/logs/foo"+slash+query)
			lines := strings.SplitAfter(w.Body.String(), "\n")
			if got := len(lines) - 1; got != want {
				t.Errorf("%q: %d lines, want %d", slash+query, got, want)
			}
			if want == 0 {
				if w.Code != http.StatusNoContent || w.Body.Len() != 0 {
					t.Errorf("%q: %d %q", query, w.Code, w.Body)
				}
				continue
			}
			last := fmt.Sprintf("1970-01-01T00:00:00+00:00 foo[web.v1]: %d\n", all)
			if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" || lines[want-1] != last {
				t.Errorf("%q: %d %v, the last line %q", query, w.Code, w.Header(), lines[want-1])
			}
		}
	}
}

func TestHugeLogLinesAllocateNothing(t *testing.T) {
	a := newAPI(kept(numbered(3)...))
	allocated := testing.AllocsPerRun(10, func() { do(a, http.MethodGet, fmt.Sprintf("/logs/foo?log_lines=%d", math.MaxInt64)) })
	if allocated > 1000 {
		t.Errorf("%v allocations", allocated)
	}
}

func TestPagesAreOneAnswer(t *testing.T) {
	s := kept(numbered(25)...)
	s.Page = 4
	for _, n := range []int{-1, 10, 4, 25, 26} {
		w := do(newAPI(s), http.MethodGet, fmt.Sprintf("/logs/foo?log_lines=%d", n))
		want := ""
		for i := range 25 {
			if n < 0 || i >= 25-n {
				want += fmt.Sprintf("1970-01-01T00:00:00+00:00 foo[web.v1]: %d\n", i+1)
			}
		}
		if w.Body.String() != want {
			t.Errorf("log_lines=%d: got %q", n, w.Body)
		}
	}
}

func TestAppWithoutLines(t *testing.T) {
	if w := do(newAPI(&storagefake.Storage{}), http.MethodGet, "/logs/foo"); w.Code != http.StatusNoContent || w.Body.Len() != 0 {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
}

func TestStorageThatCannotAnswer(t *testing.T) {
	for name, err := range map[string]error{
		"away":    fmt.Errorf("storage plugin redis is starting\nsecond line: %w", sdk.ErrUnavailable),
		"full":    sdk.ErrFull,
		"panics":  sdk.ErrPanic,
		"unknown": errors.New("disk on fire"),
		"hangs":   context.DeadlineExceeded,
	} {
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			s := &storagefake.Storage{Before: func(ctx context.Context, _ storagefake.Call) error {
				if name == "hangs" {
					<-ctx.Done()
				}
				return err
			}}
			a := newAPI(s, func(o *Options) { o.StorageTimeout = 50 * time.Millisecond })
			w := do(a, method, "/logs/foo")
			body := w.Body.String()
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || strings.Count(body, "\n") != 1 || !strings.HasSuffix(body, "\n") {
				t.Errorf("%s %s: %d %v %q", method, name, w.Code, w.Header(), body)
			}
		}
	}
}

func TestFailureInAnyPageIsA503(t *testing.T) {
	for errAt := int32(1); errAt <= 4; errAt++ {
		s := kept(numbered(5000)...)
		s.Page = 2000
		var reads atomic.Int32
		s.Before = func(_ context.Context, c storagefake.Call) error {
			if c.Method == "Read" && reads.Add(1) == errAt {
				return sdk.ErrUnavailable
			}
			return nil
		}
		if w := do(newAPI(s), http.MethodGet, "/logs/foo?log_lines=-1"); w.Code != http.StatusServiceUnavailable {
			t.Errorf("read %d fails: %d", errAt, w.Code)
		}
	}
}

// TestLogThatMovesWhileItIsRead changes the log between two pages.
func TestLogThatMovesWhileItIsRead(t *testing.T) {
	for name, tc := range map[string]struct {
		before func(s *storagefake.Storage, read int32)
		first  int // first number of the answer; 0 if there is no answer
	}{
		"grows": {func(s *storagefake.Storage, _ int32) {
			_, last, _ := s.Kept("foo")
			s.Add("foo", numbered(int(last) + 10)[last:]...)
		}, 1},
		"trimmed": {func(s *storagefake.Storage, _ int32) { s.Keep("foo", 2000) }, 3001},
		"deleted once": {func(s *storagefake.Storage, read int32) {
			if read == 2 {
				s.Begin("foo")
				s.Add("foo", numbered(5000)...)
			}
		}, 1},
		"deleted for ever": {func(s *storagefake.Storage, _ int32) {
			s.Begin("foo")
			s.Add("foo", numbered(5000)...)
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := kept(numbered(5000)...)
			s.Page = 1000
			var reads atomic.Int32
			s.Before = func(_ context.Context, c storagefake.Call) error {
				if n := reads.Add(1); c.Method == "Read" && n > 1 {
					tc.before(s, n)
				}
				return nil
			}
			w := do(newAPI(s), http.MethodGet, "/logs/foo?log_lines=-1")
			if tc.first == 0 {
				if w.Code != http.StatusServiceUnavailable {
					t.Errorf("got %d", w.Code)
				}
				return
			}
			lines := strings.Split(strings.TrimSuffix(w.Body.String(), "\n"), "\n")
			for i, line := range lines {
				if !strings.HasSuffix(line, fmt.Sprintf(": %d", tc.first+i)) {
					t.Fatalf("line %d is %q: a hole", i, line)
				}
			}
			if want := 5000 - tc.first + 1; len(lines) < want || len(lines) > want+10 {
				t.Errorf("%d lines, want %d", len(lines), want)
			}
		})
	}
}

func TestSlowClientGetsAll(t *testing.T) {
	a := newAPI(kept(sdk.Entry{Message: strings.Repeat("x", 32<<20)}), func(o *Options) { o.StorageTimeout = 1500 * time.Millisecond })
	server := httptest.NewServer(a.server.Handler)
	defer server.Close()
	resp, err := server.Client().Get(server.URL + "/logs/foo")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	<-time.After(2 * a.opts.StorageTimeout) // the client's pace
	if n, err := io.Copy(io.Discard, resp.Body); err != nil || n < 32<<20 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestDelete(t *testing.T) {
	s := &storagefake.Storage{}
	a := newAPI(s)
	for _, path := range []string{"/logs/foo", "/logs/foo/"} {
		if w := do(a, http.MethodDelete, path); w.Code != http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if calls := s.Calls("Delete"); len(calls) != 2 || calls[0].App != "foo" {
		t.Errorf("deleted %+v", calls)
	}
}

func TestHostileRequests(t *testing.T) {
	for _, tc := range []struct {
		method, target string
		status         int
	}{
		{http.MethodGet, "/", 404},
		{http.MethodGet, "/logs", 404},
		{http.MethodGet, "/logs/", 404},
		{http.MethodGet, "/logs//", 400},
		{http.MethodGet, "/logs/foo/bar", 404},
		{http.MethodGet, "/logs/..", 400},
		{http.MethodGet, "/logs/../healthz", 404},
		{http.MethodGet, "/logs/%66oo", 200},
		{http.MethodGet, "/logs/a%2Fb", 400},
		{http.MethodGet, "/logs/%00", 400},
		{http.MethodGet, "/logs/%0d%0aX-Evil:1", 400},
		{http.MethodGet, "/logs/foo%20bar", 400},
		{http.MethodGet, "/logs/-foo", 400},
		{http.MethodGet, "/logs/caf%C3%A9", 400},
		{http.MethodGet, "/logs/" + strings.Repeat("x", 300), 400},
		{http.MethodDelete, "/logs/a%2Fb", 400},
		{http.MethodPost, "/logs/foo", 405},
		{http.MethodPut, "/logs/foo", 405},
		{http.MethodPatch, "/healthz", 405},
		{"BREW", "/logs/foo", 405},
		{http.MethodGet, "/debug/pprof/", 404},
	} {
		w := do(newAPI(kept(numbered(1)...)), tc.method, tc.target)
		body := w.Body.String()
		if w.Code != tc.status || strings.Count(body, "\n") != 1 || !strings.HasSuffix(body, "\n") {
			t.Errorf("%s %.60s: %d %.200q, want %d and one line", tc.method, tc.target, w.Code, body, tc.status)
		}
		if tc.status == 405 && w.Header().Get("Allow") == "" {
			t.Errorf("%s %s: no Allow", tc.method, tc.target)
		}
	}
}

func TestHealth(t *testing.T) {
	a := newAPI(&storagefake.Storage{})
	ready, serving := false, false
	a.opts.Readiness = func() Readiness { return Readiness{Ready: ready, Serving: serving, Plugins: []string{"x"}} }
	for _, path := range []string{"/healthz", "/healthz/"} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if w := do(a, method, path); w.Code != http.StatusOK {
				t.Errorf("%s %s: %d", method, path, w.Code)
			}
		}
	}
	for _, tc := range []struct {
		ready, serving         bool
		strict, other, lenient int
	}{
		{false, false, 503, 503, 503},
		{false, true, 503, 503, 200},
		{true, true, 200, 200, 200},
	} {
		ready, serving = tc.ready, tc.serving
		for query, want := range map[string]int{"": tc.strict, "?degraded=no": tc.other, "?degraded=ok": tc.lenient} {
			w := do(a, http.MethodGet, "/readyz"+query)
			var got Readiness
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != want || got.Ready != ready || got.Serving != serving || w.Header().Get("Content-Type") != "application/json" {
				t.Errorf("/readyz%s: %d %q, %v, want %d", query, w.Code, w.Body, err, want)
			}
		}
	}
}

func TestRequestID(t *testing.T) {
	a := newAPI(&storagefake.Storage{})
	for _, tc := range []struct {
		sent string
		kept bool
	}{{"abc-123", true}, {"", false}, {"a b", false}, {"x\r\ny", false}, {strings.Repeat("x", 200), false}} {
		r := httptest.NewRequest(http.MethodGet, "/healthz", nil)
		r.Header[requestIDHeader] = []string{tc.sent}
		w := httptest.NewRecorder()
		a.server.Handler.ServeHTTP(w, r)
		if got := w.Header().Get(requestIDHeader); got == "" || (got == tc.sent) != tc.kept {
			t.Errorf("sent %q, got %q", tc.sent, got)
		}
	}
}

func TestPanicInAHandlerIsA500(t *testing.T) {
	a := newAPI(&storagefake.Storage{})
	a.opts.Readiness = func() Readiness { panic("boom") }
	if w := do(a, http.MethodGet, "/readyz"); w.Code != http.StatusInternalServerError || w.Body.String() != "internal error\n" {
		t.Errorf("got %d %q", w.Code, w.Body)
	}
}

func TestRunStopsWithinItsBounds(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := New(listener, Options{
		Storage: &storagefake.Storage{}, Logger: hclog.NewNullLogger(), StorageTimeout: time.Second,
		Readiness: func() Readiness { return Readiness{} }, Metrics: http.NotFoundHandler(),
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	idle, err := net.Dial("tcp", listener.Addr().String()) // a client that never sends anything
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = idle.Close() }()
	if _, err := idle.Write([]byte("GET /logs/foo HTTP/1.1\r\nHost: x\r\n")); err != nil { // a request that never ends
		t.Fatal(err)
	}
	began := time.Now()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 4*drainTimeout {
		t.Errorf("the stop took %s", took)
	}
}
