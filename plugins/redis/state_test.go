package redis

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/sdk"
)

// TestBlocksAreLost: Redis evicted a key of the blocks alone, or somebody wrote to it. All that
// was kept is gone. Positions go on, so that a reader learns how much, and the version tells.
func TestBlocksAreLost(t *testing.T) {
	server := redistest.Start(t)
	for name, do := range map[string][]string{
		"evicted":       {"DEL", blocksKey("app")},
		"order evicted": {"DEL", orderKey("app")},
		"a hash":        {"HSET", blocksKey("app"), "field", "value"},
		"order a hash":  {"HSET", orderKey("app"), "field", "value"},
		"more blocks":   {"XADD", blocksKey("app"), "9999999-0", "field", "value"},
		"fewer":         {"XTRIM", blocksKey("app"), "MAXLEN", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			server.MustDo("FLUSHALL")
			var log bytes.Buffer
			s := openWith(t, open(t, server).settings, sdk.Host{Logger: hclog.New(&hclog.LoggerOptions{Output: &log})})
			mustAppend(t, s, batch("w", 1, "app", 101, 105))
			mustAppend(t, s, batch("w", 2, "app", 51, 53)) // late
			before := readAll(t, s, "app")
			if do[0] == "HSET" {
				server.MustDo("DEL", do[1])
			}
			server.MustDo(do...)
			page, err := s.Read(t.Context(), sdk.ReadOptions{App: "app", Limit: -1})
			if err != nil || page.Last != 8 || page.Epoch != before.Epoch {
				t.Fatalf("%+v (%v)", page, err)
			}
			versions, err := s.Versions(t.Context(), []string{"app"})
			if err != nil || do[0] == "DEL" && (len(page.Entries) > 0 || page.Version != 0 || versions[0] != 0) {
				t.Errorf("%d entries, versions %d and %d (%v)", len(page.Entries), page.Version, versions[0], err)
			}
			if _, err := s.Apps(t.Context(), "", 0); err != nil {
				t.Fatal(err)
			}
			mustAppend(t, s, batch("w", 2, "app", 51, 53)) // a repetition
			mustAppend(t, s, batch("w", 3, "app", 106, 108))
			if page := want(t, s, "app", 9, 106, 108); page.Epoch != before.Epoch || page.Last != 11 {
				t.Errorf("up to %d", page.Last)
			}
			if !contains(log.String(), "threw away") {
				t.Errorf("the log does not tell: %q", log.String())
			}
			wantTotals(t, s, 1, 3, 11, 8, 0)
		})
	}
}

// TestStateIsLost: Redis evicted the state alone, or it is damaged. The log begins anew.
func TestStateIsLost(t *testing.T) {
	server := redistest.Start(t)
	for name, do := range map[string][]string{
		"gone":               {"DEL", stateKey("app")},
		"damaged":            {"SET", stateKey("app"), "of another program, and long enough to be taken for one"},
		"short":              {"SET", stateKey("app"), "\x04"},
		"of another version": {"SET", stateKey("app"), string([]byte{2}) + fmt.Sprintf("%060d", 7)},
		"a hash":             {"HSET", stateKey("app"), "field", "value"},
	} {
		t.Run(name, func(t *testing.T) {
			server.MustDo("FLUSHALL")
			s := open(t, server)
			mustAppend(t, s, batch("w", 1, "app", 101, 115))
			mustAppend(t, s, batch("w", 2, "app", 1, 5))
			before := readAll(t, s, "app")
			if name == "a hash" {
				server.MustDo("DEL", stateKey("app"))
			}
			server.MustDo(do...)
			want(t, s, "app", 1, 1, 0)
			mustAppend(t, s, batch("w", 3, "app", 16, 17))
			page := want(t, s, "app", 1, 16, 17)
			if page.Epoch == before.Epoch {
				t.Errorf("epoch is still %x", page.Epoch)
			}
			mustAppend(t, s, batch("w", 3, "app", 16, 17))
			want(t, s, "app", 1, 16, 17)
			if n := server.MustDo("XLEN", blocksKey("app")); n != "1" {
				t.Errorf("%s blocks: some of the lost log are still there", n)
			}
		})
	}
}

// wantTotals checks the sums.
func wantTotals(t *testing.T, s *storage, apps, entries, stored, evicted, deleted int) {
	t.Helper()
	got, err := s.Totals(t.Context())
	got.Bytes = 0
	want := sdk.Totals{Apps: uint64(apps), Entries: uint64(entries), Stored: uint64(stored), Evicted: uint64(evicted), Deleted: uint64(deleted)}
	if err != nil || got != want {
		t.Errorf("%+v (%v), want %+v", got, err, want)
	}
}

