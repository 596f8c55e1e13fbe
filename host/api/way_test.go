package api

import (
	"context"
	"net/http"
	"os"
	"path"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/sdk"
)

// mostFunctions bounds the functions of this project that a request for lines passes before the
// storage.
const mostFunctions = 5

// watched records which functions of ours lead to each read.
type watched struct {
	*storagefake.Storage
	ways []string
}

func (s *watched) Read(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	callers := make([]uintptr, 100)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	var way []string
	for {
		f, more := frames.Next()
		name := path.Base(f.Function) // package.(*Type).method
		if strings.Contains(f.Function, "deis/logger/host/") && !strings.HasSuffix(f.File, "_test.go") {
			_, name, _ = strings.Cut(name, ".")
			way = append([]string{strings.NewReplacer("(*", "", ")", "").Replace(name)}, way...)
		}
		if !more || strings.HasSuffix(name, "readLogs") {
			break
		}
	}
	s.ways = append(s.ways, strings.Join(way, "` → `"))
	return s.Storage.Read(ctx, opts)
}

// TestFunctionsToTheStorage counts the functions from the handler of GET /logs/{app} on, and
// compares their names with the document about the way of a line: once for all lines, and once for
// those that arrived since.
func TestFunctionsToTheStorage(t *testing.T) {
	text, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	document := strings.Join(strings.Fields(string(text)), " ")
	entries := numbered(21)
	for i := range entries {
		entries[i].Published = entries[i].Time.Add(time.Duration(i))
	}
	s := &watched{Storage: kept(entries[:20]...)}
	a := newAPI(s)
	for i := range 2 {
		if w := do(a, http.MethodGet, "/logs/foo?log_lines=10"); w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if len(s.ways) != i+1 {
			t.Fatalf("%d reads after %d requests: %q", len(s.ways), i+1, s.ways)
		}
		way := s.ways[i]
		if n := strings.Count(way, "→") + 1; n > mostFunctions || !strings.HasPrefix(way, "API.readLogs`") {
			t.Errorf("%d functions, want at most %d: %s", n, mostFunctions, way)
		}
		if want := way + "` → `plugin.Storage.Read`"; !strings.Contains(document, want) {
			t.Errorf("docs/architecture.md does not show `%s", want)
		}
		s.Add("foo", entries[20])
	}
	if s.ways[0] == s.ways[1] {
		t.Errorf("both times %s", s.ways[0])
	}
}
