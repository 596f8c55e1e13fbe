package read

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/sdk"
)

// interleaved is a log of three containers. Some lines came in pieces, and the pieces of all
// containers are mixed.
var interleaved = []string{
	"a:1 ", "b:x+", "a:nee+", "c:2 ", "b:y+", "a:dle", "c:3 +", "b:z", "a:4 ", "c:5 +", "a:nee+", "b:needle", "a:d+", "c:6", "a:le", "b:7 ",
}

// wholeLines lists the lines of interleaved, in the order of their last pieces.
var wholeLines = []string{"1 ", "2 ", "needle", "xyz", "4 ", "needle", "3 5 6", "needle", "7 "}

// pieceStorage returns a storage with the entries of the log, published a while ago.
func pieceStorage(page int, texts ...string) *storagefake.Storage {
	s := &storagefake.Storage{Page: page}
	s.Add("foo", piecesOf(texts...)...)
	return s
}

// readOn reads an answer to its end, and returns its lines and the places after them.
func readOn(t *testing.T, r *Logs, q Query) (lines []string, places []string, end string) {
	t.Helper()
	q.App = "foo"
	a, err := r.Open(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for {
		b, err := a.Next(t.Context())
		if err != nil {
			return lines, places, a.Log().At().String()
		}
		if len(b.Gaps) > 0 {
			t.Errorf("a gap: %+v", b.Gaps)
		}
		for i := range b.Entries {
			lines, places = append(lines, b.Entries[i].Message), append(places, b.Place(i).String())
		}
	}
}

func placeOf(t *testing.T, text string) Place {
	t.Helper()
	place, err := ParsePlace(text)
	if err != nil || place.String() != text {
		t.Fatalf("%q is read as %+v, %v", text, place, err)
	}
	return place
}

// TestPiecesAreCutAnywhere reads lines that came in pieces, cuts the answer off after each record,
// and resumes at its cursor. The missing lines come once, whatever the pages and the filter are.
func TestPiecesAreCutAnywhere(t *testing.T) {
	for name, c := range map[string]struct {
		filter sdk.Filter
		wanted func(line string) bool
	}{
		"all":     {sdk.Filter{}, func(string) bool { return true }},
		"include": {sdk.Filter{Include: []string{"needle"}}, func(line string) bool { return line == "needle" }},
		"exclude": {sdk.Filter{Exclude: []string{"needle"}}, func(line string) bool { return line != "needle" }},
		"level":   {sdk.Filter{Level: sdk.LevelWarn}, func(line string) bool { return line == "needle" }},
		"anchors": {sdk.Filter{Include: []string{"^xyz$", "^3 5"}}, func(line string) bool { return line == "xyz" || line == "3 5 6" }},
	} {
		var want []string
		for _, line := range wholeLines {
			if c.wanted(line) {
				want = append(want, line)
			}
		}
		for _, page := range []int{0, 1, 2, 3, 7} {
			for _, gather := range []int{gatherBytes, 1000} {
				r := New(Options{Storage: pieceStorage(page, interleaved...), Timeout: 10 * time.Second})
				r.gather = gather
				for _, after := range []Place{{}, {Cursor: sdk.Beginning()}} { // by publishing, and by arrival
					got, places, end := readOn(t, r, Query{Lines: -1, After: after, Filter: c.filter})
					if !slices.Equal(got, want) {
						t.Fatalf("%s, pages of %d, gathered %d, after %q: %q, want %q", name, page, gather, after, got, want)
					}
					for i, place := range append(places, end) {
						rest, _, _ := readOn(t, r, Query{Lines: -1, After: placeOf(t, place), Filter: c.filter})
						if i < len(want) && !slices.Equal(rest, want[i+1:]) || i == len(want) && len(rest) > 0 {
							t.Fatalf("%s, pages of %d, gathered %d, on from %s: %q, want %q", name, page, gather, place, rest, want[i+1:])
						}
					}
				}
				for lines := 1; lines <= len(want); lines++ {
					if got, _, _ := readOn(t, r, Query{Lines: lines, Filter: c.filter}); !slices.Equal(got, want[len(want)-lines:]) {
						t.Fatalf("%s, pages of %d, gathered %d, the newest %d: %q", name, page, gather, lines, got)
					}
					var paged []string
					for next := (Place{Cursor: sdk.Beginning()}); ; {
						got, _, end := readOn(t, r, Query{Lines: lines, After: next, Filter: c.filter})
						if paged = append(paged, got...); len(got) == 0 {
							break
						}
						if next = placeOf(t, end); len(got) > lines {
							t.Fatalf("%d lines, want %d", len(got), lines)
						}
					}
					if !slices.Equal(paged, want) {
						t.Fatalf("%s, pages of %d lines: %q", name, lines, paged)
					}
				}
			}
		}
	}
}

// TestLinesWithoutMessages are as many as with them, in the same places, whatever came in pieces.
// The storage is not asked to omit messages that a filter or a group needs.
func TestLinesWithoutMessages(t *testing.T) {
	for name, q := range map[string]Query{
		"all":     {},
		"include": {Filter: sdk.Filter{Include: []string{"needle"}}},
		"exclude": {Filter: sdk.Filter{Exclude: []string{"needle"}}},
		"level":   {Filter: sdk.Filter{Level: sdk.LevelWarn}},
		"groups":  {Groups: true},
	} {
		for _, page := range []int{0, 1, 3} {
			for _, lines := range []int{-1, 3} {
				for _, after := range []Place{{}, {Cursor: sdk.Beginning()}} {
					s := pieceStorage(page, append(interleaved, "a:error", "a:\tat x")...)
					r := New(Options{Storage: s, Timeout: 10 * time.Second})
					q.Lines, q.After, q.OmitMessages = lines, after, false
					_, want, wantEnd := readOn(t, r, q)
					had := len(s.Calls("Read"))
					q.OmitMessages = true
					_, got, end := readOn(t, r, q)
					if !slices.Equal(got, want) || end != wantEnd {
						t.Errorf("%s, pages of %d, %d lines after %q: %q up to %s, want %q up to %s", name, page, lines, after, got, end, want, wantEnd)
					}
					for _, call := range s.Calls("Read")[had:] {
						if omits := !q.Filter.ReadsMessages() && !q.Groups; call.Opts.OmitMessages != omits {
							t.Errorf("%s: %+v", name, call.Opts)
						}
					}
				}
			}
		}
	}
}

// TestPiecesThatComeLater resumes again and again at the last answer's cursor, while the log grows
// by one entry at a time. A line comes once, when its last piece is there.
func TestPiecesThatComeLater(t *testing.T) {
	s := &storagefake.Storage{}
	r := New(Options{Storage: s, Timeout: 10 * time.Second})
	var got []string
	next := Place{Cursor: sdk.Beginning()}
	for i, e := range piecesOf(interleaved...) {
		e.Published = time.Now()
		s.Add("foo", e)
		lines, _, end := readOn(t, r, Query{Lines: -1, After: next})
		got, next = append(got, lines...), placeOf(t, end)
		if newest, _, at := readOn(t, r, Query{Lines: -1}); !slices.Equal(newest, got) || at != end {
			t.Fatalf("after %d entries: %q up to %s, want %q up to %s", i+1, newest, at, got, end)
		}
	}
	if !slices.Equal(got, wholeLines) {
		t.Errorf("got %q, want %q", got, wholeLines)
	}
}

// TestLastPieceThatDoesNotCome: a line is shown as it is once its next piece is overdue, and not
// before.
func TestLastPieceThatDoesNotCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &storagefake.Storage{}
		s.Add("foo", sdk.Entry{Message: "1", Published: time.Now()}, sdk.Entry{Message: "2", Partial: true, Published: time.Now()})
		r := New(Options{Storage: s, Timeout: 10 * time.Second})
		r.fresh = 0
		for range 2 {
			for _, after := range []Place{{}, {Cursor: sdk.Beginning()}} {
				lines, _, end := readOn(t, r, Query{Lines: -1, After: after})
				if waits := time.Since(time.Unix(946684800, 0)) < joinWithin; fmt.Sprint(lines) != map[bool]string{true: "[1]", false: "[1 2]"}[waits] {
					t.Errorf("%q, up to %s", lines, end)
				}
			}
			lines, _, _ := readOn(t, r, Query{Lines: 10})
			if got := text(t, r, 10); strings.Count(got, "\n") != len(lines) {
				t.Errorf("/logs has %q", got)
			}
			time.Sleep(joinWithin + time.Second)
		}
	})
}

