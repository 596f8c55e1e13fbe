package memory

import (
	"context"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/deis/logger/internal/metricstest"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

// TestMetrics: the arena's bytes add up, and runs, apps and followers are counted.
func TestMetrics(t *testing.T) {
	opened, err := Open(t.Context(), Settings{Lines: 10, Budget: 2 << 20}, sdk.Host{})
	if err != nil {
		t.Fatal(err)
	}
	s := opened.(*storage)
	t.Cleanup(func() { _ = s.Close() })
	now := time.Unix(1_700_000_000, 0)
	for i := range 3 * appsAtOnce {
		entry := sdk.Entry{Published: now, Time: now, Message: "a line"}
		late := entry
		late.Published = now.Add(-time.Minute) // goes to another run
		for j, e := range []sdk.Entry{entry, late} {
			if err := s.Append(t.Context(), batchOf("w", uint64(2*i+j+1), fmt.Sprint("app-", i), e)); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Follow(ctx, "app-0", sdk.Cursor{}, func(sdk.Page) error { return nil })
	}()
	var got map[string]float64
	testwait.Within(t, 10*time.Second, "the app is followed", func() bool {
		got = metricstest.Of(t, s)
		return got["followed_apps"] == 1
	})
	cancel()
	<-done
	totals, err := s.Totals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	maps.DeleteFunc(got, func(name string, _ float64) bool { return len(name) > 8 && name[:8] == "process_" })
	// Block 0 counts as none of these.
	kept := got["arena_bytes"] - got["arena_free_bytes"] - got["arena_directory_bytes"] - blockSize
	if kept != float64(totals.Bytes) || kept == 0 || got["arena_limit_bytes"] != 2<<20 || got["arena_directory_bytes"] == 0 {
		t.Errorf("%v bytes are kept, want %d, of %v", kept, totals.Bytes, got)
	}
	if got["known_apps"] != 3*appsAtOnce || got["runs"] != 6*appsAtOnce || got["followed_apps"] != 1 || got["large_reads"] != 0 {
		t.Errorf("got %v", got)
	}
	if now := metricstest.Of(t, s); now["followed_apps"] != 0 {
		t.Errorf("followed_apps is %v after the follower left", now["followed_apps"])
	}
}
