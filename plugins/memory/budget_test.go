package memory

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/deis/logger/sdk"
)

// TestNoisy: one app that prints without end takes nothing from apps that keep less.
func TestNoisy(t *testing.T) {
	s := openHeap(t, 100_000, 256)
	for i := range 10 {
		fill(t, s, fmt.Sprint("quiet-", i), 1, 60)
	}
	for i := 1; i <= 20_000; i += 10 {
		var group []sdk.Entry
		for j := range 10 {
			group = append(group, small(i+j, 200))
		}
		if err := s.Append(t.Context(), batchOf("w", uint64(i), "noisy", group...)); err != nil {
			t.Fatal(err)
		}
		if app := fmt.Sprint("quiet-", i/10%10); i%500 == 1 { // the quiet apps go on meanwhile
			n := int(readAll(t, s, app).Last) + 1
			fill(t, s, app, n, n)
		}
	}
	quiet := 0
	for i := range 10 {
		page := readAll(t, s, fmt.Sprint("quiet-", i))
		wantRun(t, page, 1, len(page.Entries))
		quiet += blocksOf(t, s, fmt.Sprint("quiet-", i))
	}
	noisy := readAll(t, s, "noisy")
	wantRun(t, noisy, 20_001-len(noisy.Entries), 20_000)
	if got, room := blocksOf(t, s, "noisy"), 254-2-quiet; got < room-1 { // the directory has two
		t.Errorf("noisy has %d blocks, there is room for %d", got, room)
	}
	if problem := s.audit(); problem != "" {
		t.Error(problem)
	}
}

