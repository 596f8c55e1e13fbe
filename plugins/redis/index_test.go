package redis

import (
	"fmt"
	"testing"
	"time"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

// TestTotals: the sums cover everything that happened, also in a cluster, and no matter who counts.
func TestTotals(t *testing.T) {
	server := redistest.Start(t)
	for _, slots := range []bool{false, true} {
		server.MustDo("FLUSHALL")
		s := open(t, server, func(s *Settings) { s.Lines = 10 })
		s.slots.Store(slots)
		wantTotals(t, s, 0, 0, 0, 0, 0)
		mustAppend(t, s, wide(1, 1, 25))
		mustAppend(t, s, wide(1, 1, 25))
		wantTotals(t, s, 20, 200, 500, 300, 0)
		if err := s.Delete(t.Context(), "app-3"); err != nil {
			t.Fatal(err)
		}
		wantTotals(t, s, 19, 190, 500, 300, 10)
		for i := range 19 {
			if i != 3 {
				if err := s.Delete(t.Context(), fmt.Sprint("app-", i)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got, err := s.Totals(t.Context()); err != nil || got.Apps != 1 || got.Bytes == 0 || got.Bytes > 1000 {
			t.Errorf("%+v (%v), want the bytes of one app", got, err)
		}
		if err := s.Delete(t.Context(), "app-19"); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Totals(t.Context()); err != nil || got.Bytes != 0 || got.Deleted != 200 {
			t.Errorf("%+v (%v), want nothing left", got, err)
		}
	}
}

// TestAppsAreListed: apps are listed in pages, each once and in order, and with what is kept of
// them.
func TestAppsAreListed(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server, func(s *Settings) { s.Lines, s.PipelineTimeout = 100, 0 })
	b := sdk.Batch{ID: sdk.BatchID{Writer: "w", Sequence: 1}}
	for i := range 1100 {
		b.Apps = append(b.Apps, sdk.AppEntries{App: fmt.Sprintf("app-%04d", i), Entries: numbered(i, i+200)})
	}
	mustAppend(t, s, b)
	server.MustDo("DEL", stateKey("app-0007"), blocksKey("app-0007"), orderKey("app-0007")) // as if Redis evicted them
	n := 0
	for after := ""; ; {
		infos, err := s.Apps(t.Context(), after, 300)
		if err != nil {
			t.Fatal(err)
		}
		if len(infos) == 0 {
			break
		}
		for _, info := range infos {
			if n == 7 {
				n++
			}
			want := sdk.AppInfo{
				App: fmt.Sprintf("app-%04d", n), Entries: 100, Last: 201, Bytes: info.Bytes,
				Oldest: time.Unix(int64(n+101), 5).UTC(), Newest: time.Unix(int64(n+200), 5).UTC(),
			}
			if info != want || info.Bytes < 100 {
				t.Fatalf("%+v, want %+v", info, want)
			}
			n++
		}
		after = infos[len(infos)-1].App
	}
	if n != 1100 {
		t.Errorf("%d apps are listed", n)
	}
}

// TestIndexOfAnotherType: another program replaced a key of the index. The next read or append
// removes that, and makes the key again from the other keys and from the apps.
func TestIndexOfAnotherType(t *testing.T) {
	server := redistest.Start(t)
	for _, key := range []string{namesKey, activeKey, totalsKey} {
		for i, spoil := range append(overwrite(server, key), func() { server.MustDo("DEL", key) }) {
			for _, slots := range []bool{false, true} {
				for _, by := range []string{"read", "append"} {
					t.Run(fmt.Sprintf("%s/%d/slots=%t/%s", key, i, slots, by), func(t *testing.T) {
						server.MustDo("FLUSHALL")
						s := open(t, server, func(s *Settings) { s.Lines, s.Retention = 10, 0 })
						s.slots.Store(slots)
						mustAppend(t, s, wide(1, 1, 25))
						want := sdk.Totals{Apps: 20, Entries: 200, Stored: 500, Evicted: 300}
						before, err := s.Totals(t.Context())
						if want.Bytes = before.Bytes; err != nil || before != want {
							t.Fatalf("%+v (%v)", before, err)
						}
						if spoil(); by == "append" {
							mustAppend(t, s, wide(2, 26, 27))
							want.Stored, want.Evicted = want.Stored+40, want.Evicted+40
						}
						if key == totalsKey { // kept entries can be counted again; nobody knows the former ones
							want.Stored, want.Evicted = want.Entries, 0
						}
						testwait.NoError(t, func() error {
							infos, err := s.Apps(t.Context(), "", 0)
							if err != nil || len(infos) != 20 && (i < 3 || by == "append") {
								return fmt.Errorf("%d apps (%w)", len(infos), err)
							}
							got, err := s.Totals(t.Context())
							if want.Bytes = got.Bytes; err != nil || got != want && (key != namesKey || i < 3 || by == "append") {
								return fmt.Errorf("%+v (%w), want %+v", got, err, want)
							}
							return nil
						})
						mustAppend(t, s, wide(3, 28, 28))
						if n := server.MustDo("ZCARD", activeKey); n != "20" {
							t.Errorf("%s apps are known to be active", n)
						}
						for i := range 20 {
							if err := s.Delete(t.Context(), fmt.Sprint("app-", i)); err != nil {
								t.Fatal(err)
							}
						}
						if got, err := s.Totals(t.Context()); err != nil || got.Apps+got.Entries+got.Bytes != 0 {
							t.Errorf("%+v (%v) after all were deleted", got, err)
						}
					})
				}
			}
		}
	}
}

// TestActivityIsLost: an app whose activity was lost counts as inactive until its own state tells
// more.
func TestActivityIsLost(t *testing.T) {
	t.Parallel() // it waits
	server := redistest.Start(t)
	s := open(t, server, func(s *Settings) { s.Retention = sdk.Duration(time.Hour) })
	mustAppend(t, s, batch("w", 1, "app", 1, 5))
	server.MustDo("SET", activeKey, "of another program")
	if err := s.forget(t.Context(), time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	want(t, s, "app", 1, 1, 5)
	if score := server.MustDo("ZSCORE", activeKey, "app"); len(score) < 10 {
		t.Errorf("it was active at %s", score)
	}
}

// TestRetention: an app without new lines is forgotten, and one with new lines stays, no matter who
// looks.
func TestRetention(t *testing.T) {
	t.Parallel() // it waits
	server := redistest.Start(t)
	for _, slots := range []bool{false, true} {
		server.MustDo("FLUSHALL")
		var hosts []*storage
		for range 3 {
			s := open(t, server, func(s *Settings) { s.Retention = sdk.Duration(3 * time.Second) })
			s.slots.Store(slots)
			hosts = append(hosts, s)
		}
		s := hosts[0]
		mustAppend(t, s, batch("w", 1, "quiet", 1, 5))
		epoch := readAll(t, s, "quiet").Epoch
		followed := followApp(t, s, "quiet")
		followed.reaches(t, 5)
		n := 0
		testwait.NoError(t, func() error {
			n++
			mustAppend(t, s, batch("w", uint64(n+1), "busy", n, n))
			if page := readAll(t, s, "quiet"); page.Epoch != 0 {
				return fmt.Errorf("slots %t: %d entries are still there", slots, len(page.Entries))
			}
			return nil
		})
		followed.reaches(t, 0) // it was told of that
		page := readAll(t, s, "busy")
		if len(page.Entries) != min(n, 1000) || page.Last != uint64(n) {
			t.Errorf("the busy app has %d entries up to %d, want %d", len(page.Entries), page.Last, n)
		}
		wantTotals(t, s, 1, len(page.Entries), n+5, n+5-len(page.Entries), 0)
		mustAppend(t, s, batch("w", uint64(n+2), "quiet", 6, 7))
		if page := want(t, s, "quiet", 1, 6, 7); page.Epoch == epoch {
			t.Error("it has the epoch of the log that was forgotten")
		}
		followed.cancel()
	}
}

// TestInspected: a plugin that is only inspected writes nothing.
func TestInspected(t *testing.T) {
	server := redistest.Start(t)
	settings := open(t, server, func(s *Settings) { s.Retention = sdk.Duration(time.Second) }).settings
	s := openWith(t, settings, sdk.Host{Inspect: true})
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.tended:
	case <-time.After(testwait.Patience):
		t.Error("it forgets apps")
	}
	if n := server.MustDo("DBSIZE"); n != "0" {
		t.Errorf("%s keys", n)
	}
}

// TestOldestOfOverlappingBlocks: the block that ends first need not have the oldest entry.
func TestOldestOfOverlappingBlocks(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server, func(s *Settings) { s.Lines = 1000 })
	b := batch("w", 1, "app", 1, 4)
	at := b.Apps[0].Entries[0].Published
	for i, after := range []time.Duration{500, 900, 0, 1000} { // blocks are in the order of publishing
		b.Apps[0].Entries[i].Published = at.Add(after * time.Millisecond)
	}
	mustAppend(t, s, b)
	if info, err := s.App(t.Context(), "app"); err != nil || !info.Oldest.Equal(at) || !info.Newest.Equal(at.Add(time.Second)) || info.Entries != 4 || info.Last != 4 {
		t.Errorf("%+v (%v), want the oldest at %s", info, err, at)
	}
}

// TestFewerLines: after NUMBER_OF_LINES was lowered, no more than that is read at once, and the
// next append removes the rest.
func TestFewerLines(t *testing.T) {
	server := redistest.Start(t)
	before := open(t, server, func(s *Settings) { s.Lines = 1000 })
	mustAppend(t, before, batch("w", 1, "app", 1, 1000))
	s := open(t, server, func(s *Settings) { s.Lines = 7 })
	page := want(t, s, "app", 994, 994, 1000)
	if info, err := s.App(t.Context(), "app"); err != nil || info.Entries != 7 || info.Oldest != page.Entries[0].Published {
		t.Errorf("%+v (%v)", info, err)
	}
	for _, after := range []sdk.Cursor{{}, page.End().HistoryBegin()} {
		if entries, _, _ := readOn(t, s, sdk.ReadOptions{App: "app", Limit: 3, After: after}); len(entries) != 7 {
			t.Errorf("after %q: %d entries", after, len(entries))
		}
	}
	mustAppend(t, s, batch("w", 2, "app", 1001, 1001))
	want(t, s, "app", 995, 995, 1001)
	wantTotals(t, s, 1, 7, 1001, 994, 0)
	arrived, gone, _ := readOn(t, s, sdk.ReadOptions{App: "app", Limit: -1, After: sdk.Beginning()})
	if len(arrived) > 7+150 || uint64(len(arrived))+gone != 1001 {
		t.Errorf("%d entries arrived, %d are gone", len(arrived), gone)
	}
	more := open(t, server, func(s *Settings) { s.Lines = 1000 })
	want(t, more, "app", 995, 995, 1001)
	mustAppend(t, more, batch("w", 3, "app", 1002, 1010))
	want(t, more, "app", 995, 995, 1010)
}
