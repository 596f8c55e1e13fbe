package redis

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/sdk"
)

// TestListedAgain lists logs that change in every way, and those that do not: it is what
// somebody says who never listed them, and takes no block of what did not change.
func TestListedAgain(t *testing.T) {
	server := redistest.Start(t)
	few := func(s *Settings) { s.Lines = 40 }
	s := open(t, server, few)
	batch := benchBatch(300, 6)
	appendTo := func(apps ...int) {
		t.Helper()
		batch.ID.Sequence++
		b := sdk.Batch{ID: batch.ID}
		for _, i := range apps {
			b.Apps = append(b.Apps, batch.Apps[i])
			for j := range batch.Apps[i].Entries {
				batch.Apps[i].Entries[j].Published = batch.Apps[i].Entries[j].Published.Add(1e9)
			}
		}
		mustAppend(t, s, b)
	}
	fetched := func() (calls string) {
		for line := range strings.Lines(server.MustDo("INFO", "commandstats")) {
			if rest, ok := strings.CutPrefix(line, "cmdstat_lrange:calls="); ok {
				calls, _, _ = strings.Cut(rest, ",")
			}
		}
		return calls
	}
	list := func(s *storage) string {
		t.Helper()
		infos, err := s.Apps(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(infos, func(a, b sdk.AppInfo) int { return cmp.Compare(a.App, b.App) })
		return fmt.Sprintf("%+v", infos)
	}
	appendTo(0, 1, 2, 3, 4, 5)
	for i, tc := range []struct {
		what   string
		change func()
		blocks int // apps whose blocks are needed
	}{
		{"at first", func() {}, 6},
		{"again", func() {}, 0},
		{"one grew", func() { appendTo(2) }, 1},
		{"one is gone", func() { must(t, s.Delete(t.Context(), "app-3")) }, 0},
		{"it began again", func() { appendTo(3) }, 1},
		{"a list was evicted", func() { server.MustDo("DEL", blocksKey("app-4")) }, 0},
		{"and goes on", func() { appendTo(4) }, 1},
		{"all grew", func() { appendTo(0, 1, 2, 3, 4, 5) }, 6},
		{"again", func() {}, 0},
	} {
		tc.change()
		before := fetched()
		got := list(s)
		var from, to int
		_, _ = fmt.Sscan(before, &from)
		_, _ = fmt.Sscan(fetched(), &to)
		if to-from != 2*tc.blocks {
			t.Errorf("step %d, %s: %d blocks were fetched, want %d", i, tc.what, to-from, 2*tc.blocks)
		}
		if want := list(open(t, server, few)); got != want {
			t.Errorf("step %d, %s: got\n%s\nwant\n%s", i, tc.what, got, want)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