// TestWriters: the marks of as many writers as documented are remembered, those that
// stored last, and no more.
func TestWriters(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server)
	n := 0
	store := func(writer int, sequence uint64) {
		t.Helper()
		mustAppend(t, s, batch(fmt.Sprintf("writer %d\n", writer), sequence, "app", n+1, n+1))
		n++
	}
	repeated := func(writer int, sequence uint64) bool {
		t.Helper()
		mustAppend(t, s, batch(fmt.Sprintf("writer %d\n", writer), sequence, "app", n+1, n+1))
		if len(readAll(t, s, "app").Entries) == n {
			return true
		}
		n++
		return false
	}
	for w := range sdk.MarkedWriters {
		store(w, 5)
	}
	store(0, 6) // so 1 is the one that stored least recently
	for w := range sdk.MarkedWriters {
		if !repeated(w, 5) {
			t.Errorf("writer %d is forgotten among %d", w, sdk.MarkedWriters)
		}
	}
	size := len(server.MustDo("GET", stateKey("app")))
	store(99, 1)
	if grown := len(server.MustDo("GET", stateKey("app"))); grown > size+1 {
		t.Errorf("the state grew from %d to %d bytes", size, grown)
	}
	if !repeated(0, 6) || !repeated(2, 5) || !repeated(99, 1) {
		t.Error("one of the writers that stored last is forgotten")
	}
	if repeated(1, 5) {
		t.Errorf("writer 1 is remembered beside %d others", sdk.MarkedWriters)
	}
	want(t, s, "app", 1, 1, n)
}

// TestRepeatedInOtherRuns: a batch that was stored in part is finished by a plugin
// that cuts it in other places.
func TestRepeatedInOtherRuns(t *testing.T) {
	server := redistest.Start(t)
	for stored := 1; stored <= 4; stored++ {
		for _, length := range []int{1, 2, 5, 7, 100} {
			server.MustDo("FLUSHALL")
			dying := open(t, server, func(s *Settings) { s.PipelineLength = 3 })
			left := stored
			server.MustDo("SCRIPT", "LOAD", appendScript)
			watch(dying).after = func(err error) error {
				if left--; left == 0 {
					return errors.New("the plugin dies here")
				}
				return err
			}
			b := batch("w", 1, "app", 1, 12)
			if err := dying.Append(t.Context(), b); err == nil {
				t.Fatal("the append did not fail")
			}
			want(t, dying, "app", 1, 1, 3*stored)
			next := open(t, server, func(s *Settings) { s.PipelineLength = length })
			mustAppend(t, next, b)
			mustAppend(t, next, b)
			want(t, next, "app", 1, 1, 12)
			mustAppend(t, next, batch("w", 2, "app", 13, 13))
			want(t, next, "app", 1, 1, 13)
		}
	}
}

// TestLongRun: a run of more entries than Lua hands over in one call.
func TestLongRun(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server, func(s *Settings) { s.Lines, s.PipelineLength = 20_000, 20_000 })
	mustAppend(t, s, batch("w", 1, "app", 1, 9001))
	mustAppend(t, s, batch("w", 2, "app", 9002, 18_000))
	want(t, s, "app", 1, 1, 18_000)
}

// TestPageIsCut: a page of long entries is cut for its size, wherever it begins, and Redis
// sends no more than it takes.
func TestPageIsCut(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server)
	const size, count = 60_000, 300
	b := batch("w", 1, "app", 1, count)
	long := string(bytes.Repeat([]byte("x"), size))
	for i := range b.Apps[0].Entries {
		b.Apps[0].Entries[i].Message = long
	}
	mustAppend(t, s, b)
	epoch := readAll(t, s, "app").Epoch
	for _, after := range []sdk.Cursor{{}, {Epoch: epoch, Position: 20}, sdk.Cursor{Epoch: epoch, Position: 280}.HistoryBegin()} {
		sent := sentBy(t, server)
		entries, _, pages := readOn(t, s, sdk.ReadOptions{App: "app", Limit: -1, After: after})
		sent = sentBy(t, server) - sent
		if len(entries) < count-20 || pages < len(entries)*size/2/pageBytes || sent > 3*count*size {
			t.Errorf("after %q: %d entries in %d pages, and Redis sent %d bytes", after, len(entries), pages, sent)
		}
	}
}
