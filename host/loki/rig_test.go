package loki

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/deis/logger/host/follow"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/internal/testrun"
	"github.com/deis/logger/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// noon is the time of the tests' first lines.
var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// ns writes a time as clients do.
func ns(at time.Time) string { return fmt.Sprint(at.UnixNano()) }

// numbered returns n entries, one a second: every third is a worker's, every fifth a warning.
func numbered(n int) (entries []sdk.Entry) {
	for i := range n {
		at := noon.Add(time.Duration(i) * time.Second)
		e := sdk.Entry{
			Time: at, Published: at.Add(time.Millisecond), Source: sdk.SourceApp, Process: "web", Release: "v2",
			Pod: "foo-web-845861952-nzf60", Stream: "stdout", Host: "node-1", Message: fmt.Sprintf("n=%d", i),
		}
		if i%3 == 0 {
			e.Process, e.Pod, e.Stream = "worker", "foo-worker-845861952-abcde", "stderr"
		}
		if i%5 == 0 {
			e.Level = sdk.LevelWarn
		}
		entries = append(entries, e)
	}
	return entries
}

// rig serves the API over a fake storage, on a real server.
type rig struct {
	*testing.T
	storage *storagefake.Storage
	api     *API
	hub     *follow.Hub
	server  *httptest.Server
}

func newRig(t *testing.T, change ...func(*Options)) *rig {
	t.Helper()
	s := &storagefake.Storage{}
	hub := follow.New(follow.Options{
		Storage: s, Logger: hclog.NewNullLogger(), MaxFollowers: 100, BufferEntries: 10_000, BufferBytes: 1 << 20, ReadTimeout: time.Second,
	})
	o := Options{Storage: s, Hub: hub, Logger: hclog.NewNullLogger(), StorageTimeout: time.Second}
	for _, f := range change {
		f(&o)
	}
	if o.Logs == nil {
		o.Logs = read.New(read.Options{Storage: s, Timeout: time.Second})
	}
	r := &rig{T: t, storage: s, hub: hub, api: New(o)}
	r.server = httptest.NewServer(http.StripPrefix("/loki", r.api.Handler()))
	stopHub := testrun.Start(t, hub.Run)
	t.Cleanup(func() {
		stopHub()
		r.api.Stop(context.Background())
		r.server.CloseClientConnections()
		r.server.Close()
	})
	return r
}

// get sends a request, with parameters in pairs.
func (r *rig) get(path string, pairs ...string) (int, string) {
	r.Helper()
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	return r.do(http.MethodGet, path+"?"+values.Encode(), "")
}

func (r *rig) do(method, path, body string, header ...string) (int, string) {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), method, r.server.URL+path, strings.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := r.server.Client().Do(req)
	if err != nil {
		r.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if kind := resp.Header.Get("Content-Type"); kind != "application/json; charset=utf-8" {
		r.Errorf("%s %s: %d of type %q", method, path, resp.StatusCode, kind)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(b))
}

// answer holds the answer to a query.
type answer struct {
	Status   string
	Warnings []string
	Data     struct {
		ResultType string
		Result     []struct {
			Stream, Metric map[string]string
			Values         [][2]any
			Value          [2]any
		}
	}
}

// ask sends a request, and fails the test unless it succeeds.
func (r *rig) ask(path string, pairs ...string) (a answer) {
	r.Helper()
	status, body := r.get(path, pairs...)
	if status != http.StatusOK {
		r.Fatalf("%s %q: %d %s", path, pairs, status, body)
	}
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		r.Fatalf("%s %q: %v in %s", path, pairs, err, body)
	}
	if a.Status != "success" {
		r.Fatalf("%s %q: %s", path, pairs, body)
	}
	return a
}

// lines returns the lines of all streams, in the order of the answer.
func (a *answer) lines() (lines []string) {
	for _, of := range a.Data.Result {
		for _, v := range of.Values {
			lines = append(lines, fmt.Sprint(v[1]))
		}
	}
	return lines
}
