package redis

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/sdk"
)

// blocksOf encodes the entries as Redis would have them.
func blocksOf(entries []sdk.Entry, most int) (blocks []kept) {
	var c encoder
	c.add(entries, most)
	for _, b := range c.blocks {
		blocks = append(blocks, kept{string(b.data), b.entries})
	}
	return blocks
}

// TestBlocks: whatever the sizes, each entry is in its place, and no block is larger
// than it may be but for its last entry.
func TestBlocks(t *testing.T) {
	for _, size := range []int{0, 1, 300, 5000, blockBytes - 1, blockBytes, 3 * blockBytes} {
		for _, n := range []int{1, 2, 3, 31, 32, 33, 100} {
			entries := numbered(1, n)
			for i := range entries {
				entries[i].Host = strings.Repeat("h", size*(i%3)/2)
			}
			blocks := blocksOf(entries, 32)
			all, _, more := cut(blocks, 0, math.MaxInt)
			for from := 0; !more && from < n; from++ {
				some, _, _ := cut(blocks, from, 2)
				if len(some) != min(2, n-from) || some[0] != entries[from] {
					t.Fatalf("%d entries of %d bytes: after %d come %d", n, size, from, len(some))
				}
			}
			if !more && len(all) != n {
				t.Fatalf("%d entries of %d bytes: %d came back", n, size, len(all))
			}
			for _, b := range blocks {
				last, _ := b.value(b.entries - 1)
				if b.entries > 32 || len(b.data)-len(last)-2*b.entries > blockBytes {
					t.Errorf("a block of %d entries and %d bytes", b.entries, len(b.data))
				}
			}
		}
	}
	one := numbered(1, 1)
	if b := blocksOf(one, 32); b[0].data != string(appendEntry(nil, &one[0], nil)) {
		t.Error("the block of a single entry is not just the entry")
	}
}

