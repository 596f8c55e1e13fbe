package memory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/storagetest"
)

func TestConformance(t *testing.T) {
	const budget = 32 << 20
	for _, c := range []struct {
		name string
		open func(t *testing.T, lines int) (sdk.Storage, error)
	}{
		{"Anonymous", func(t *testing.T, lines int) (sdk.Storage, error) {
			return Open(t.Context(), Settings{Lines: lines, Budget: budget}, sdk.Host{})
		}},
		{"File", func(t *testing.T, lines int) (sdk.Storage, error) {
			return Open(t.Context(), Settings{Lines: lines, Budget: budget}, sdk.Host{StateDir: t.TempDir()})
		}},
		// The race detector sees no memory but the heap's.
		{"Heap", func(_ *testing.T, lines int) (sdk.Storage, error) {
			return newStorage(onHeap(make([]byte, budget), 0), lines, hclog.NewNullLogger())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			storagetest.Run(t, func(t *testing.T, lines int) sdk.Storage {
				t.Helper()
				s, err := c.open(t, lines)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if problem := s.(*storage).audit(); problem != "" {
						t.Error(problem)
					}
					if err := s.(*storage).Close(); err != nil {
						t.Error(err)
					}
				})
				return s
			})
		})
	}
}

// onHeap is an arena's memory as a test likes it.
func onHeap(data []byte, existing int64) *mapping {
	return &mapping{
		data:     data,
		existing: existing,
		extend:   func(_, _ int64) error { return nil },
		release:  func() error { return nil },
	}
}

