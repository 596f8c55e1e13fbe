package redis

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/sdk"
)

// overwrite replaces one of our keys by a key of another type, in one step: in between, a follower
// of the log would repair it.
func overwrite(server *redistest.Server, key string) []func() {
	replace := func(command string) func() {
		return func() { server.MustDo("EVAL", "redis.call('DEL', KEYS[1]) return redis.call("+command+")", "1", key) }
	}
	return []func(){
		func() {
			server.MustDo("SET", key, "of another program, and long enough to be taken for a state of ours")
		},
		replace("'RPUSH', KEYS[1], 'of', 'another', 'program'"),
		replace("'HSET', KEYS[1], 'field', 'value'"),
	}
}

// TestKeyIsLost: Redis evicted one of an app's keys, or another program overwrote it. At once, any
// reader or appender gets what the other keys have, and the sums stay right.
func TestKeyIsLost(t *testing.T) {
	server := redistest.Start(t)
	do := func(command ...string) []func() { return []func(){func() { server.MustDo(command...) }} }
	for name, c := range map[string]struct {
		spoil    []func()
		lost     int // entries of 8
		newEpoch bool
	}{
		"blocks evicted":           {do("DEL", blocksKey("app")), 8, false},
		"blocks of another type":   {overwrite(server, blocksKey("app")), 8, false},
		"more blocks":              {do("XADD", blocksKey("app"), "9999999-0", "field", "value"), 8, false},
		"fewer blocks":             {do("XTRIM", blocksKey("app"), "MAXLEN", "0"), 8, false},
		"order evicted":            {do("DEL", orderKey("app")), 0, false},
		"order of another type":    {overwrite(server, orderKey("app")), 0, false},
		"order with more":          {do("ZADD", orderKey("app"), "0", "foreign"), 0, false},
		"state evicted":            {do("DEL", stateKey("app")), 0, true},
		"state of another type":    {overwrite(server, stateKey("app")), 0, true},
		"state too short":          {do("SET", stateKey("app"), "\x05"), 0, true},
		"state of another version": {do("SET", stateKey("app"), string([]byte{2})+fmt.Sprintf("%060d", 7)), 0, true},
	} {
		for i, spoil := range c.spoil {
			for _, slots := range []bool{false, true} {
				for _, by := range []string{"read", "append", "list", "delete"} {
					t.Run(fmt.Sprintf("%s/%d/slots=%t/%s", name, i, slots, by), func(t *testing.T) {
						server.MustDo("FLUSHALL")
						s := open(t, server)
						s.slots.Store(slots)
						var log bytes.Buffer
						s.logger = hclog.New(&hclog.LoggerOptions{Output: &log})
						mustAppend(t, s, batch("w", 1, "app", 101, 105))
						mustAppend(t, s, batch("w", 2, "app", 51, 53)) // late
						before := readAll(t, s, "app")
						spoil()
						spoiled(t, s, by, before, c.lost, c.newEpoch)
						if by != "delete" && !contains(log.String(), "mended") {
							t.Errorf("the log does not tell: %q", log.String())
						}
						if err := s.Delete(t.Context(), "app"); err != nil {
							t.Fatal(err)
						}
						if sums, err := s.Totals(t.Context()); err != nil || sums.Apps+sums.Entries+sums.Bytes != 0 {
							t.Errorf("%+v (%v) after the delete", sums, err)
						}
						mustAppend(t, s, batch("w", 4, "app", 1, 3))
						want(t, s, "app", 1, 1, 3)
					})
				}
			}
		}
	}
}