// TestMadeUpPlaces: whichever open lines a client claims, it gets what follows, and costs only a
// few reads.
func TestMadeUpPlaces(t *testing.T) {
	s := pieceStorage(0, interleaved...)
	r := New(Options{Storage: s, Timeout: 10 * time.Second})
	for _, open := range []string{"3", "1.2.3", "999", "15", "18446744073709551615", "6.6.6"} {
		before := len(s.Calls("Read"))
		lines, _, _ := readOn(t, r, Query{Lines: -1, After: placeOf(t, "0000000000000007-14_"+open)})
		if n := len(s.Calls("Read")) - before; len(lines) < 2 || lines[len(lines)-1] != "7 " || n > primeReads+4 {
			t.Errorf("%s open: %q by %d reads", open, lines, n)
		}
	}
	for _, text := range []string{"0000000000000007-14_", "0000000000000007-14_x", "0000000000000007-14_1..2", "0000000000000007-14_0", "0000000000000007-14_-1", "0000000000000007-14_1_2", "_1"} {
		if place, err := ParsePlace(text); err == nil {
			t.Errorf("%q is read as %+v", text, place)
		}
	}
}

// TestTwoHostsTakePieces: the pieces of a line were stored in another order than they were
// published in. They are the same line all the same, also for a reader who reads them as they
// arrive.
func TestTwoHostsTakePieces(t *testing.T) {
	all := piecesOf("a:1+", "a:2+", "a:3+", "a:4+", "a:5+", "a:6", "a:7")
	s := &storagefake.Storage{}
	for _, i := range []int{0, 2, 4, 1, 3, 5, 6} { // each host stores the ones that it received
		s.Add("foo", all[i])
	}
	r := New(Options{Storage: s, Timeout: 10 * time.Second})
	for _, after := range []Place{{}, {Cursor: sdk.Beginning()}} {
		if got, _, _ := readOn(t, r, Query{Lines: -1, After: after}); fmt.Sprint(got) != "[123456 7]" {
			t.Errorf("after %q: %q", after, got)
		}
	}
}
