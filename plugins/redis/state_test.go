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

// TestStateWithoutList: Redis evicted the list alone. The positions go on, so that
// a reader learns how much is gone.
func TestStateWithoutList(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server)
	mustAppend(t, s, batch("w", 1, "app", 1, 5))
	before := readAll(t, s, "app")
	server.MustDo("DEL", blocksKey("app"))
	page := want(t, s, "app", 6, 6, 5)
	if page.Epoch != before.Epoch {
		t.Errorf("epoch went from %x to %x", before.Epoch, page.Epoch)
	}
	mustAppend(t, s, batch("w", 1, "app", 1, 5)) // a repetition
	mustAppend(t, s, batch("w", 2, "app", 6, 8))
	page = want(t, s, "app", 6, 6, 8)
	if gap, known := page.Gap(before.Cursor(1)); gap != 3 || !known {
		t.Errorf("gap %d, known %t, want 3, true", gap, known)
	}
}

// TestListWithoutState: Redis evicted the state alone, or it is damaged. What is left
// begins another epoch, the same for all readers, and goes on.
func TestListWithoutState(t *testing.T) {
	server := redistest.Start(t)
	for name, damage := range map[string]func(app string){
		"gone": func(app string) { server.MustDo("DEL", stateKey(app)) },
		"damaged": func(app string) {
			server.MustDo("SET", stateKey(app), "of another program, and long enough to be taken for one")
		},
		"short":              func(app string) { server.MustDo("SET", stateKey(app), "12") },
		"of another version": func(app string) { server.MustDo("SET", stateKey(app), fmt.Sprintf("%020d%016d%016d\n", 7, 4, 4)) },
	} {
		for _, reading := range []bool{true, false} { // what finds it first, a read or an append
			t.Run(fmt.Sprintf("%s, reading %t", name, reading), func(t *testing.T) {
				server.MustDo("FLUSHALL")
				s := open(t, server, func(s *Settings) { s.Lines = 10 })
				mustAppend(t, s, batch("w", 1, "app", 1, 15))
				before := want(t, s, "app", 6, 6, 15)
				damage("app")
				if reading {
					page := want(t, s, "app", 1, 6, 15)
					after, err := s.Read(t.Context(), sdk.ReadOptions{App: "app", Limit: 2, After: page.Cursor(3)})
					if err != nil || after.Epoch != page.Epoch || after.First != 5 || page.Epoch == before.Epoch {
						t.Fatalf("epoch %x, then epoch %x first %d (%v)", page.Epoch, after.Epoch, after.First, err)
					}
				}
				mustAppend(t, s, batch("w", 2, "app", 16, 17))
				page := want(t, s, "app", 3, 8, 17)
				if page.Epoch == before.Epoch || page.Epoch == 7 {
					t.Errorf("epoch is still %x", page.Epoch)
				}
				mustAppend(t, s, batch("w", 2, "app", 16, 17))
				want(t, s, "app", page.First, 8, 17)
			})
		}
	}
}

// TestKeysOfAnotherType: one damaged app must not hold up the batches of all others.
// Its place is taken back, and the log says so.
func TestKeysOfAnotherType(t *testing.T) {
	server := redistest.Start(t)
	var log bytes.Buffer
	s := openWith(t, open(t, server).settings, sdk.Host{Logger: hclog.New(&hclog.LoggerOptions{Output: &log})})
	for i, key := range []string{blocksKey("app"), stateKey("app")} {
		mustAppend(t, s, batch("w", uint64(2*i+1), "app", 1, 3))
		server.MustDo("DEL", key)
		server.MustDo("HSET", key, "field", "value")
		if _, err := s.Read(t.Context(), sdk.ReadOptions{App: "app", Limit: -1}); err == nil || errors.Is(err, sdk.ErrInvalid) {
			t.Errorf("%s: Read gives %v", key, err)
		}
		if _, err := s.Apps(t.Context()); err != nil {
			t.Error(err)
		}
		mustAppend(t, s, batch("w", uint64(2*i+2), "app", 4, 6))
		want(t, s, "app", 1, 4, 6)
		if !contains(log.String(), blocksKey("app")) {
			t.Errorf("%s: the log does not tell: %q", key, log.String())
		}
		log.Reset()
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
	for w := range writers {
		store(w, 5)
	}
	store(0, 6) // so 1 is the one that stored least recently
	for w := range writers {
		if !repeated(w, 5) {
			t.Errorf("writer %d is forgotten among %d", w, writers)
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
		t.Errorf("writer 1 is remembered beside %d others", writers)
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
			if err := dying.load(t.Context()); err != nil {
				t.Fatal(err)
			}
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

// TestPageIsCut: a page of long entries is cut for its size, wherever it begins.
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
	for _, limit := range []int{-1, count, 250} {
		opts := sdk.ReadOptions{App: "app", Limit: limit}
		next, pages := uint64(count+1), 0
		if limit > 0 {
			next -= uint64(limit)
		} else {
			next -= count
		}
		for more := true; more; pages++ {
			page, err := s.Read(t.Context(), opts)
			if err != nil || page.First != next || len(page.Entries) == 0 {
				t.Fatalf("%d entries from position %d (%v), want them from %d", len(page.Entries), page.First, err, next)
			}
			if bytes := len(page.Entries) * size; bytes > 100*size+pageBytes {
				t.Fatalf("a page of %d bytes", bytes)
			}
			next += uint64(len(page.Entries))
			opts.After, more = page.End(), page.More
		}
		if next != count+1 || pages < 2 {
			t.Errorf("limit %d: %d pages up to position %d", limit, pages, next-1)
		}
	}
}