// spoiled checks what is left of a log of 8 entries after a key was lost.
func spoiled(t *testing.T, s *storage, by string, before sdk.Page, lost int, newEpoch bool) {
	t.Helper()
	kept, added := 8-lost, 0
	switch by {
	case "append":
		mustAppend(t, s, batch("w", 3, "app", 106, 108))
		added = 3
	case "list":
		infos, err := s.Apps(t.Context(), "", 0)
		if err != nil || (len(infos) == 1) != (kept > 0) || kept > 0 && infos[0].Entries != uint64(kept) {
			t.Errorf("%+v (%v)", infos, err)
		}
	case "delete":
		return
	}
	page := readAll(t, s, "app")
	if len(page.Entries) != kept+added || page.Last != uint64(8+added) || page.Version == 0 || (page.Epoch != before.Epoch) != newEpoch {
		t.Fatalf("%d entries up to %d, version %d", len(page.Entries), page.Last, page.Version)
	}
	if kept > 0 && !slices.Equal(page.Entries[:8], before.Entries) {
		t.Errorf("read are %+v", page.Entries)
	}
	_, gone, _ := readOn(t, s, sdk.ReadOptions{App: "app", Limit: 3, After: sdk.Cursor{Epoch: page.Epoch, Position: 0}})
	if gone != uint64(lost) {
		t.Errorf("%d are gone, want %d", gone, lost)
	}
	versions, err := s.Versions(t.Context(), []string{"app"})
	if err != nil || versions[0] != page.Version {
		t.Errorf("versions are %d (%v), want %d", versions[0], err, page.Version)
	}
	wantTotals(t, s, 1, kept+added, 8+added, lost, 0)
	if !newEpoch { // the marks are still there
		mustAppend(t, s, batch("w", 2, "app", 51, 53))
	}
	mustAppend(t, s, batch("w", 5, "app", 109, 110))
	if n := len(readAll(t, s, "app").Entries); n != kept+added+2 {
		t.Errorf("%d entries after two more", n)
	}
	since := sdk.ReadOptions{App: "app", Limit: -1, Filter: sdk.Filter{Since: time.Unix(109, 0)}}
	if entries, _, _ := readOn(t, s, since); len(entries) != 2 {
		t.Errorf("%d entries since the last two", len(entries))
	}
}

// TestLongLogWithoutItsOrder loses the order of a long log, or its state. All of its blocks are
// sorted again, and evicted in that order.
func TestLongLogWithoutItsOrder(t *testing.T) {
	server := redistest.Start(t)
	for _, key := range []string{orderKey("app"), stateKey("app")} {
		server.MustDo("FLUSHALL")
		s := open(t, server)
		mustAppend(t, s, batch("w", 1, "app", 1001, 1100)) // the last ones to arrive are evicted at once
		mustAppend(t, s, batch("w", 2, "app", 1101, 2300))
		mustAppend(t, s, batch("w", 3, "app", 1, 3))
		server.MustDo("DEL", key)
		page := readAll(t, s, "app")
		if n := len(page.Entries); n != 1000 || page.Entries[0].Message != "1301" || page.Last != 1303 {
			t.Fatalf("%d entries of %d", n, page.Last)
		}
		mustAppend(t, s, batch("w", 4, "app", 2301, 2900))
		if page = readAll(t, s, "app"); len(page.Entries) != 1000 || page.Entries[0].Message != "1901" {
			t.Errorf("%d entries from %s", len(page.Entries), page.Entries[0].Message)
		}
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

// TestWriters: the marks of the most recent writers are remembered, as many as documented and no
// more.
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
	store(0, 6) // makes 1 the one that stored least recently
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

// TestRepeatedInOtherPipelines: a batch was stored in part. A plugin whose pipelines have another
// length finishes it.
func TestRepeatedInOtherPipelines(t *testing.T) {
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

// TestLongPipeline: one call of the script stores more entries than Lua passes in one call.
func TestLongPipeline(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server, func(s *Settings) { s.Lines, s.PipelineLength = 20_000, 20_000 })
	mustAppend(t, s, batch("w", 1, "app", 1, 9001))
	mustAppend(t, s, batch("w", 2, "app", 9002, 18_000))
	want(t, s, "app", 1, 1, 18_000)
}

// TestPageIsCut: a page of long entries is cut to size, wherever it begins, and Redis sends no more
// than the page takes.
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
