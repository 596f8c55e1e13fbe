package sdk

import (
	"errors"
	"math"
	"testing"
	"time"
)

func TestCursorText(t *testing.T) {
	for _, c := range []Cursor{
		{},
		{Epoch: 1},
		{Epoch: 1, Position: 1},
		{Epoch: math.MaxUint64, Position: math.MaxUint64},
		{Epoch: 0xabc, Position: 1042},
		Beginning(),
		Cursor{Epoch: 3, Position: 4}.HistoryBegin(),
		{Epoch: 3, Position: 4, Published: -1, Entry: math.MaxUint64},
		{Epoch: 3, Position: 4, Published: math.MaxInt64, Entry: 1},
		{Epoch: 3, Entry: 1},
	} {
		got, err := ParseCursor(c.String())
		if err != nil || got != c {
			t.Errorf("%+v reads back as %+v, %v", c, got, err)
		}
	}
}

func TestParseCursorRefuses(t *testing.T) {
	for _, s := range []string{
		"1", "-", "0000000000000001", "0000000000000001-", "0000000000000001-+1", "0000000000000001-01",
		"0000000000000000-1", "000000000000000G-1", "0000000000000ABC-1", "00000000000000001-1", "0000000000000001-18446744073709551616",
		"0000000000000001-1 ", "0000000000000001--1", "0000000000000001-1-", "0000000000000001-1-0000000000000001",
		"0000000000000001-1-0000000000000000-0", "0000000000000001-1-1-1", "0000000000000001-1-0000000000000001-1-1",
	} {
		if c, err := ParseCursor(s); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q is accepted as %+v, %v", s, c, err)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	for _, s := range []string{"", "0000000000000abc-12", "x-1", "-", "0000000000000abc-12-00000000000000ff-3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCursor(s)
		if err == nil && c.String() != s {
			t.Errorf("%q is taken as %+v, whose text is %q", s, c, c.String())
		}
	})
}

// FuzzCursorText writes any cursor and reads it back.
func FuzzCursorText(f *testing.F) {
	f.Add(uint64(1), uint64(2), int64(3), uint64(4))
	f.Add(uint64(math.MaxUint64), uint64(0), int64(math.MinInt64), uint64(0))
	f.Fuzz(func(t *testing.T, epoch, position uint64, published int64, entry uint64) {
		c := Cursor{Epoch: epoch, Position: position, Published: published, Entry: entry}
		got, err := ParseCursor(c.String())
		if epoch == 0 && !c.IsZero() {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("%+v, which names no epoch, is accepted as %+v, %v", c, got, err)
			}
			return
		}
		if err != nil || got != c {
			t.Errorf("%+v reads back as %+v, %v", c, got, err)
		}
	})
}

// TestCursorPlaces: a cursor within a history is after the entries up to its place.
func TestCursorPlaces(t *testing.T) {
	at := time.Unix(100, 0)
	entry := func(seconds int, position uint64) *Entry {
		return &Entry{Published: at.Add(time.Duration(seconds) * time.Second), Position: position}
	}
	end := Cursor{Epoch: 7, Position: 9}
	if end.InHistory() || !end.HistoryBegin().InHistory() || end.HistoryBegin().Plain() != end {
		t.Errorf("%+v, %+v", end, end.HistoryBegin())
	}
	c := end.At(entry(1, 4))
	if !c.InHistory() || c.Plain() != end || c.Position != 9 || c.Entry != 4 {
		t.Errorf("at an entry: %+v", c)
	}
	for _, tc := range []struct {
		seconds  int
		position uint64
		behind   bool
	}{{0, 8, false}, {1, 3, false}, {1, 4, false}, {1, 5, true}, {2, 1, true}} {
		e := entry(tc.seconds, tc.position)
		if c.Precedes(e) != tc.behind || !end.HistoryBegin().Precedes(e) {
			t.Errorf("an entry at %d s, position %d: behind the place is %t, want %t", tc.seconds, tc.position, !tc.behind, tc.behind)
		}
	}
	page := Page{Epoch: 7, Last: 5}
	if got := page.End(); got != (Cursor{Epoch: 7, Position: 5}) {
		t.Errorf("end: %+v", got)
	}
	page = Page{}
	if got := page.End(); !got.IsZero() {
		t.Errorf("end of no log: %+v", got)
	}
}
