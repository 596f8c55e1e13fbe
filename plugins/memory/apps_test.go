package memory

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

// TestNames compares names, while logs are added and removed, with a sorted list.
func TestNames(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var n names
	logs := map[string]*log{}
	for step := range 12_000 {
		name := fmt.Sprint("app-", random.IntN(5000))
		switch l := logs[name]; {
		case l == nil:
			logs[name] = &log{name: name}
			n.insert(logs[name])
		case step > 6000: // by now there are many, and some buckets become empty
			n.remove(l)
			delete(logs, name)
		}
	}
	var want []string
	for name := range logs {
		want = append(want, name)
	}
	slices.Sort(want)
	var got []string
	for after := ""; ; after = got[len(got)-1] {
		logs := n.after(after)
		for _, l := range logs {
			got = append(got, l.name)
		}
		if len(logs) == 0 {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d names in order, want %d", len(got), len(want))
	}
	for range 1000 { // after names that do not exist
		after := fmt.Sprint("app-", random.IntN(6000))
		i, found := slices.BinarySearch(want, after)
		if found {
			i++
		}
		logs := n.after(after)
		if len(logs) != min(appsAtOnce, len(want)-i) || len(logs) > 0 && logs[0].name != want[i] {
			t.Fatalf("after %q come %d names, want those from %d of %d on", after, len(logs), i, len(want))
		}
	}
	for _, l := range logs {
		n.remove(l)
	}
	if len(n.buckets) != 0 {
		t.Errorf("%d buckets without a name", len(n.buckets))
	}
}

// TestApps: apps are listed in pages, without those that have no entry.
func TestApps(t *testing.T) {
	s := openHeap(t, 5, 4096)
	var want []string
	for i := range 350 {
		app := fmt.Sprintf("app-%03d", i)
		fill(t, s, app, 1, 1+i%8)
		if i >= 100 && i < 250 { // more in a row than one look covers
			if err := s.Delete(t.Context(), app); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want = append(want, app)
	}
	for _, limit := range []int{0, 1, 7, 1000} {
		var got []string
		for after := ""; ; after = got[len(got)-1] {
			infos, err := s.Apps(t.Context(), after, limit)
			if err != nil || limit > 0 && len(infos) > limit {
				t.Fatalf("%d apps after %q, %v", len(infos), after, err)
			}
			for _, info := range infos {
				got = append(got, info.App)
				one, err := s.App(t.Context(), info.App)
				if n := uint64(1 + (len(got)-1)%8); err != nil || one != info || limit == 0 && info.App < "app-100" && (info.Last != n || info.Entries != min(5, n)) {
					t.Fatalf("%+v and alone %+v, %v, want %d entries", info, one, err, n)
				}
				if !info.Newest.Equal(small(int(info.Last), 1).Published) || info.Bytes/blockSize < info.Entries/4 || info.Bytes/blockSize > info.Entries {
					t.Fatalf("%+v: want the newest of %s", info, small(int(info.Last), 1).Published)
				}
			}
			if len(infos) == 0 {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("limit %d: %d apps, want %d", limit, len(got), len(want))
		}
	}
	for _, app := range []string{"app-100", "never"} {
		if info, err := s.App(t.Context(), app); err != nil || info != (sdk.AppInfo{App: app}) {
			t.Errorf("%+v, %v, want no entries", info, err)
		}
	}
}

// TestTotals: each entry ever stored counts as kept, evicted or deleted, across deletes, eviction
// by the budget, and a new process.
func TestTotals(t *testing.T) {
	s := openHeap(t, 50, 256)
	stored := uint64(0)
	random := rand.New(rand.NewPCG(7, 7))
	check := func() {
		t.Helper()
		var want sdk.Totals
		for after := ""; ; {
			infos, err := s.Apps(t.Context(), after, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, info := range infos {
				want.Apps, want.Entries, want.Bytes = want.Apps+1, want.Entries+info.Entries, want.Bytes+info.Bytes
				after = info.App
			}
			if len(infos) == 0 {
				break
			}
		}
		got, err := s.Totals(t.Context())
		want.Stored, want.Evicted, want.Deleted = stored, got.Evicted, got.Deleted
		if err != nil || got != want || got.Entries+got.Evicted+got.Deleted != stored {
			t.Fatalf("%+v, %v, want %+v", got, err, want)
		}
	}
	for i := range 2000 {
		app := fmt.Sprint("app-", random.IntN(400))
		if random.IntN(10) == 0 {
			if err := s.Delete(t.Context(), app); err != nil {
				t.Fatal(err)
			}
			continue
		}
		n := 1 + random.IntN(3)
		if random.IntN(100) == 0 {
			n = 120
		}
		stored += uint64(n)
		if err := s.Append(t.Context(), batchOf("w", uint64(i+1), app, slices.Repeat([]sdk.Entry{small(i, 200)}, n)...)); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			check()
		}
	}
	data := s.arena.mapping.data
	s, err := newStorage(onHeap(data, int64(len(data))), 50, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	check()
	if totals, _ := s.Totals(t.Context()); totals.Evicted == 0 || totals.Deleted == 0 {
		t.Errorf("%+v: it was not put to the test", totals)
	}
}

// TestVersions: a log's version changes when the log does, and only then.
func TestVersions(t *testing.T) {
	s := openHeap(t, 100_000, 256)
	seen := map[uint64]bool{0: true}
	version := func() uint64 {
		t.Helper()
		versions, err := s.Versions(t.Context(), []string{"none", "foo", "none"})
		if err != nil || len(versions) != 3 || versions[0] != 0 || versions[2] != 0 {
			t.Fatalf("%v, %v", versions, err)
		}
		if page := readAll(t, s, "foo"); page.Version != versions[1] {
			t.Fatalf("a page has version %d, the log %d", page.Version, versions[1])
		}
		return versions[1]
	}
	changed := func(what string) {
		t.Helper()
		if v := version(); seen[v] {
			t.Errorf("%s: version %d was there before", what, v)
		} else {
			seen[v] = true
		}
	}
	if v := version(); v != 0 {
		t.Errorf("no log has version %d", v)
	}
	fill(t, s, "foo", 1, 1)
	changed("first append")
	fill(t, s, "foo", 1, 2)
	changed("append")
	before := version()
	fill(t, s, "foo", 2, 2)
	fill(t, s, "bar", 1, 1)
	if v := version(); v != before {
		t.Error("a repetition, or an append to another app, changed the version")
	}
	fill(t, s, "foo", 3, 2000)
	changed("many appends")
	before = version()
	for i := 2; version() == before; i++ { // until bar takes a block from foo
		if i > 5000 {
			t.Fatal("bar evicts nothing of foo")
		}
		fill(t, s, "bar", i, i)
	}
	if page := readAll(t, s, "foo"); page.Entries[0].Position == 1 {
		t.Error("the version changed, and nothing is gone")
	}
	changed("eviction")
	if err := s.Delete(t.Context(), "foo"); err != nil {
		t.Fatal(err)
	}
	if v := version(); v != 0 {
		t.Errorf("a deleted log has version %d", v)
	}
	fill(t, s, "foo", 2001, 2001)
	changed("append after a delete")
	s, err := newStorage(onHeap(s.arena.mapping.data, int64(len(s.arena.mapping.data))), 100_000, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	if versions, err := s.Versions(t.Context(), []string{"foo"}); err != nil || seen[versions[0]] {
		t.Errorf("in a new process: %v, %v", versions, err)
	}
}

// TestRetention: an app without new lines for so long is forgotten, even if that time began before
// this process. Its entries count as evicted.
func TestRetention(t *testing.T) {
	now := time.Date(2026, 11, 28, 20, 0, 0, 0, time.UTC)
	s := openHeap(t, 1000, 1024)
	open := func() {
		s.now, s.retention = func() time.Time { return now }, 24*time.Hour
	}
	open()
	fill(t, s, "quiet", 1, 10)
	fill(t, s, "deleted", 1, 5)
	if err := s.Delete(t.Context(), "deleted"); err != nil {
		t.Fatal(err)
	}
	now = now.Add(20 * time.Hour)
	for i := range 300 { // more than one look covers
		fill(t, s, fmt.Sprint("app-", i), 1, 1)
	}
	s.sweep()
	wantRun(t, readAll(t, s, "quiet"), 1, 10)

	s, err := newStorage(onHeap(s.arena.mapping.data, int64(len(s.arena.mapping.data))), 1000, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	open()
	now = now.Add(4*time.Hour + time.Second)
	s.sweep()
	if page := readAll(t, s, "quiet"); page.Epoch != 0 || len(page.Entries) != 0 {
		t.Errorf("%d entries of an app that got no line for a day", len(page.Entries))
	}
	if _, ok := s.logs["deleted"]; ok {
		t.Error("a deleted app is still known after a day")
	}
	totals, err := s.Totals(t.Context())
	want := sdk.Totals{Apps: 300, Entries: 300, Bytes: 300 * blockSize, Stored: 315, Evicted: 10, Deleted: 5}
	if err != nil || totals != want {
		t.Errorf("%+v, %v, want %+v", totals, err, want)
	}
	now = now.Add(21 * time.Hour)
	s.sweep()
	if len(s.logs) != 0 {
		t.Errorf("%d apps are left", len(s.logs))
	}
	if problem := s.audit(); problem != "" {
		t.Error(problem)
	}
	fill(t, s, "quiet", 11, 12)
	if page := readAll(t, s, "quiet"); page.Last != 2 {
		t.Errorf("it goes on at %d", page.Last)
	}
}

// TestSweeper: an open storage forgets apps by itself, and tells their followers.
func TestSweeper(t *testing.T) {
	s, err := Open(t.Context(), Settings{Lines: 10, Budget: 1 << 20, Retention: sdk.Duration(time.Second)}, sdk.Host{})
	if err != nil {
		t.Fatal(err)
	}
	m := s.(*storage)
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	fill(t, m, "foo", 1, 1)
	end := readAll(t, m, "foo")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	done := errors.New("done")
	err = m.Follow(ctx, "foo", end.End(), func(page sdk.Page) error {
		if page.Epoch != 0 || len(page.Entries) > 0 {
			t.Errorf("%d entries of epoch %x", len(page.Entries), page.Epoch)
		}
		return done
	})
	if !errors.Is(err, done) {
		t.Error(err)
	}
}

// TestFollowDelete: a delete wakes the app's followers, which continue in the next epoch.
func TestFollowDelete(t *testing.T) {
	s := openHeap(t, 10, 256)
	fill(t, s, "foo", 1, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	before := readAll(t, s, "foo")
	pages := make(chan sdk.Page)
	ended := make(chan error, 1)
	go func() {
		ended <- s.Follow(ctx, "foo", before.End(), func(page sdk.Page) error {
			select {
			case pages <- page:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	if err := s.Delete(t.Context(), "foo"); err != nil {
		t.Fatal(err)
	}
	receive := func() (page sdk.Page) {
		t.Helper()
		select {
		case page = <-pages:
		case err := <-ended:
			t.Fatal(err)
		}
		return page
	}
	if page := receive(); page.Epoch != 0 || len(page.Entries) != 0 {
		t.Errorf("after the delete: epoch %x, %d entries", page.Epoch, len(page.Entries))
	}
	fill(t, s, "foo", 3, 3)
	if page := receive(); page.Epoch == 0 || page.Epoch == before.Epoch || len(page.Entries) != 1 || page.Gone != 0 {
		t.Errorf("of the next epoch: %x, %d entries, %d gone", page.Epoch, len(page.Entries), page.Gone)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestNinthRun: an entry that fits none of eight runs counts as published with the newest entry of
// the last run. If it is older than everything in a full log, it is evicted at once, but has had
// its position.
func TestNinthRun(t *testing.T) {
	s := openHeap(t, 10, 256)
	sequence := uint64(0)
	add := func(want string, seconds ...int) {
		t.Helper()
		var entries []sdk.Entry
		for _, n := range seconds {
			e := small(n, 20)
			e.Published = began.Add(time.Duration(n) * time.Second)
			entries = append(entries, e)
		}
		sequence++
		if err := s.Append(t.Context(), batchOf("w", sequence, "foo", entries...)); err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for _, e := range readAll(t, s, "foo").Entries {
			fmt.Fprintf(&got, "%d@%.0f ", e.Position, e.Published.Sub(began).Seconds())
		}
		if got.String() != want {
			t.Errorf("%s, want %s", &got, want)
		}
		if problem := s.audit(); problem != "" {
			t.Error(problem)
		}
	}
	add("1@90 ", 90)
	for _, n := range []int{80, 70, 60, 50, 40, 30} {
		if err := s.Append(t.Context(), batchOf("v", uint64(100-n), "foo", sdk.Entry{Published: began.Add(time.Duration(n) * time.Second)})); err != nil {
			t.Fatal(err)
		}
	}
	add("8@20 7@30 6@40 5@50 4@60 3@70 2@80 1@90 ", 20)
	add("8@20 9@20 7@30 6@40 5@50 4@60 3@70 2@80 1@90 ", 10)
	add("8@20 9@20 7@30 6@40 5@50 4@60 3@70 2@80 10@85 1@90 ", 85)
	add("8@20 9@20 7@30 6@40 5@50 4@60 3@70 2@80 10@85 1@90 ", 5, 19) // evicted at once
	add("9@20 13@25 7@30 6@40 5@50 4@60 3@70 2@80 10@85 1@90 ", 25)
	add("13@25 14@25 7@30 6@40 5@50 4@60 3@70 2@80 10@85 1@90 ", 22)
	add("7@30 6@40 5@50 4@60 3@70 2@80 10@85 1@90 15@95 16@99 ", 95, 99)
	if n := len(s.logs["foo"].runs); n != 7 {
		t.Errorf("%d runs, want 7", n)
	}
}

// TestOneMoment: entries with the same publish time are also read in pages.
func TestOneMoment(t *testing.T) {
	const n = 6000
	s := openHeap(t, n, 4096)
	for i := 0; i < n; i += 100 {
		var entries []sdk.Entry
		for j := range 100 {
			e := small(i+j, 200)
			e.Published = began
			entries = append(entries, e)
		}
		if err := s.Append(t.Context(), batchOf("w", uint64(i+1), "foo", entries...)); err != nil {
			t.Fatal(err)
		}
	}
	page := readAll(t, s, "foo")
	history, _ := readOn(t, s, "foo", -1, page.End().HistoryBegin())
	arrived, gone := readOn(t, s, "foo", -1, sdk.Cursor{Epoch: page.Epoch, Position: 0})
	for name, got := range map[string][]sdk.Entry{"newest": page.Entries, "history": history, "arrival": arrived} {
		for i, e := range got {
			if e.Position != uint64(i+1) {
				t.Fatalf("%s: %d is at %d", name, e.Position, i+1)
			}
		}
		if len(got) != n || gone != 0 {
			t.Errorf("%s: %d entries, %d gone", name, len(got), gone)
		}
	}
}
