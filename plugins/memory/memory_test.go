package memory

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

// onHeap returns an arena's memory on the heap, where a test can change it.
func onHeap(data []byte, existing int64) *mapping {
	return &mapping{
		data:     data,
		existing: existing,
		extend:   func(_, _ int64) error { return nil },
		release:  func() error { return nil },
	}
}

// openHeap returns a store of so many blocks.
func openHeap(t testing.TB, lines, blocks int) *storage {
	t.Helper()
	s, err := newStorage(onHeap(make([]byte, blocks*blockSize), 0), lines, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// audit checks the invariants of a store while no call is under way, and describes the first that
// does not hold. It looks at the blocks themselves: a block that is lost, or that two logs have,
// shows in no answer until much later.
func (s *storage) audit() string {
	owner := map[uint32]string{0: "the arena"}
	own := func(b uint32, who string) string {
		if before, ok := owner[b]; ok {
			return fmt.Sprintf("block %d is of %s and of %s", b, before, who)
		}
		owner[b] = who
		return ""
	}
	for _, b := range s.arena.free {
		if problem := own(b, "the free"); problem != "" {
			return problem
		}
		if s.arena.kind(b) != freeBlock {
			return fmt.Sprintf("free block %d is of kind %d", b, s.arena.kind(b))
		}
	}
	directories := 0
	for b := uint32(1); b < s.arena.blocks; b++ {
		if h, ok := s.arena.header(b); ok && h.kind == directoryBlock {
			directories++
			if problem := own(b, "the directory"); problem != "" {
				return problem
			}
		}
	}
	inHeap, entries, arrived := 0, 0, uint64(0)
	for _, l := range s.logs {
		for _, r := range l.runs {
			for _, b := range r.blocks {
				if problem := own(b, l.name); problem != "" {
					return problem
				}
			}
		}
		if l.slot.wide > 0 {
			directories++
			if problem := own(uint32(l.slot.wide/blockSize), "the slot of "+l.name); problem != "" {
				return problem
			}
		}
		if problem := s.auditLog(l); problem != "" {
			return fmt.Sprintf("%q: %s", l.name, problem)
		}
		if l.share >= 0 {
			inHeap++
			if s.shares[l.share] != l || s.shares.Less(l.share, (l.share+1)/2-min(l.share, 1)) {
				return fmt.Sprintf("%q is at the wrong place among the shares", l.name)
			}
		}
		entries, arrived = entries+l.kept, arrived+l.last
	}
	listed := 0
	for _, bucket := range s.names.buckets {
		listed += len(bucket)
	}
	switch {
	case len(owner) != int(s.arena.blocks):
		return fmt.Sprintf("%d blocks are known, there are %d", len(owner), s.arena.blocks)
	case inHeap != len(s.shares) || len(s.logs)-inHeap != s.empty.Len():
		return fmt.Sprintf("%d logs: %d of %d among the shares, %d empty", len(s.logs), inHeap, len(s.shares), s.empty.Len())
	case listed != len(s.logs) || directories != s.directories:
		return fmt.Sprintf("%d of %d names, %d of %d directories", listed, len(s.logs), s.directories, directories)
	case uint64(entries) != s.entries || arrived != s.arrived:
		return fmt.Sprintf("%d of %d entries, of %d of %d that arrived", s.entries, entries, s.arrived, arrived)
	}
	return ""
}

func (s *storage) auditLog(l *log) string {
	name, ok := l.slot.name()
	again, whole := s.arena.recoverSlot(l.slot.at)
	kept, held := l.recount()
	switch {
	case !ok || name != l.name || !whole || again != l.slot:
		return fmt.Sprintf("its slot is named %q, %t, and is %+v, %t", name, ok, again, whole)
	case l.slot.load(slotEpoch) != l.epoch || l.slot.record() != l.record || l.slot.load(slotTurn) != l.turn:
		return fmt.Sprintf("slot has epoch %x and %+v, log %x %+v", l.slot.load(slotEpoch), l.slot.record(), l.epoch, l.record)
	case kept > int(s.lines) || kept != l.kept || held != l.held:
		return fmt.Sprintf("keeps %d entries (%d) of %d lines in %d blocks (%d)", kept, l.kept, s.lines, held, l.held)
	case (held == 0) != (l.emptied != nil) || (held == 0) != (l.share < 0):
		return fmt.Sprintf("%d blocks, share %d, emptied %t", held, l.share, l.emptied != nil)
	case (l.epoch == 0) != (l.last == 0) || (l.epoch == 0) != (l.version == 0) || l.epoch == 0 && held > 0:
		return fmt.Sprintf("epoch %x, last %d, version %d, %d blocks", l.epoch, l.last, l.version, held)
	}
	numbers := map[uint8]bool{}
	for i := range l.runs {
		r := &l.runs[i]
		if problem := s.auditRun(l, r); problem != "" {
			return fmt.Sprintf("run %d: %s", r.number, problem)
		}
		if numbers[r.number] || i > 0 && l.runs[i-1].top < r.top {
			return fmt.Sprintf("run %d comes twice, or before one with a later entry", r.number)
		}
		numbers[r.number] = true
	}
	return ""
}

func (s *storage) auditRun(l *log, r *run) string {
	if r.head >= r.count || len(r.blocks) == 0 {
		return fmt.Sprintf("it is empty: head %d, count %d, %d blocks", r.head, r.count, len(r.blocks))
	}
	for i, b := range r.blocks {
		h, ok := s.arena.header(b)
		if !ok || h.slot != l.slot.number() || h.run != r.number || h.epoch != l.epoch {
			return fmt.Sprintf("block %d of %d has header %+v, %t", i, len(r.blocks), h, ok)
		}
	}
	again := run{number: r.number, blocks: slices.Clone(r.blocks)}
	ok := s.settleRun(l, &again)
	again.front, again.texts, again.block = r.front, r.texts, r.block
	switch {
	case !ok:
		return "its stream is damaged"
	case !reflect.DeepEqual(again, *r):
		return fmt.Sprintf("it is %+v, and by its stream %+v", *r, again)
	case len(r.blocks) > 1 && s.arena.ordinal(r.blocks[1]) <= r.head:
		return "its first block holds nothing to see"
	}
	return ""
}

// small returns an entry with a message of that size.
func small(i, size int) sdk.Entry {
	e := line(i)
	e.Message = strings.Repeat(string(rune('a'+i%26)), size)
	return e
}

func batchOf(writer string, sequence uint64, app string, entries ...sdk.Entry) sdk.Batch {
	return sdk.Batch{
		ID:   sdk.BatchID{Writer: writer, Sequence: sequence},
		Apps: []sdk.AppEntries{{App: app, Entries: entries}},
	}
}

// readAll reads all pages, from the newest to the oldest.
func readAll(t testing.TB, s *storage, app string) sdk.Page {
	t.Helper()
	return readNewest(t, s, sdk.ReadOptions{App: app, Limit: -1})
}

// readNewest reads the newest entries page by page, and returns them as one page.
func readNewest(t testing.TB, s *storage, opts sdk.ReadOptions) (whole sdk.Page) {
	t.Helper()
	for limit := opts.Limit; ; {
		page, err := sdk.ReadFiltered(context.Background(), s, opts)
		if err != nil {
			t.Fatal(err)
		}
		page.Entries = append(page.Entries, whole.Entries...)
		whole = page
		if !page.More {
			return whole
		}
		if opts.Before = page.Next; limit > 0 {
			opts.Limit = limit - len(whole.Entries)
		}
	}
}

// readOn reads from the cursor to the end, page by page.
func readOn(t testing.TB, s *storage, app string, limit int, after sdk.Cursor) (entries []sdk.Entry, gone uint64) {
	t.Helper()
	for {
		page, err := sdk.ReadFiltered(context.Background(), s, sdk.ReadOptions{App: app, Limit: limit, After: after})
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, page.Entries...)
		gone += page.Gone
		if after = page.Next; !page.More {
			return entries, gone
		}
	}
}

// TestPages: large answers come in pages, and each page makes sense by itself.
func TestPages(t *testing.T) {
	s := openHeap(t, 1000, pageShare*maxPage/blockSize) // the smallest store that has pages of the largest size
	for i := 1; i <= 300; i++ {
		size := 10_000
		if i%100 == 50 {
			size = maxPage + 5
		}
		if err := s.Append(t.Context(), batchOf("w", uint64(i), "foo", small(i, size))); err != nil {
			t.Fatal(err)
		}
	}
	whole := readAll(t, s, "foo")
	end := whole.End()
	for name, opts := range map[string]sdk.ReadOptions{
		"newest":  {},
		"arrival": {After: sdk.Cursor{Epoch: end.Epoch, Position: 50}},
		"history": {After: func() sdk.Cursor { e := small(50, 0); e.Position = 50; return end.At(&e) }()},
	} {
		opts.App = "foo"
		var entries []sdk.Entry
		pages := 0
		for more := true; more && len(entries) < 250; pages++ {
			opts.Limit = 250 - len(entries)
			page, err := sdk.ReadFiltered(t.Context(), s, opts)
			if err != nil || len(page.Entries) == 0 {
				t.Fatalf("%s: %d entries after %d, %v", name, len(page.Entries), len(entries), err)
			}
			if opts.After.IsZero() {
				entries, opts.Before = append(page.Entries, entries...), page.Next
			} else {
				entries, opts.After = append(entries, page.Entries...), page.Next
			}
			more = page.More
		}
		for i, e := range entries {
			if want := small(51+i, len(e.Message)); e.Position != uint64(51+i) || e.Message != want.Message {
				t.Fatalf("%s: position %d is at %d", name, e.Position, 51+i)
			}
		}
		if len(entries) != 250 || pages < 4 || pages > 12 {
			t.Errorf("%s: %d entries in %d pages", name, len(entries), pages)
		}
	}
}

func TestInvalid(t *testing.T) {
	s := openHeap(t, 1000, 256)
	for _, batch := range []sdk.Batch{
		batchOf("w", 1, "", small(1, 1)),
		batchOf("w", 1, strings.Repeat("x", maxNameLen+1), small(1, 1)),
		batchOf("w", 1, "foo", small(1, 1), small(2, 256*blockSize/4)),
	} {
		both := sdk.Batch{ID: batch.ID, Apps: append([]sdk.AppEntries{{App: "good", Entries: []sdk.Entry{small(1, 1)}}}, batch.Apps...)}
		if err := s.Append(t.Context(), both); !errors.Is(err, sdk.ErrInvalid) {
			t.Errorf("app %.10q: %v, want invalid", batch.Apps[0].App, err)
		}
	}
	if totals, err := s.Totals(t.Context()); err != nil || totals.Apps != 0 {
		t.Errorf("%d logs of batches that were refused, %v", totals.Apps, err)
	}
	if err := s.Append(t.Context(), batchOf("w", 1, strings.Repeat("x", maxNameLen), small(1, 1))); err != nil {
		t.Error(err)
	}
}

func TestClosed(t *testing.T) {
	s := openHeap(t, 1000, 256)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	_, read := s.Read(t.Context(), sdk.ReadOptions{App: "foo"})
	_, apps := s.Apps(t.Context(), "", 0)
	_, app := s.App(t.Context(), "foo")
	_, totals := s.Totals(t.Context())
	_, versions := s.Versions(t.Context(), []string{"foo"})
	for call, err := range map[string]error{
		"Append": s.Append(t.Context(), batchOf("w", 1, "foo", small(1, 1))),
		"Read":   read,
		"Delete": s.Delete(t.Context(), "foo"),
		"Apps":   apps, "App": app, "Totals": totals, "Versions": versions,
		"Follow": s.Follow(t.Context(), "foo", sdk.Cursor{}, nil),
	} {
		if !errors.Is(err, sdk.ErrUnavailable) {
			t.Errorf("%s after Close: %v", call, err)
		}
	}
}

// TestDeletedStaysDeleted: after a delete, repeating a batch from before the delete stores nothing.
func TestDeletedStaysDeleted(t *testing.T) {
	s := openHeap(t, 1000, 256)
	batch := batchOf("w", 1, "foo", small(1, 1))
	for range 2 {
		if err := s.Append(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		if err := s.Delete(t.Context(), "foo"); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Append(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	if page := readAll(t, s, "foo"); len(page.Entries) != 0 {
		t.Errorf("%d entries are back", len(page.Entries))
	}
}

// TestWriters: an app remembers its last 16 writers and one more. It forgets the one that has been
// silent longest.
func TestWriters(t *testing.T) {
	s := openHeap(t, 1000, 256)
	add := func(w int, sequence uint64, stored bool) {
		t.Helper()
		before := readAll(t, s, "foo").Last
		if err := s.Append(t.Context(), batchOf(fmt.Sprint("w", w), sequence, "foo", small(1, 1))); err != nil {
			t.Fatal(err)
		}
		if after := readAll(t, s, "foo").Last; (after > before) != stored {
			t.Errorf("writer %d sequence %d: from %d to %d entries", w, sequence, before, after)
		}
	}
	for w := range writersKept + 1 {
		add(w, 5, true)
	}
	for w := range writersKept + 1 {
		add(w, 5, false)
	}
	add(0, 6, true) // makes writer 1 the oldest
	add(100, 1, true)
	add(101, 1, true)
	add(102, 1, true) // now writers 1 to 3 are forgotten
	add(0, 6, false)
	for w := 4; w < writersKept+1; w++ {
		add(w, 5, false)
	}
	add(1, 5, true)
}

// TestNamesDoNotHoldTheirBatch: over gRPC, all strings of a batch share one buffer, which a kept
// name must not keep alive. Only the name's address shows that.
func TestNamesDoNotHoldTheirBatch(t *testing.T) {
	s := openHeap(t, 10, 256)
	whole := "app" + strings.Repeat("x", 1000)
	if err := s.Append(t.Context(), batchOf("w", 1, whole[:3], small(1, 10))); err != nil {
		t.Fatal(err)
	}
	name := s.logs["app"].name
	if unsafe.StringData(name) == unsafe.StringData(whole) {
		t.Error("the log's name is a part of the batch")
	}
}
