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
)

// mostFunctions bounds the functions of this project that a request for lines passes before the
// storage.
const mostFunctions = 5

// way returns the functions of ours that led to this call, from the handler on.
func way() string {
	callers := make([]uintptr, 100)
	frames := runtime.CallersFrames(callers[:runtime.Callers(2, callers)])
	var names []string
	for {
		f, more := frames.Next()
		name := path.Base(f.Function) // package.(*Type).method
		if strings.Contains(f.Function, "deis/logger/host/") && !strings.HasSuffix(f.File, "_test.go") {
			_, name, _ = strings.Cut(name, ".")
			names = append([]string{strings.NewReplacer("(*", "", ")", "").Replace(name)}, names...)
		}
		if !more || strings.HasSuffix(name, "readLogs") {
			return strings.Join(names, "` → `")
		}
	}
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
	s := kept(entries[:20]...)
	var ways []string // one of each read
	s.Before = func(_ context.Context, call storagefake.Call) error {
		if call.Method == "Read" {
			ways = append(ways, way())
		}
		return nil
	}
	a := newAPI(s)
	for i := range 2 {
		if w := do(a, http.MethodGet, "/logs/foo?log_lines=10"); w.Code != http.StatusOK {
			t.Fatalf("%d %s", w.Code, w.Body)
		}
		if len(ways) != i+1 {
			t.Fatalf("%d reads after %d requests: %q", len(ways), i+1, ways)
		}
		last := ways[i]
		if n := strings.Count(last, "→") + 1; n > mostFunctions || !strings.HasPrefix(last, "API.readLogs`") {
			t.Errorf("%d functions, want at most %d: %s", n, mostFunctions, last)
		}
		if want := last + "` → `plugin.Storage.Read`"; !strings.Contains(document, want) {
			t.Errorf("docs/architecture.md does not show `%s", want)
		}
		s.Add("foo", entries[20])
	}
	if ways[0] == ways[1] {
		t.Errorf("both times %s", ways[0])
	}
}
