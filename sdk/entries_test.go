package sdk

import (
	"errors"
	"math/rand/v2"
	"testing"
	"time"
)

// TestEntriesAreParsed: ParseEntries returns just what AppendEntries wrote, no matter what precedes
// it.
func TestEntriesAreParsed(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		entries := randomEntries(random)
		text, err := AppendEntries([]byte("before"), entries)
		if err != nil || string(text[:6]) != "before" {
			t.Fatalf("%q (%v)", text[:6], err)
		}
		parsed := make([]Entry, len(entries))
		if err := ParseEntries(string(text[6:]), parsed); err != nil {
			t.Fatal(err)
		}
		for i := range entries {
			entries[i].Position = 0
		}
		if !sameEntries(parsed, entries) {
			t.Fatalf("%+v, want %+v", parsed, entries)
		}
		for what, n := range map[string]int{"fewer": len(entries) + 1, "more": len(entries) - 1} {
			if n < 0 {
				continue
			}
			if err := ParseEntries(string(text[6:]), make([]Entry, n)); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s than expected: %v", what, err)
			}
		}
		if len(text) > 6 {
			if err := ParseEntries(string(text[6:len(text)-1]), make([]Entry, len(entries))); !errors.Is(err, ErrInvalid) {
				t.Errorf("one byte less: %v", err)
			}
		}
	}
	if _, err := AppendEntries(nil, []Entry{{Time: time.Unix(1, 0), Message: "\xff"}}); !errors.Is(err, ErrInvalid) {
		t.Errorf("text that is not valid: %v", err)
	}
	if err := ParseEntries("\x1a\x03\x62\x01\xff", make([]Entry, 1)); !errors.Is(err, ErrInvalid) {
		t.Errorf("text that is not valid: %v", err)
	}
}

// FuzzParseEntries: no text causes a panic, and every accepted entry is valid.
func FuzzParseEntries(f *testing.F) {
	text, _ := AppendEntries(nil, randomEntries(rand.New(rand.NewPCG(1, 2))))
	f.Add(string(text), 3)
	f.Add("\x1a\xff\xff\xff\xff\x0f", 1)
	f.Fuzz(func(t *testing.T, text string, n int) {
		entries := make([]Entry, (n&0x7fffffff)%100)
		if ParseEntries(text, entries) != nil {
			return
		}
		for i := range entries {
			if err := entries[i].Valid(); err != nil {
				t.Fatalf("%+v: %v", entries[i], err)
			}
		}
	})
}
