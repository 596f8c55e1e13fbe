package many

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/sdk"
)

func newHistories(s *storagefake.Storage) *Histories {
	return NewHistories(s, read.New(read.Options{Storage: s, Timeout: time.Minute}), time.Minute)
}

func selection(t *testing.T, values ...string) Selection {
	t.Helper()
	s, err := ParseSelection(values)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// got holds a line of a history, and the cursor after it.
type got struct{ app, message, cursor string }

// drain reads a history to its end, and returns its lines and gaps.
func drain(t *testing.T, hs *Histories, q Query) (lines []got, gaps []string, end string) {
	t.Helper()
	h, err := hs.Open(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	at := h.Cursor.Clone()
	for {
		app, b, err := h.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return lines, gaps, at.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range b.Gaps {
			at.Set(app, g.To)
			gaps = append(gaps, fmt.Sprintf("%s %d %t %s", app, g.Count, g.Exact, g.Reason))
		}
		for i := range b.Entries {
			at.Set(app, b.Place(i))
			lines = append(lines, got{app, b.Entries[i].Message, at.String()})
		}
		at.Set(app, b.End)
	}
}

func messages(lines []got) (all []string) {
	for _, l := range lines {
		all = append(all, l.app+" "+l.message)
	}
	return all
}

// TestHistoryOfAll reads the newest lines of random apps, in the order of publishing, with and
// without a filter. After each line, its cursor leads exactly to the rest.
func TestHistoryOfAll(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	for range 60 {
		s := &storagefake.Storage{Page: 1 + random.IntN(30), NoApps: random.IntN(4) == 0}
		type entry struct {
			app string
			at  int64
			n   int
			e   sdk.Entry
		}
		var all []entry
		names := []string{"a", "b", "b2", "c", "quiet"}[:1+random.IntN(5)]
		for n := range random.IntN(300) {
			app := names[random.IntN(len(names))]
			at := time.Unix(0, 1_000_000+random.Int64N(200))
			if random.IntN(3) > 0 { // most come in order
				at = time.Unix(0, 1_000_000+int64(n))
			}
			e := sdk.Entry{Published: at, Time: at, Process: []string{"web", "worker"}[random.IntN(2)], Message: fmt.Sprint(n)}
			s.Add(app, e)
			all = append(all, entry{app, at.UnixNano(), n, e})
		}
		slices.SortStableFunc(all, func(a, b entry) int {
			return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.app, b.app), cmp.Compare(a.n, b.n))
		})
		q := Query{Selection: selection(t, "b", "b2", "a*", "c*", "quiet"), Lines: []int{-1, 0, 1, 7, 50, 250, 1200}[random.IntN(7)]}
		if s.NoApps {
			q.Selection = selection(t, names...)
		}
		var want []string
		if random.IntN(2) == 0 {
			q.Filter.Process = []string{"web"}
		}
		for _, e := range all {
			if len(q.Filter.Process) == 0 || e.e.Process == "web" {
				want = append(want, e.app+" "+e.e.Message)
			}
		}
		if q.Lines >= 0 {
			want = want[max(0, len(want)-q.Lines):]
		}
		hs := newHistories(s)
		lines, gaps, end := drain(t, hs, q)
		if !slices.Equal(messages(lines), want) || len(gaps) > 0 {
			t.Fatalf("%d lines of %v, filter %v: got %q and %q, want %q", q.Lines, names, q.Filter.Process, messages(lines), gaps, want)
		}
		for i := 0; i < len(lines); i += 1 + random.IntN(1+len(lines)/10) {
			after, err := ParseCursor(lines[i].cursor)
			if err != nil {
				t.Fatal(err)
			}
			rest, gaps, last := drain(t, hs, Query{Selection: q.Selection, Lines: -1, After: &after, Filter: q.Filter})
			if !slices.Equal(messages(rest), want[i+1:]) || len(gaps) > 0 || last != end {
				t.Fatalf("behind %q: got %q and %q, want %q; it ends at %s, want %s", want[i], messages(rest), gaps, want[i+1:], last, end)
			}
		}
	}
}

