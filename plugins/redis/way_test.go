package redis

import (
	"context"
	"os"
	"path"
	"runtime"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/sdk"
)

// mostFunctions bounds the functions of ours that a line passes from Append to Redis. Those that
// make its block (fill, encode and sdk.AppendEntries) have returned when the block is sent.
const mostFunctions, encoding = 7, "appending.fill` → `encode` → `sdk.AppendEntries"

// watched records which functions of ours send a pipeline.
type watched struct{ way []string }

func (w *watched) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (w *watched) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (w *watched) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		callers := make([]uintptr, 100)
		frames := runtime.CallersFrames(callers[:runtime.Callers(1, callers)])
		w.way = nil
		for more := true; more; {
			var f runtime.Frame
			f, more = frames.Next()
			if strings.Contains(f.Function, "deis/logger/") && !strings.HasSuffix(f.File, "_test.go") {
				_, name, _ := strings.Cut(path.Base(f.Function), ".")
				w.way = append([]string{strings.NewReplacer("(*", "", ")", "").Replace(name)}, w.way...)
			}
		}
		return next(ctx, commands)
	}
}

// TestFunctionsToRedis counts the functions from Append on, and compares their names with the
// document about the way of a line.
func TestFunctionsToRedis(t *testing.T) {
	s, w := open(t, redistest.Start(t)), new(watched)
	batch := sdk.Batch{ID: sdk.BatchID{Writer: "w", Sequence: 1}, Apps: []sdk.AppEntries{{App: "foo", Entries: numbered(1, 3)}}}
	if err := s.Append(t.Context(), batch); err != nil { // loads the script
		t.Fatal(err)
	}
	s.client.AddHook(w)
	batch.ID.Sequence++
	if err := s.Append(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if len(w.way) == 0 || w.way[0] != "storage.Append.func1" { // the goroutine of a lane
		t.Fatalf("sent by %q", w.way)
	}
	w.way[0] = "storage.Append"
	if n := len(w.way) + 3; n > mostFunctions {
		t.Errorf("%d functions, want at most %d: %q", n, mostFunctions, w.way)
	}
	text, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	document := strings.Join(strings.Fields(string(text)), " ")
	before, sent := strings.Join(w.way[:2], "` → `"), strings.Join(w.way[2:], "` → `")
	if want := "`" + before + "` → `" + encoding + "`, then `" + sent + "`"; !strings.Contains(document, want) {
		t.Errorf("docs/architecture.md does not show %s", want)
	}
}
