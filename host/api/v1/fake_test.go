package v1

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
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

// numberedCursor is an arbitrary cursor.
var numberedCursor = read.Place{Cursor: sdk.Cursor{Epoch: 7, Position: 9}}

var epochStart = time.Date(2026, 3, 4, 5, 6, 7, 0, time.FixedZone("", 2*3600))

// numbered returns n entries: every tenth is the controller's, every third a worker's.
func numbered(n int) (entries []sdk.Entry) {
	for i := 1; i <= n; i++ {
		e := sdk.Entry{
			Time: epochStart.Add(time.Duration(i) * time.Second), Published: epochStart.Add(time.Duration(i)*time.Second + time.Millisecond),
			Source: sdk.SourceApp, Process: "web", Release: "v2", Pod: "foo-web-845861952-nzf60", Stream: "stdout", Host: "node-1",
			Message: fmt.Sprintf("line %d", i),
		}
		if i%3 == 0 {
			e.Process, e.Pod, e.Stream = "worker", "foo-worker-845861952-abcde", "stderr"
		}
		if i%5 == 0 {
			e.Level = sdk.LevelWarn
		}
		if i%10 == 0 {
			e = sdk.Entry{Time: e.Time, Source: sdk.SourceController, Level: sdk.LevelInfo, Message: fmt.Sprintf("INFO line %d", i)}
		}
		entries = append(entries, e)
	}
	return entries
}

// rig serves the API over a fake storage, on a real server.
type rig struct {
	*testing.T
	api     *API
	storage *storagefake.Storage
	hub     *follow.Hub
	server  *httptest.Server
	stopHub func()
}

func newRig(t *testing.T, change ...func(*Options)) *rig {
	t.Helper()
	s := &storagefake.Storage{Polled: true}
	hub := follow.New(follow.Options{
		Storage: s, Logger: hclog.NewNullLogger(), MaxFollowers: 3, BufferEntries: 10_000, BufferBytes: 1 << 20, ReadTimeout: time.Second,
	})
	o := Options{
		Storage: s, Hub: hub, SessionKey: []byte("a key of thirty-two bytes, for tests"), Logger: hclog.NewNullLogger(), StorageTimeout: time.Second,
	}
	for _, f := range change {
		f(&o)
	}
	if o.Logs == nil {
		o.Logs = read.New(read.Options{Storage: o.Storage, Timeout: o.StorageTimeout})
	}
	hub = o.Hub
	r := &rig{T: t, api: New(o), storage: s, hub: hub}
	mux := http.NewServeMux()
	mux.Handle("/v1/", http.StripPrefix("/v1", r.api.Handler()))
	r.server = httptest.NewServer(mux)
	r.stopHub = testrun.Start(t, hub.Run)
	t.Cleanup(func() {
		r.stopHub()
		r.server.CloseClientConnections()
		r.server.Close()
	})
	return r
}

// answer holds the head of an answer.
type answer struct {
	StatusCode int
	Header     http.Header
}

// ask makes a request whose answer ends.
func (r *rig) ask(method, path, body string, header ...string) (answer, string) {
	r.Helper()
	resp := r.open(method, path, body, header...)
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp.StatusCode, resp.Header}, string(b)
}

func (r *rig) open(method, path, body string, header ...string) *http.Response {
	r.Helper()
	req, err := http.NewRequestWithContext(r.Context(), method, r.server.URL+path, strings.NewReader(body))
	if err != nil {
		r.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := r.server.Client().Do(req)
	if err != nil {
		r.Fatalf("%s %s: %v", method, path, err)
	}
	return resp
}

// lines reads a tail line by line.
type lines struct {
	*rig
	resp *http.Response
	in   *bufio.Reader
}

func (r *rig) tail(path string, header ...string) *lines {
	r.Helper()
	resp := r.open(http.MethodGet, path, "", header...)
	r.Cleanup(func() { _ = resp.Body.Close() })
	return &lines{rig: r, resp: resp, in: bufio.NewReader(resp.Body)}
}

func (l *lines) line() string {
	l.Helper()
	line, err := l.in.ReadString('\n')
	if err != nil {
		l.Fatalf("the tail ended: %v", err)
	}
	return short(strings.TrimSuffix(line, "\n"))
}

// lineHead matches the beginning of a line of text.
var lineHead = regexp.MustCompile(`(?m)^\d{4}-\S+ \S+: `)

// short replaces the beginnings of the lines in text.
func short(text string) string { return lineHead.ReplaceAllString(text, "foo: ") }

func (l *lines) want(want ...string) {
	l.Helper()
	for _, w := range want {
		if got := l.line(); got != w {
			l.Fatalf("got %q, want %q", got, w)
		}
	}
}

// record returns the next line as a record.
func (l *lines) record() (r map[string]any) {
	l.Helper()
	line := l.line()
	if err := json.Unmarshal([]byte(line), &r); err != nil {
		l.Fatalf("%q: %v", line, err)
	}
	return r
}

// code returns the code of an error answer.
func code(body string) string {
	var p struct {
		Error struct{ Code, Message string }
	}
	if json.Unmarshal([]byte(body), &p) != nil || p.Error.Message == "" || strings.Contains(p.Error.Message, "\n") {
		return "not an error: " + body
	}
	return p.Error.Code
}