// FuzzBlock: whatever Redis has in the place of a block, each of its entries has a place.
func FuzzBlock(f *testing.F) {
	for _, b := range append(blocksOf(examples(), 32), blocksOf(examples(), 2)...) {
		f.Add(b.data, fmt.Sprint(b.entries), 1)
		f.Add(b.data[:len(b.data)-1], fmt.Sprint(b.entries+1), 0)
	}
	f.Add("", "2147483646", 2147483640)
	f.Add("\xff\xff\xff\xff\x00\x00", "4", 1)
	f.Fuzz(func(t *testing.T, data, entries string, skip int) {
		n := count(entries)
		if n < 1 || n >= maxEntries {
			t.Fatalf("%q counts as %d", entries, n)
		}
		skip = max(0, min(skip, n-1))
		got, bytes, more := cut([]kept{{data, n}}, skip, 100)
		if want := min(100, n-skip); len(got) != want && !more || bytes < len(got)*numberBytes {
			t.Fatalf("%d entries of %d bytes, want %d", len(got), bytes, want)
		}
		// From wherever a block is read, an entry is the same.
		var alone sdk.Entry
		kept{data, n}.at(skip, &alone)
		if !same(got[0], alone) {
			t.Fatalf("entry %d is %+v, by itself %+v", skip, got[0], alone)
		}
		if all, _, more := cut([]kept{{data, n}}, 0, min(skip+1, 1000)); !more && skip < len(all) && !same(all[skip], alone) {
			t.Fatalf("entry %d is %+v, after the others %+v", skip, alone, all[skip])
		}
		for _, e := range got {
			if err := e.Valid(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestDamagedBlockKeepsItsPlaces: the entries of a block that cannot be read are told in
// their places, and no other moves.
func TestDamagedBlockKeepsItsPlaces(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server)
	for i := range 3 {
		mustAppend(t, s, batch("w", uint64(i+1), "app", 4*i+1, 4*i+4))
	}
	for _, damage := range []string{"", "\x01", "of another program, and long enough for an index"} {
		server.MustDo("LSET", blocksKey("app"), "2", damage)
		whole := readAll(t, s, "app")
		rest, err := s.Read(t.Context(), sdk.ReadOptions{App: "app", Limit: -1, After: whole.Cursor(5)})
		if err != nil || len(whole.Entries) != 12 || len(rest.Entries) != 6 || rest.First != 7 {
			t.Fatalf("%d entries, and %d from position %d (%v)", len(whole.Entries), len(rest.Entries), rest.First, err)
		}
		for i, e := range whole.Entries {
			if i/4 == 1 && e.Message != unreadable || i/4 != 1 && e.Message != fmt.Sprint(i+1) {
				t.Errorf("%q: entry %d is %q", damage, i+1, e.Message)
			}
		}
	}
	// The number beside it is damaged: nothing breaks, and what is appended is there.
	for _, damage := range []string{"", "x", "-1", "0", "1e300", "99999999"} {
		server.MustDo("LSET", blocksKey("app"), "3", damage)
		for _, opts := range []sdk.ReadOptions{{Limit: -1}, {Limit: 2}, {Limit: -1, After: readAll(t, s, "app").Cursor(-1)}} {
			opts.App = "app"
			if page, err := s.Read(t.Context(), opts); err != nil || len(page.Entries) > 12 || page.More && len(page.Entries) == 0 {
				t.Errorf("%q: %d entries (%v)", damage, len(page.Entries), err)
			}
		}
		if _, err := s.Apps(t.Context()); err != nil {
			t.Error(err)
		}
	}
	mustAppend(t, s, batch("w", 4, "app", 13, 14))
	page, err := s.Read(t.Context(), sdk.ReadOptions{App: "app", Limit: 2})
	if err != nil || len(page.Entries) != 2 || page.First != 13 || page.Entries[1].Message != "14" {
		t.Errorf("%d entries from %d (%v)", len(page.Entries), page.First, err)
	}
}

// TestPagesOfManyBlocks: pages that are cut for their size follow each other, however small
// the blocks are.
func TestPagesOfManyBlocks(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server, func(s *Settings) { s.Lines, s.PipelineLength = 15_000, 1000 })
	last := 0
	for i := 1; last < 20_000; i++ {
		n := 1 + 997*(i%5)*(i%2) // ones between long runs
		b := batch("w", uint64(i), "app", last+1, last+n)
		for j := range b.Apps[0].Entries {
			b.Apps[0].Entries[j].Host = strings.Repeat("h", 200)
		}
		mustAppend(t, s, b)
		last += n
	}
	for _, limit := range []int{-1, 14_000} {
		next := last - 15_000 + 1
		if limit > 0 {
			next = last - limit + 1
		}
		opts, pages := sdk.ReadOptions{App: "app", Limit: limit}, 0
		for more := true; more; pages++ {
			page, err := s.Read(t.Context(), opts)
			if err != nil || page.First != uint64(next) || len(page.Entries) == 0 || page.Entries[0].Message != fmt.Sprint(next) {
				t.Fatalf("%d entries from position %d (%v), want them from %d", len(page.Entries), page.First, err, next)
			}
			next += len(page.Entries)
			opts.After, more = page.End(), page.More
		}
		if next != last+1 || pages < 3 {
			t.Errorf("limit %d: %d pages up to position %d", limit, pages, next-1)
		}
	}
}

// TestUnusualRunsSpoilNoOther: what is wrong with some apps of a pipeline is mended, and the
// others are stored as ever.
func TestUnusualRunsSpoilNoOther(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server)
	apps := []string{"usual", "list", "state", "stray", "part", "had", "stateless", "listless", "new"}
	for _, app := range apps[:len(apps)-1] {
		mustAppend(t, s, batch("w", 1, app, 1, 3))
	}
	for _, key := range []string{blocksKey("list"), stateKey("state")} {
		server.MustDo("DEL", key)
		server.MustDo("HSET", key, "field", "value")
	}
	server.MustDo("RPUSH", blocksKey("stray"), "a", "b", "c")
	mustAppend(t, s, batch("w", 2, "part", 4, 5)) // its beginning
	mustAppend(t, s, batch("w", 2, "had", 4, 7))
	server.MustDo("DEL", stateKey("stateless"), blocksKey("listless"))
	server.MustDo("SCRIPT", "FLUSH")
	b := sdk.Batch{ID: sdk.BatchID{Writer: "w", Sequence: 2}}
	for _, app := range apps {
		b.Apps = append(b.Apps, sdk.AppEntries{App: app, Entries: numbered(4, 7)})
	}
	for range 2 {
		mustAppend(t, s, b)
		for _, app := range []string{"usual", "stray", "part", "had", "stateless"} {
			want(t, s, app, 1, 1, 7)
		}
		for _, app := range []string{"list", "state", "new"} {
			want(t, s, app, 1, 4, 7)
		}
		want(t, s, "listless", 4, 4, 7)
	}
	infos, err := s.Apps(t.Context())
	if err != nil || len(infos) != len(apps) {
		t.Errorf("%+v (%v)", infos, err)
	}
}

// TestLabelsInBlocks: entries that have the labels of the one before come back with them, read
// from wherever, and take no room for them.
func TestLabelsInBlocks(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		entries := numbered(1, 1+random.IntN(80))
		for i := range entries {
			e := &entries[i]
			e.Pod, e.Process, e.Release, e.Stream, e.Host = "foo-web-1", "web", "v1", "stdout", "host-1"
			label := []*string{new(string), &e.Pod, &e.Process, &e.Release, &e.Stream, &e.Host}[max(0, random.IntN(20)-14)]
			*label = fmt.Sprint("other-", random.IntN(2))
		}
		blocks := blocksOf(entries, 1+random.IntN(40))
		for from := range entries {
			some, _, _ := cut(blocks, from, 3)
			for i, e := range some {
				if !same(e, entries[from+i]) {
					t.Fatalf("entry %d, read from %d, is %+v, want %+v", from+i, from, e, entries[from+i])
				}
			}
			at := from
			for _, b := range blocks {
				if at < b.entries {
					var e sdk.Entry
					if b.at(at, &e); !same(e, entries[from]) {
						t.Fatalf("entry %d by itself is %+v, want %+v", from, e, entries[from])
					}
					break
				}
				at -= b.entries
			}
		}
	}
	alike := numbered(1, 32)
	for i := range alike {
		alike[i].Host = strings.Repeat("h", 200)
	}
	if b := blocksOf(alike, 32); len(b) != 1 || len(b[0].data) > 200+32*40 {
		t.Errorf("%d blocks, the first of %d bytes", len(b), len(b[0].data))
	}
}

// TestDamagedLabels: entries are not given the labels of others when those that they had are
// lost.
func TestDamagedLabels(t *testing.T) {
	entries := numbered(1, 6)
	for i := range entries {
		entries[i].Pod = fmt.Sprint("pod-", i/3) // the 4th has labels of its own again
	}
	data := []byte(blocksOf(entries, 32)[0].data)
	first, _ := kept{string(data), 6}.value(0)
	for entry, want := range map[int]string{0: "xxx456", 1: "1x3456", 3: "123xxx"} {
		damaged := []byte(string(data))
		value, _ := kept{string(data), 6}.value(entry)
		at := strings.Index(string(data), value)
		damaged[at+1] = 0xff // of its source: more than there are
		damaged[at+2] |= 0x80
		for from := range 6 {
			got := ""
			some, _, _ := cut([]kept{{string(damaged), 6}}, from, 6)
			for i, e := range some {
				switch {
				case e.Message == unreadable:
					got += "x"
				case e.Pod == entries[from+i].Pod:
					got += e.Message
				}
			}
			if got != want[from:] {
				t.Errorf("entry %d (of %d bytes) is damaged, from %d: got %q, want %q", entry, len(first), from, got, want[from:])
			}
		}
	}
}