// TestHistoryPages: after a cursor come the oldest lines, page after page.
func TestHistoryPages(t *testing.T) {
	s := &storagefake.Storage{}
	hs := newHistories(s)
	for n := range 100 {
		s.Add(fmt.Sprintf("app-%d", n%3), sdk.Entry{Published: time.Unix(int64(n+1), 0), Message: fmt.Sprint(n)})
	}
	var after Cursor // the beginning of all logs
	var all []string
	for pages := 0; ; pages++ {
		lines, gaps, end := drain(t, hs, Query{Selection: selection(t, "app-*"), Lines: 7, After: &after})
		if len(gaps) > 0 {
			t.Fatalf("gaps %q", gaps)
		}
		if len(lines) == 0 {
			if pages != 15 {
				t.Errorf("%d pages, want 15", pages)
			}
			break
		}
		for _, l := range lines {
			all = append(all, l.message)
		}
		var err error
		if after, err = ParseCursor(end); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 100 {
		if n >= len(all) || all[n] != fmt.Sprint(n) {
			t.Fatalf("line %d: %q", n, all)
		}
	}
}

// TestHistoryGaps: gaps tell exactly, and for each app, what was evicted since a cursor. A log that
// is gone is also told.
func TestHistoryGaps(t *testing.T) {
	s := &storagefake.Storage{}
	hs := newHistories(s)
	for n := range 60 {
		s.Add([]string{"a", "b", "c"}[n%3], sdk.Entry{Published: time.Unix(int64(n+1), 0), Message: fmt.Sprint(n)})
	}
	lines, _, _ := drain(t, hs, Query{Selection: selection(t, "*"), Lines: 30})
	at, err := ParseCursor(lines[10].cursor)
	if err != nil {
		t.Fatal(err)
	}
	s.Keep("a", 4) // of the 20 lines after line 10 of 30, 6 or 7 are a's
	s.Begin("b")
	s.Add("b", sdk.Entry{Published: time.Unix(100, 0), Message: "another"})
	rest, gaps, _ := drain(t, hs, Query{Selection: selection(t, "*"), Lines: -1, After: &at})
	missing := 0
	for _, l := range lines[11:] {
		if l.app == "a" {
			missing++
		}
	}
	want := []string{fmt.Sprintf("a %d true evicted", missing-4)}
	if len(gaps) != 2 || gaps[0] != want[0] || !strings.HasPrefix(gaps[1], "b ") || !strings.HasSuffix(gaps[1], "false lost") {
		t.Errorf("gaps %q, want %q and one of b", gaps, want)
	}
	if n := len(rest); n == 0 || rest[n-1].message != "another" {
		t.Errorf("got %v", rest)
	}
	if err := s.Delete(context.Background(), "c"); err != nil {
		t.Fatal(err)
	}
	_, gaps, end := drain(t, hs, Query{Selection: selection(t, "c*"), Lines: -1, After: &at})
	if len(gaps) != 1 || gaps[0] != "c 0 false lost" || end != "m00" {
		t.Errorf("of a log that is gone: gaps %q up to %q", gaps, end)
	}
}

// TestTooManyApps: the error tells what to narrow.
func TestTooManyApps(t *testing.T) {
	s := &storagefake.Storage{AppsPage: 50}
	for n := range MaxApps + 1 {
		s.Add(fmt.Sprintf("app-%03d", n), sdk.Entry{Message: "one"})
	}
	_, err := newHistories(s).Open(t.Context(), Query{Selection: selection(t, "*"), Lines: 1})
	if !errors.Is(err, ErrTooMany) || !errors.Is(err, sdk.ErrInvalid) || !strings.Contains(err.Error(), "more than 128 apps are selected") {
		t.Errorf("%v", err)
	}
	lines, _, _ := drain(t, newHistories(s), Query{Selection: selection(t, "app-0*"), Lines: 1000})
	if len(lines) != 100 {
		t.Errorf("%d lines", len(lines))
	}
}

// TestReadingIsNoSearch: without a filter, a slow storage is waited for, and its time does not
// count as that of a search.
func TestReadingIsNoSearch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &storagefake.Storage{Before: func(_ context.Context, c storagefake.Call) error {
			if c.Method == "Read" {
				<-time.After(time.Second) // makes the storage slow
			}
			return nil
		}}
		for i := range 12 {
			s.Add(fmt.Sprint("app-", i), sdk.Entry{Message: "x", Published: time.Unix(int64(i), 0)})
		}
		if lines, _, _ := drain(t, newHistories(s), Query{Selection: selection(t, "app-*"), Lines: 100}); len(lines) != 12 {
			t.Errorf("%d lines", len(lines))
		}
	})
}

