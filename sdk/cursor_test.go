package sdk

import (
	"errors"
	"math"
	"testing"
)

func TestCursorText(t *testing.T) {
	for _, c := range []Cursor{{}, {1, 0}, {1, 1}, {math.MaxUint64, math.MaxUint64}, {0xabc, 1042}} {
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
		"0000000000000001-1 ", "0000000000000001--1",
	} {
		if c, err := ParseCursor(s); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q is taken as %+v, %v", s, c, err)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	for _, s := range []string{"", "0000000000000abc-12", "x-1", "-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := ParseCursor(s)
		if err == nil && c.String() != s {
			t.Errorf("%q is taken as %+v, whose text is %q", s, c, c.String())
		}
	})
}

func TestPageGap(t *testing.T) {
	for _, tc := range []struct {
		name  string
		page  Page
		after Cursor
		gap   uint64
		known bool
	}{
		{"next entry", Page{Epoch: 7, First: 5}, Cursor{7, 4}, 0, true},
		{"three gone", Page{Epoch: 7, First: 8}, Cursor{7, 4}, 3, true},
		{"from the beginning", Page{Epoch: 7, First: 1}, Cursor{7, 0}, 0, true},
		{"another epoch", Page{Epoch: 8, First: 3}, Cursor{7, 400}, 2, false},
		{"ahead of the log", Page{Epoch: 7, First: 3}, Cursor{7, 9}, 0, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if gap, known := tc.page.Gap(tc.after); gap != tc.gap || known != tc.known {
				t.Errorf("got %d, %v, want %d, %v", gap, known, tc.gap, tc.known)
			}
		})
	}
}

func TestPageCursor(t *testing.T) {
	p := Page{Epoch: 7, First: 5, Entries: make([]Entry, 3)}
	if got := p.Cursor(0); got != (Cursor{7, 5}) {
		t.Errorf("first: %+v", got)
	}
	if got := p.End(); got != (Cursor{7, 7}) {
		t.Errorf("end: %+v", got)
	}
	if got := (Page{Epoch: 7, First: 5}).End(); got != (Cursor{7, 4}) {
		t.Errorf("end of an empty page: %+v", got)
	}
	if got := (Page{}).End(); !got.IsZero() {
		t.Errorf("end of no log: %+v", got)
	}
}