// openHeap is a store of so many blocks.
func openHeap(t testing.TB, lines, blocks int) *storage {
	t.Helper()
	s, err := newStorage(onHeap(make([]byte, blocks*blockSize), 0), lines, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// audit checks everything that is always true of a store while no call is under
// way, and says what is not.
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
	for b := uint32(1); b < s.arena.blocks; b++ {
		if s.arena.isDirectory(b) {
			if problem := own(b, "the directory"); problem != "" {
				return problem
			}
		}
	}
	inHeap := 0
	for l := range s.logs.all() {
		for _, b := range l.blocks {
			if problem := own(b, l.name); problem != "" {
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
	}
	switch {
	case len(owner) != int(s.arena.blocks):
		return fmt.Sprintf("%d blocks are known, there are %d", len(owner), s.arena.blocks)
	case inHeap != len(s.shares) || s.logs.n-inHeap != s.empty.Len():
		return fmt.Sprintf("%d logs: %d of %d among the shares, %d empty", s.logs.n, inHeap, len(s.shares), s.empty.Len())
	}
	return ""
}

func (s *storage) auditLog(l *log) string {
	name, ok := l.slot.name()
	switch {
	case !ok || name != l.name:
		return fmt.Sprintf("its slot is named %q, %t", name, ok)
	case l.slot.load(slotEpoch) != l.epoch || l.slot.load(slotEnd) != l.end:
		return fmt.Sprintf("slot has epoch %x end %d, log %x %d", l.slot.load(slotEpoch), l.slot.load(slotEnd), l.epoch, l.end)
	case l.slot.load(slotFirst) > l.first:
		return fmt.Sprintf("slot has first %d, log %d", l.slot.load(slotFirst), l.first)
	case l.next-l.first > s.lines:
		return fmt.Sprintf("keeps %d entries of %d lines", l.next-l.first, s.lines)
	case (len(l.blocks) == 0) != (l.emptied != nil) || (len(l.blocks) == 0) != (l.share < 0):
		return fmt.Sprintf("%d blocks, share %d, emptied %t", len(l.blocks), l.share, l.emptied != nil)
	case len(l.blocks) == 0:
		if l.first != l.next || l.slot.load(slotFirst) != l.first {
			return fmt.Sprintf("no blocks, and first %d (slot %d) next %d", l.first, l.slot.load(slotFirst), l.next)
		}
		return ""
	case l.epoch == 0:
		return "blocks without an epoch"
	}
	for i, b := range l.blocks {
		h, ok := s.arena.header(b)
		if !ok || h.slot != l.slot.number() || h.epoch != l.epoch || h.order != (l.end-1)/payloadSize-uint64(len(l.blocks)-1-i) {
			return fmt.Sprintf("block %d of %d has header %+v, %t", i, len(l.blocks), h, ok)
		}
	}
	if next, ok := s.walk(l); !ok || next != l.next {
		return fmt.Sprintf("its stream goes to %d, %t, not to %d", next, ok, l.next)
	}
	if from := s.arena.position(l.blocks[0]); from > l.first {
		return fmt.Sprintf("first is %d, and the first block begins with %d", l.first, from)
	}
	if len(l.blocks) > 1 && s.arena.position(l.blocks[1]) <= l.first {
		return "its first block holds nothing to see"
	}
	return ""
}

// small is an entry with a message of the size.
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

// readAll goes from page to page.
func readAll(t testing.TB, s *storage, app string) sdk.Page {
	t.Helper()
	page, err := s.Read(context.Background(), sdk.ReadOptions{App: app, Limit: -1})
	for more := page; err == nil && more.More; {
		more, err = s.Read(context.Background(), sdk.ReadOptions{App: app, Limit: -1, After: page.End()})
		page.Entries = append(page.Entries, more.Entries...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// TestPages: what is much is answered in pages, each of which makes sense alone.
func TestPages(t *testing.T) {
	s := openHeap(t, 1000, 4096)
	for i := range 300 {
		size := 10_000
		if i%100 == 50 {
			size = pageBytes + 5
		}
		if err := s.Append(t.Context(), batchOf("w", uint64(i+1), "foo", small(i, size))); err != nil {
			t.Fatal(err)
		}
	}
	seen, pages := 0, 0
	var after sdk.Cursor
	for {
		page, err := s.Read(t.Context(), sdk.ReadOptions{App: "foo", Limit: 250 - seen, After: after})
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range page.Entries {
			if want := small(50+seen+i, len(e.Message)); page.First+uint64(i) != uint64(51+seen+i) || e.Message != want.Message {
				t.Fatalf("position %d is at %d", 51+seen+i, page.First+uint64(i))
			}
		}
		seen += len(page.Entries)
		pages++
		after = page.End()
		if !page.More {
			break
		}
	}
	if seen != 250 || pages < 4 || pages > 12 {
		t.Errorf("%d entries in %d pages", seen, pages)
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
	if s.logs.n != 0 {
		t.Errorf("%d logs of batches that were refused", s.logs.n)
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
	_, apps := s.Apps(t.Context())
	for call, err := range map[string]error{
		"Append": s.Append(t.Context(), batchOf("w", 1, "foo", small(1, 1))),
		"Read":   read,
		"Delete": s.Delete(t.Context(), "foo"),
		"Apps":   apps,
	} {
		if !errors.Is(err, sdk.ErrUnavailable) {
			t.Errorf("%s after Close: %v", call, err)
		}
	}
}

// TestDeletedStaysDeleted: a repetition of what was stored before a delete is not
// stored after it.
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

// TestWriters: an app knows its last 16 writers, and forgets the one that was
// silent for the longest.
func TestWriters(t *testing.T) {
	s := openHeap(t, 1000, 256)
	add := func(w int, sequence uint64, stored bool) {
		t.Helper()
		before := readAll(t, s, "foo").End().Position
		if err := s.Append(t.Context(), batchOf(fmt.Sprint("w", w), sequence, "foo", small(1, 1))); err != nil {
			t.Fatal(err)
		}
		if after := readAll(t, s, "foo").End().Position; (after > before) != stored {
			t.Errorf("writer %d sequence %d: from %d to %d entries", w, sequence, before, after)
		}
	}
	for w := range writersKept {
		add(w, 5, true)
	}
	for w := range writersKept {
		add(w, 5, false)
	}
	add(0, 6, true)   // so that writer 1 is the oldest
	add(100, 1, true) // and gone now
	add(0, 6, false)
	for w := 2; w < writersKept; w++ {
		add(w, 5, false)
	}
	add(1, 5, true)
}

// TestNamesDoNotHoldTheirBatch: over the wire, all strings of a batch are one.
func TestNamesDoNotHoldTheirBatch(t *testing.T) {
	s := openHeap(t, 10, 256)
	whole := "app" + strings.Repeat("x", 1000)
	if err := s.Append(t.Context(), batchOf("w", 1, whole[:3], small(1, 10))); err != nil {
		t.Fatal(err)
	}
	name := s.logs.find("app").name
	if unsafe.StringData(name) == unsafe.StringData(whole) {
		t.Error("the log's name is a part of the batch")
	}
}
