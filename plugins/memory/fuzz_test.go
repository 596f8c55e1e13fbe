package memory

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

// FuzzDecodeEntry: whatever the bytes, decoding ends. Its result is the same after it was encoded
// and decoded again.
func FuzzDecodeEntry(f *testing.F) {
	prev := line(1)
	other := line(2)
	other.Pod, other.Container, other.Stream, other.Source, other.CutBytes, other.Partial, other.Level = "p", "c", "other", 7, 1<<63, true, sdk.LevelFatal
	other.Time = time.Date(1, 1, 1, 0, 0, 0, 1, time.FixedZone("", -1))
	for _, e := range []sdk.Entry{{}, line(3), other} {
		f.Add(string(appendEntry(nil, &e, nanos(e.Published), 0, false)[entryHead:]))
		f.Add(string(appendEntry(nil, &e, 5, 1<<40, sameTexts(&e, &prev))[entryHead:]))
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, before := range []*sdk.Entry{nil, &prev} {
			var e, again sdk.Entry
			if !decodeEntry(body, before, &e) {
				continue
			}
			encoded := appendEntry(nil, &e, nanos(e.Published), e.Position, before != nil && sameTexts(&e, before))
			if len(encoded) > entryBound(&e) {
				t.Errorf("%d bytes are above the bound of %d", len(encoded), entryBound(&e))
			}
			cut, rest, ok := cutEntry(string(encoded) + "rest")
			if !ok || rest != "rest" || !decodeEntry(cut, before, &again) {
				t.Fatalf("%+v is encoded as %q", e, encoded)
			}
			if at, ok := entryTime(cut); !ok || at != timeNanos(e.Time) {
				t.Errorf("the time of %+v is %d, %t", e, at, ok)
			}
			_, offset := e.Time.Zone()
			_, offsetAgain := again.Time.Zone()
			if !again.Time.Equal(e.Time) || offset != offsetAgain || !again.Published.Equal(e.Published) {
				t.Errorf("%+v became %+v", e, again)
			}
			again.Time, again.Published = e.Time, e.Published
			if again != e {
				t.Errorf("%+v became %+v", e, again)
			}
		}
	})
}

// arenaForFuzz returns a small arena with some of everything in it.
func arenaForFuzz(tb testing.TB) []byte {
	s := openHeap(tb, 30, 128)
	for i, size := range []int{10, 200, 9000, 1000, 4000, 20, 300, 5000} {
		app := []string{"a", strings.Repeat("b", shortName+1), "c"}[i%3]
		entries := []sdk.Entry{small(i, size), small(100+i, size/2), small(200+i, 7)}
		for j := range entries { // each later entry belongs to another run
			entries[j].Published = entries[j].Published.Add(time.Duration(-i/3) * time.Minute)
		}
		batch := batchOf(fmt.Sprint("w", i%2), uint64(i+1), app, entries...)
		if err := s.Append(context.Background(), batch); err != nil {
			tb.Fatal(err)
		}
	}
	if err := s.Delete(context.Background(), "c"); err != nil {
		tb.Fatal(err)
	}
	return s.arena.mapping.data
}

// repair recomputes the checksums of a damaged arena, so that they do not reveal the damage.
func repair(data []byte) {
	a := &arena{mapping: onHeap(data, 0), blocks: uint32(len(data) / blockSize)}
	binary.NativeEndian.PutUint64(data, magic)
	for b := uint32(1); b < uint32(len(data)/blockSize); b++ {
		switch a.kind(b) {
		case logBlock, wideBlock:
			a.store(blockAt(b)+headCheck, a.check(b))
		case directoryBlock:
			a.setHeader(b, &header{kind: directoryBlock})
			for i := range slotsPerBlock {
				s, _ := a.recoverSlot(slotAt(b, i))
				if n := s.load(slotName) >> 32; n > 0 && n <= maxNameLen && (n <= shortName || s.wide > 0) {
					s.store(slotName, nameWord(string(a.bytes(s.nameAt(int(n)), n))))
				}
			}
		case freeBlock:
		}
	}
}

// FuzzRecover damages an arena: each edit has four bytes, three for the place and one for the
// value. Whatever the edits, the store opens, is consistent, answers and stores.
func FuzzRecover(f *testing.F) {
	whole := arenaForFuzz(f)
	edit := func(at int, what byte) []byte { return []byte{byte(at >> 16), byte(at >> 8), byte(at), what} }
	f.Add([]byte(nil), len(whole), true)
	f.Add(edit(0, 1), len(whole), false)
	for b := 1; b < len(whole)/blockSize; b++ {
		// The words of the header, those of the first slot in a directory, and the head of an
		// entry.
		for word := range 16 {
			at := b*blockSize + word*8
			f.Add(slices.Concat(edit(at, byte(b)), edit(at+7, 0x80)), len(whole), word%4 > 0)
		}
		f.Add([]byte(nil), b*blockSize, true)
	}
	f.Fuzz(func(t *testing.T, edits []byte, size int, repaired bool) {
		data := slices.Clone(whole)
		for ; len(edits) >= 4; edits = edits[4:] {
			data[(int(edits[0])<<16|int(edits[1])<<8|int(edits[2]))%len(data)] ^= edits[3]
		}
		size = min(max(size, blockSize), len(data))
		clear(data[size/blockSize*blockSize:]) // a truncated file
		if repaired {
			repair(data)
		}
		s, err := newStorage(onHeap(data, int64(size)), 30, hclog.NewNullLogger())
		if err != nil {
			t.Fatal(err)
		}
		if problem := s.audit(); problem != "" {
			t.Fatal(problem)
		}
		_, _ = s.Apps(t.Context(), "", 0) // an entry may be damaged although the checksum is right
		for _, l := range s.logs {
			plain := sdk.Cursor{Epoch: l.epoch, Position: l.last / 2}
			for _, after := range []sdk.Cursor{{}, plain, plain.HistoryBegin()} {
				_, _ = s.Read(t.Context(), sdk.ReadOptions{App: l.name, Limit: -1, After: after})
				_, _ = s.Read(t.Context(), sdk.ReadOptions{App: l.name, Limit: 2, After: after})
			}
		}
		for i := range 40 {
			if err := s.Append(t.Context(), batchOf("new", uint64(i+1), fmt.Sprint("n", i%4), small(i, i*50))); err != nil {
				t.Fatal(err)
			}
		}
		if got := readAll(t, s, "n3").Last; got != 10 {
			t.Errorf("10 were appended, the last is at %d", got)
		}
		for _, l := range s.logs {
			if err := s.Delete(t.Context(), l.name); err != nil {
				t.Fatal(err)
			}
		}
		if problem := s.audit(); problem != "" {
			t.Fatal(problem)
		}
	})
}