// TestCostlySearchGoesOn: if a search of many apps takes too much, it returns what it found, and a
// cursor at which it can continue, up to the end.
func TestCostlySearchGoesOn(t *testing.T) {
	s := &storagefake.Storage{Page: 50, After: func(call storagefake.Call, page *sdk.Page) error {
		if page.Work = 1; call.Opts.After.Position < page.Last { // it had to search
			page.Work = 100 * time.Millisecond
		}
		return nil
	}}
	var want []string
	for n := range 3000 {
		app := fmt.Sprintf("app-%02d", n%30)
		s.Add(app, sdk.Entry{Published: time.Unix(int64(n+1), 0), Message: fmt.Sprint(n)})
		if n%10 == 7 {
			want = append(want, fmt.Sprintf("%s %d", app, n))
		}
	}
	hs := NewHistories(s, read.New(read.Options{Storage: s, Timeout: time.Minute}), time.Minute)
	q := Query{Selection: selection(t, "app-*"), Lines: -1, After: new(Cursor), Filter: sdk.Filter{Include: []string{"7$"}}}
	var all []string
	for requests := 1; ; requests++ {
		h, err := hs.Open(t.Context(), q)
		if err != nil {
			t.Fatalf("request %d: %v", requests, err)
		}
		at := h.Cursor.Clone()
		before := at.String()
		for err == nil {
			var app string
			var b read.Batch
			if app, b, err = h.Next(t.Context()); err == nil {
				for i := range b.Entries {
					all = append(all, app+" "+b.Entries[i].Message)
				}
				at.Set(app, b.End)
			}
		}
		h.Close()
		if errors.Is(err, io.EOF) {
			if requests < 3 {
				t.Errorf("%d requests: the search was not too costly", requests)
			}
			break
		}
		if !errors.Is(err, read.ErrSearch) || at.String() == before {
			t.Fatalf("request %d: %v, at %s behind %s", requests, err, at.String(), before)
		}
		q.After = &at
	}
	slices.Sort(all)
	slices.Sort(want)
	if !slices.Equal(all, want) {
		t.Errorf("got %d lines, want %d", len(all), len(want))
	}
}

// TestAppsInPlaceOfOthers: a cursor has as many apps as allowed, and all of them are gone. Each one
// is told, and no cursor on the way has more apps than that.
func TestAppsInPlaceOfOthers(t *testing.T) {
	s := &storagefake.Storage{}
	hs := newHistories(s)
	var after Cursor
	for n := range MaxApps {
		after.Set(fmt.Sprintf("old-%03d", n), read.Place{Cursor: sdk.Cursor{Epoch: 7, Position: 9}})
		for i := range 2 {
			s.Add(fmt.Sprintf("new-%03d", n), sdk.Entry{Published: time.Unix(int64(1000*i+n+1), 0), Message: fmt.Sprint(i)})
		}
	}
	for _, filter := range []sdk.Filter{{}, {Include: []string{"1"}}, {Include: []string{"nothing"}}} {
		h, err := hs.Open(t.Context(), Query{Selection: selection(t, "*"), Lines: -1, After: &after, Filter: filter})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		at, gaps := h.Cursor.Clone(), 0
		for err == nil {
			var app string
			var b read.Batch
			app, b, err = h.Next(t.Context())
			if at.Set(app, b.End); at.Len() > MaxApps {
				t.Fatalf("%v: a cursor of %d apps", filter, at.Len())
			}
			gaps += len(b.Gaps)
		}
		if !errors.Is(err, io.EOF) || gaps != MaxApps {
			t.Errorf("%v: %d gaps, %v", filter, gaps, err)
		}
	}
}