// blocksOf returns how many blocks an app's log takes, as a list of apps tells it in bytes.
func blocksOf(t *testing.T, s *storage, app string) int {
	t.Helper()
	info, err := s.App(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	return int(info.Bytes / blockSize)
}

// TestEqualShares: apps that want more than there is get equal shares.
func TestEqualShares(t *testing.T) {
	s := openHeap(t, 100_000, 256)
	for i := 1; i <= 8000; i++ {
		for app := range 4 {
			// One of them prints more lines at a time, and another prints more often.
			var group []sdk.Entry
			for range 1 + app*2 {
				group = append(group, small(i, 200))
			}
			if err := s.Append(t.Context(), batchOf("w", uint64(i), fmt.Sprint("app-", app), group...)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 4 {
		if n := blocksOf(t, s, fmt.Sprint("app-", i)); n < 254/4-2 || n > 254/4+2 {
			t.Errorf("app-%d has %d blocks of 254", i, n)
		}
	}
}

// TestNoLess: a log takes nothing from one that holds as much.
func TestNoLess(t *testing.T) {
	s := openHeap(t, 100_000, 256)
	n := 0
	const most = (256 - 2) / 2 // of each; the arena and the directory have the other two
	for blocksOf(t, s, "bar") < most {
		if n++; n > 5000 {
			t.Fatalf("bar has %d blocks, want %d", blocksOf(t, s, "bar"), most)
		}
		fill(t, s, "foo", n, n)
		fill(t, s, "bar", n, n)
	}
	if a, b := blocksOf(t, s, "foo"), blocksOf(t, s, "bar"); a != b {
		t.Fatalf("%d and %d blocks are not the same", a, b)
	}
	fill(t, s, "foo", n+1, n+5000)
	wantRun(t, readAll(t, s, "bar"), 1, n)
	if a, b := blocksOf(t, s, "foo"), blocksOf(t, s, "bar"); a != b {
		t.Errorf("%d and %d blocks are not the same", a, b)
	}
}

// TestGroupBeyondBudget: if a group does not fit, its newest entries are stored, and the positions
// count all of them.
func TestGroupBeyondBudget(t *testing.T) {
	s := openHeap(t, 100_000, 1024)
	fill(t, s, "quiet", 1, 100)
	fill(t, s, "foo", 1, 100)
	var group []sdk.Entry
	for i := 101; i <= 20_100; i++ {
		group = append(group, small(i, 200))
	}
	batch := batchOf("other", 1, "foo", group...)
	for range 2 {
		if err := s.Append(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		page := readAll(t, s, "foo")
		wantRun(t, page, 20_101-len(page.Entries), 20_100)
		if n := len(page.Entries); n < 3000 {
			t.Errorf("%d entries are kept", n)
		}
		wantRun(t, readAll(t, s, "quiet"), 1, 100)
		if problem := s.audit(); problem != "" {
			t.Error(problem)
		}
	}
}

// TestEntryBeyondShare: the longest entry that is accepted is stored, whatever has to be evicted
// for it. It is the next to be evicted.
func TestEntryBeyondShare(t *testing.T) {
	s := openHeap(t, 1000, 256)
	for app := range 200 {
		fill(t, s, fmt.Sprint("app-", app), 1, 2)
	}
	long := small(1, s.longest()-entryBound(&sdk.Entry{})-100)
	if err := s.Append(t.Context(), batchOf("w", 1, "long", long)); err != nil {
		t.Fatal(err)
	}
	if page := readAll(t, s, "long"); len(page.Entries) != 1 || unplaced(page.Entries[0]) != long {
		t.Errorf("%d entries", len(page.Entries))
	}
	for app := range 50 {
		fill(t, s, fmt.Sprint("app-", app), 3, 4)
	}
	if page := readAll(t, s, "long"); len(page.Entries) != 0 || page.Last != 1 || page.Epoch == 0 {
		t.Errorf("%d entries of %d, epoch %x", len(page.Entries), page.Last, page.Epoch)
	}
	for app := range 50 {
		page := readAll(t, s, fmt.Sprint("app-", app))
		if n := len(page.Entries); n < 2 {
			t.Errorf("app %d has %d entries", app, n)
		}
	}
	if problem := s.audit(); problem != "" {
		t.Error(problem)
	}
}

// TestManyApps: there are more apps than blocks. The latest apps are kept, and the memory for what
// is known of the others is bounded too.
func TestManyApps(t *testing.T) {
	s := openHeap(t, 1000, 256)
	for i := range 2000 {
		fill(t, s, fmt.Sprint("app-", i), 1, 1)
	}
	for i := 1800; i < 2000; i++ {
		wantRun(t, readAll(t, s, fmt.Sprint("app-", i)), 1, 1)
	}
	if n := s.empty.Len(); n != s.maxEmpty() {
		t.Errorf("%d apps without entries are known, want %d", n, s.maxEmpty())
	}
	for i := 2000 - len(s.shares) - s.maxEmpty(); i < 2000-len(s.shares); i++ {
		if page := readAll(t, s, fmt.Sprint("app-", i)); page.Epoch == 0 || page.Last != 1 {
			t.Errorf("app %d, just emptied, goes on after %d, epoch %x", i, page.Last, page.Epoch)
		}
	}
	if page := readAll(t, s, "app-0"); page.Epoch != 0 || page.Last != 0 {
		t.Errorf("app 0, forgotten, is at %d, epoch %x", page.Last, page.Epoch)
	}
	if problem := s.audit(); problem != "" {
		t.Error(problem)
	}
}

// TestManySmallApps gives ten lines each to so many apps that each has 1,342 bytes of the budget;
// in the default budget, there are 200,000 such apps. Short lines are all kept. Long lines exceed
// the budget, and each app keeps its newest ones.
func TestManySmallApps(t *testing.T) {
	const blocks = 8 << 20 / blockSize
	const apps = 8 << 20 / 1342
	for _, c := range []struct{ length, least, all int }{{40, 10, 10 * apps}, {200, 1, 2 * apps}} {
		t.Run(fmt.Sprint("length=", c.length), func(t *testing.T) {
			s := openHeap(t, 1000, blocks)
			for i := range 10 {
				batch := sdk.Batch{ID: sdk.BatchID{Writer: "w", Sequence: uint64(i + 1)}}
				for app := range apps {
					e := line(i)
					e.Message = strings.Repeat("x", c.length)
					batch.Apps = append(batch.Apps, sdk.AppEntries{App: fmt.Sprint("app-", app), Entries: []sdk.Entry{e}})
				}
				if err := s.Append(t.Context(), batch); err != nil {
					t.Fatal(err)
				}
			}
			least, all := 10, 0
			for app := range apps {
				page := readAll(t, s, fmt.Sprint("app-", app))
				least, all = min(least, len(page.Entries)), all+len(page.Entries)
			}
			t.Logf("of %d apps, %d entries are kept, at least %d of each", apps, all, least)
			if least < c.least || all < c.all {
				t.Errorf("want %d, %d of each", c.all, c.least)
			}
		})
	}
}

// TestBudget: the file never exceeds the budget.
func TestBudget(t *testing.T) {
	for _, budget := range []sdk.Bytes{1 << 20, 1<<20 + 4095, 3<<20 + 8192} {
		dir := t.TempDir()
		s, _ := openDir(t, dir, Settings{Lines: 100_000, Budget: budget})
		for i := range 500 {
			if err := s.Append(t.Context(), batchOf("w", uint64(i+1), fmt.Sprint("app-", i%7), small(i, 20_000))); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(filepath.Join(dir, fileName))
			if err != nil || info.Size() > int64(budget) {
				t.Fatalf("%d bytes of %d, %v", info.Size(), budget, err)
			}
		}
		if used := int64(s.arena.blocks) * blockSize; used <= int64(budget)-pageSize {
			t.Errorf("%d bytes of %d are used", used, budget)
		}
	}
}

// TestNoSpace: when the system has no more room, the store stops growing. It grows again once there
// is room.
func TestNoSpace(t *testing.T) {
	room := int64(2 * extentBytes)
	m := onHeap(make([]byte, 8*extentBytes), 0)
	m.extend = func(_, to int64) error {
		if to > room {
			return unix.ENOSPC
		}
		return nil
	}
	var logged bytes.Buffer
	s, err := newStorage(m, 100_000, hclog.New(&hclog.LoggerOptions{Output: &logged}))
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s, "foo", 1, 20_000)
	page := readAll(t, s, "foo")
	wantRun(t, page, 20_001-len(page.Entries), 20_000)
	if s.arena.blocks != 2*extentBlocks {
		t.Errorf("%d blocks, there is room for %d", s.arena.blocks, 2*extentBlocks)
	}
	room = 5*extentBytes + 7
	fill(t, s, "foo", 20_001, 60_000)
	page = readAll(t, s, "foo")
	wantRun(t, page, 60_001-len(page.Entries), 60_000)
	if s.arena.blocks != 5*extentBlocks {
		t.Errorf("%d blocks, there is room for %d", s.arena.blocks, 5*extentBlocks)
	}
	if n := strings.Count(logged.String(), "[WARN]"); n != 2 {
		t.Errorf("%d warnings, want one each time that it ended:\n%s", n, &logged)
	}
	if problem := s.audit(); problem != "" {
		t.Error(problem)
	}
}

// TestNoSpaceAtAll: without room for even the smallest arena, nothing can be stored.
func TestNoSpaceAtAll(t *testing.T) {
	m := onHeap(make([]byte, extentBytes), 0)
	m.extend = func(_, _ int64) error { return unix.ENOSPC }
	if _, err := newStorage(m, 100, hclog.NewNullLogger()); !errors.Is(err, sdk.ErrFull) {
		t.Errorf("opened: %v", err)
	}
	// An earlier process left one block: enough to open the store, not to append.
	m.existing = blockSize
	s, err := newStorage(m, 100, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Append(t.Context(), batchOf("w", 1, "foo", small(1, 1))); !errors.Is(err, sdk.ErrFull) {
		t.Errorf("appended: %v", err)
	}
	if page := readAll(t, s, "foo"); page.Epoch != 0 || len(page.Entries) != 0 {
		t.Errorf("epoch %x, %d entries", page.Epoch, len(page.Entries))
	}
	m.extend = func(_, _ int64) error { return nil }
	for range extentBlocks + 1 { // not every append asks for room
		err = s.Append(t.Context(), batchOf("w", 1, "foo", small(1, 200)))
	}
	if err != nil {
		t.Errorf("with room, appended: %v", err)
	}
	wantRun(t, readAll(t, s, "foo"), 1, 1)
}

// TestWriteZeros makes room as on file systems that have no call for it.
func TestWriteZeros(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	if err := writeZeros(f, 0, 200_000); err != nil {
		t.Fatal(err)
	}
	if info, err := f.Stat(); err != nil || info.Size() != 200_000 {
		t.Errorf("%d bytes, %v", info.Size(), err)
	}
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = full.Close() }()
	if err := writeZeros(full, 0, 10); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("on a full device: %v", err)
	}
}
