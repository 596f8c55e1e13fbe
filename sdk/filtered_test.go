package sdk

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// pagedLog holds a log with holes, whose pages end at arbitrary places.
type pagedLog struct {
	epoch, last uint64
	kept        []Entry
	random      *rand.Rand
	asked       []ReadOptions
}

// randomLog returns a log with entries of some sources, some of which are gone.
func randomLog(r *rand.Rand) *pagedLog {
	l := &pagedLog{epoch: 1 + r.Uint64N(5), random: r}
	clock := [3]int64{1000, 700, 400}
	for range 1 + r.IntN(120) {
		l.last++
		source := r.IntN(3)
		clock[source] += r.Int64N(3)
		if r.IntN(4) == 0 {
			continue // gone
		}
		l.kept = append(l.kept, Entry{
			Position: l.last, Published: time.Unix(clock[source], 0), Stream: []string{"stdout", "stderr"}[r.IntN(2)],
			Message: fmt.Sprintf("line %d", l.last),
		})
	}
	return l
}

func (l *pagedLog) Read(_ context.Context, opts ReadOptions) (Page, error) {
	l.asked = append(l.asked, opts)
	page := Answer(l.epoch, l.last, slices.Clone(l.kept), opts)
	if n := len(page.Entries); n > 1 && l.random.IntN(2) == 0 {
		cut := 1 + l.random.IntN(n-1)
		if page.More = true; opts.After.IsZero() {
			page.Entries = page.Entries[cut:]
		} else {
			page.Entries = page.Entries[:n-cut]
		}
	}
	return page, nil
}

// TestReadFiltered compares each way of reading with a list of all entries.
func TestReadFiltered(t *testing.T) {
	r := random(t)
	for range 400 {
		log := randomLog(r)
		filter := Filter{}
		passes := func(*Entry) bool { return true }
		if r.IntN(4) > 0 {
			filter.Stream = []string{"stderr"}
			passes = func(e *Entry) bool { return e.Stream == "stderr" }
		}
		arrived := slices.Clone(log.kept)
		published := slices.SortedFunc(slices.Values(log.kept), byPublishing)
		limit := 1 + r.IntN(20)
		if r.IntN(4) == 0 {
			limit = -1
		}
		oneOf(r,
			func() { newestIs(t, log, filter, limit, passing(published, passes)) },
			func() { arrivalIs(t, log, filter, limit, arrived, passes) },
			func() { historyIs(t, log, filter, limit, published, arrived, passes) },
		)
		if t.Failed() {
			return
		}
	}
}

func oneOf(r *rand.Rand, f ...func()) { f[r.IntN(len(f))]() }

func passing(entries []Entry, passes func(*Entry) bool) []Entry {
	return slices.DeleteFunc(slices.Clone(entries), func(e Entry) bool { return !passes(&e) })
}

func read(t *testing.T, log *pagedLog, opts ReadOptions) Page {
	t.Helper()
	page, err := ReadFiltered(t.Context(), log, opts)
	if err != nil {
		t.Fatal(err)
	}
	if page.Epoch != log.epoch || page.Last != log.last || opts.Limit >= 0 && len(page.Entries) > opts.Limit {
		t.Fatalf("%+v: epoch %d, last %d, %d entries; want epoch %d, last %d", opts, page.Epoch, page.Last, len(page.Entries), log.epoch, log.last)
	}
	return page
}

// newestIs pages backward to the beginning and compares.
func newestIs(t *testing.T, log *pagedLog, filter Filter, limit int, want []Entry) {
	t.Helper()
	var got []Entry
	opts := ReadOptions{Limit: limit, Filter: filter}
	for {
		page := read(t, log, opts)
		got = append(page.Entries, got...)
		if opts.Before = page.Next; !page.More && (limit < 0 || len(page.Entries) < limit) {
			break
		}
	}
	if !sameEntries(got, want) {
		t.Errorf("newest, %d at a time: %d entries, want %d, or others", limit, len(got), len(want))
	}
}

// arrivalIs reads on from any position and compares.
func arrivalIs(t *testing.T, log *pagedLog, filter Filter, limit int, arrived []Entry, passes func(*Entry) bool) {
	t.Helper()
	from := log.random.Uint64N(log.last + 1)
	after := Cursor{Epoch: log.epoch, Position: from}
	if log.random.IntN(4) == 0 {
		after, from = Beginning(), 0
	}
	behind := passing(arrived, func(e *Entry) bool { return e.Position > from })
	wantGone := log.last - from - uint64(len(behind))
	var got []Entry
	var gone uint64
	opts := ReadOptions{Limit: limit, Filter: filter, After: after}
	for {
		page := read(t, log, opts)
		got, gone = append(got, page.Entries...), gone+page.Gone
		if opts.After = page.Next; !page.More {
			break
		}
	}
	if want := passing(behind, passes); !sameEntries(got, want) || gone != wantGone || opts.After != (Cursor{Epoch: log.epoch, Position: log.last}) {
		t.Errorf("after %q, %d at a time: %d entries, %d gone, up to %q; want %d, %d", after, limit, len(got), gone, opts.After, len(want), wantGone)
	}
}

// historyIs reads on from any place in a history that ended at some position, and compares.
func historyIs(t *testing.T, log *pagedLog, filter Filter, limit int, published, arrived []Entry, passes func(*Entry) bool) {
	t.Helper()
	end := Cursor{Epoch: log.epoch, Position: log.random.Uint64N(log.last + 1)}
	after := end.HistoryBegin()
	if n := len(published); n > 0 && log.random.IntN(3) > 0 {
		after = end.At(&published[log.random.IntN(n)])
	}
	want := passing(published, func(e *Entry) bool { return e.Position <= end.Position && after.Precedes(e) && passes(e) })
	want = append(want, passing(arrived, func(e *Entry) bool { return e.Position > end.Position && passes(e) })...)
	var got []Entry
	opts := ReadOptions{Limit: limit, Filter: filter, After: after}
	for {
		page := read(t, log, opts)
		for i := range page.Entries {
			if (page.Entries[i].Position <= end.Position) != (page.Entries[0].Position <= end.Position) {
				t.Fatal("a page holds a part of the history and what arrived after it")
			}
		}
		got = append(got, page.Entries...)
		if opts.After = page.Next; !page.More {
			break
		}
	}
	if !sameEntries(got, want) || opts.After != (Cursor{Epoch: log.epoch, Position: log.last}) {
		t.Errorf("after %q, %d at a time: %d entries, up to %q; want %d", after, limit, len(got), opts.After, len(want))
	}
}

// TestReadFilteredSaysWhatIsWrong: a bad filter is refused before anything is read.
func TestReadFilteredSaysWhatIsWrong(t *testing.T) {
	log := randomLog(random(t))
	if _, err := ReadFiltered(t.Context(), log, ReadOptions{Limit: 5, Filter: Filter{Include: []string{"("}}}); !errors.Is(err, ErrInvalid) || len(log.asked) > 0 {
		t.Errorf("%v, after %d reads", err, len(log.asked))
	}
	failure := errors.New("no such disk")
	if _, err := ReadFiltered(t.Context(), failingReader{failure}, ReadOptions{Limit: 5, Filter: Filter{Stream: []string{"x"}}}); !errors.Is(err, failure) {
		t.Errorf("the storage's error: %v", err)
	}
	// A read of 0 entries does not pass the filter on.
	if _, err := ReadFiltered(t.Context(), log, ReadOptions{Filter: Filter{Stream: []string{"x"}}}); err != nil || !log.asked[0].Filter.IsZero() {
		t.Errorf("limit 0: %v, asked for %+v", err, log.asked)
	}
}

type failingReader struct{ err error }

func (f failingReader) Read(context.Context, ReadOptions) (Page, error) { return Page{}, f.err }

// TestReadFilteredThatIsTooExpensive: if a filter uses up a call's time, the call reports that
// before its deadline.
func TestReadFilteredThatIsTooExpensive(t *testing.T) {
	storage := readFunc(func(ReadOptions) Page {
		return Page{Epoch: 1, Last: 1, Entries: []Entry{{Position: 1, Message: strings.Repeat("x", 1<<20)}}}
	})
	ctx, cancel := context.WithTimeout(t.Context(), matchMargin+200*time.Millisecond)
	defer cancel()
	dear := "(?s)(?:" + strings.Repeat(".?", 15) + "){100}[yz]"
	if _, err := ReadFiltered(ctx, storage, ReadOptions{Limit: 5, Filter: Filter{Include: []string{dear}}}); !errors.Is(err, ErrTooExpensive) || ctx.Err() != nil {
		t.Errorf("%v, and the call's own end: %v", err, ctx.Err())
	}
}

// TestReadFilteredOfALogThatBeginsAnew: a read returns what it found of the old log, and the next
// read tells that there is another log.
func TestReadFilteredOfALogThatBeginsAnew(t *testing.T) {
	reads := 0
	storage := readFunc(func(opts ReadOptions) Page {
		reads++
		page := Page{Epoch: uint64(reads), Last: 10, Entries: []Entry{{Position: uint64(reads), Published: time.Unix(1, 0), Stream: "stderr"}}, More: true}
		if opts.After.IsZero() {
			page.Entries[0].Position = 9
		}
		return page
	})
	page, err := ReadFiltered(t.Context(), storage, ReadOptions{Limit: 5, After: Beginning(), Filter: Filter{Stream: []string{"stderr"}}})
	if err != nil || page.Epoch != 1 || len(page.Entries) != 1 || !page.More || page.Next.Epoch != 1 {
		t.Errorf("got %+v, %v", page, err)
	}
}

type readFunc func(ReadOptions) Page

func (f readFunc) Read(_ context.Context, opts ReadOptions) (Page, error) { return f(opts), nil }

// TestComplete checks what the SDK sets when a storage leaves it out.
func TestComplete(t *testing.T) {
	at := func(position uint64, seconds int64) Entry {
		return Entry{Position: position, Published: time.Unix(seconds, 0)}
	}
	log := Page{Epoch: 7, Last: 9}
	end := log.End()
	place := func(c Cursor, e Entry) Cursor { return c.At(&e) }
	for name, tc := range map[string]struct {
		opts ReadOptions
		page Page
		next Cursor
		more bool
		gone uint64
	}{
		"no log":                     {ReadOptions{Limit: 5, After: end}, Page{}, Cursor{}, false, 0},
		"newest":                     {ReadOptions{Limit: -1}, Page{Epoch: 7, Last: 9, Entries: []Entry{at(3, 1), at(9, 2)}}, place(end, at(3, 1)), false, 0},
		"newest, none":               {ReadOptions{Limit: 0}, Page{Epoch: 7, Last: 9}, end, false, 0},
		"newest, cut":                {ReadOptions{Limit: -1}, Page{Epoch: 7, Last: 9, Entries: []Entry{at(3, 1)}, More: true}, place(end, at(3, 1)), true, 0},
		"before":                     {ReadOptions{Limit: -1, Before: place(Cursor{Epoch: 7, Position: 5}, at(4, 3))}, Page{Epoch: 7, Last: 9, Entries: []Entry{at(3, 1)}}, place(Cursor{Epoch: 7, Position: 5}, at(3, 1)), false, 0},
		"arrival":                    {ReadOptions{Limit: -1, After: Cursor{Epoch: 7, Position: 2}}, Page{Epoch: 7, Last: 9, Entries: []Entry{at(5, 1), at(8, 1)}}, end, false, 5},
		"arrival, as many":           {ReadOptions{Limit: 2, After: Cursor{Epoch: 7, Position: 2}}, Page{Epoch: 7, Last: 9, Entries: []Entry{at(5, 1), at(8, 1)}}, Cursor{Epoch: 7, Position: 8}, true, 4},
		"arrival, cut":               {ReadOptions{Limit: -1, After: Cursor{Epoch: 7, Position: 4}}, Page{Epoch: 7, Last: 9, Entries: []Entry{at(5, 1)}, More: true}, Cursor{Epoch: 7, Position: 5}, true, 0},
		"arrival, all gone":          {ReadOptions{Limit: 5, After: Cursor{Epoch: 7, Position: 4}}, Page{Epoch: 7, Last: 9}, end, false, 5},
		"arrival, nothing asked for": {ReadOptions{After: Cursor{Epoch: 7, Position: 4}}, Page{Epoch: 7, Last: 9}, Cursor{Epoch: 7, Position: 4}, true, 0},
		"arrival, caught up":         {ReadOptions{Limit: 5, After: end}, Page{Epoch: 7, Last: 9}, end, false, 0},
		"beyond the end":             {ReadOptions{Limit: 5, After: Cursor{Epoch: 7, Position: 20}}, Page{Epoch: 7, Last: 9}, end, false, 0},
		"another epoch":              {ReadOptions{Limit: 5, After: Cursor{Epoch: 6, Position: 8}}, Page{Epoch: 7, Last: 9, Entries: []Entry{at(8, 1), at(9, 1)}}, end, false, 7},
		"history":                    {ReadOptions{Limit: 1, After: place(end, at(1, 1))}, Page{Epoch: 7, Last: 9, Entries: []Entry{at(5, 2)}}, place(end, at(5, 2)), true, 0},
		"history, over":              {ReadOptions{Limit: 1, After: place(end, at(1, 1))}, Page{Epoch: 7, Last: 9}, end, false, 0},
		"history, then more":         {ReadOptions{Limit: 1, After: place(Cursor{Epoch: 7, Position: 6}, at(1, 1))}, Page{Epoch: 7, Last: 9, Entries: []Entry{at(8, 1)}}, Cursor{Epoch: 7, Position: 8}, true, 1},
		"history, nothing asked for": {ReadOptions{After: place(end, at(1, 1))}, Page{Epoch: 7, Last: 9}, place(end, at(1, 1)), true, 0},
	} {
		page := tc.page
		page.complete(&tc.opts)
		if page.Next != tc.next || page.More != tc.more || page.Gone != tc.gone {
			t.Errorf("%s: next %q, more %t, gone %d; want %q, %t, %d", name, page.Next, page.More, page.Gone, tc.next, tc.more, tc.gone)
		}
		again := page
		again.complete(&tc.opts)
		if again.Next != page.Next || again.More != page.More || again.Gone != page.Gone {
			t.Errorf("%s: completing it again changes it to %+v from %+v", name, again, page)
		}
	}
}

// TestAnswer compares entry by entry with the words of the contract.
func TestAnswer(t *testing.T) {
	r := random(t)
	for range 300 {
		log := randomLog(r)
		place := func() Cursor {
			c := Cursor{Epoch: log.epoch + r.Uint64N(2), Position: r.Uint64N(log.last + 2)}
			if n := len(log.kept); n > 0 && r.IntN(2) == 0 {
				c = c.At(&log.kept[r.IntN(n)])
			}
			return c
		}
		opts := ReadOptions{Limit: r.IntN(30) - 1}
		if r.IntN(2) == 0 {
			opts.After = place()
		} else if r.IntN(2) == 0 {
			opts.Before = place()
		}
		published := slices.SortedFunc(slices.Values(log.kept), byPublishing)
		own := opts.After.Epoch == log.epoch
		var want []Entry
		switch {
		case opts.After.IsZero():
			want = passing(published, func(e *Entry) bool {
				b := opts.Before
				return b.Epoch != log.epoch || e.Position <= b.Position && (!b.InHistory() || !b.Precedes(e) && e.Position != b.Entry)
			})
			if opts.Limit >= 0 {
				want = want[max(0, len(want)-opts.Limit):]
			}
		default:
			if own && opts.After.InHistory() {
				want = passing(published, func(e *Entry) bool { return e.Position <= opts.After.Position && opts.After.Precedes(e) })
			}
			if len(want) == 0 {
				want = passing(log.kept, func(e *Entry) bool { return !own || e.Position > opts.After.Position })
			}
			if opts.Limit >= 0 {
				want = want[:min(len(want), opts.Limit)]
			}
		}
		got := Answer(log.epoch, log.last, slices.Clone(log.kept), opts)
		if got.Epoch != log.epoch || got.Last != log.last || !sameEntries(got.Entries, want) {
			t.Fatalf("%+v: %d entries, want %d, or others", opts, len(got.Entries), len(want))
		}
	}
}

// TestFollowByReading: a follower hears of entries that arrive, of entries that are gone at once,
// of a log that lost entries, and of one that is deleted.
func TestFollowByReading(t *testing.T) {
	kept := []Entry{{Position: 2, Published: time.Unix(1, 0)}}
	states := []Page{
		{Epoch: 7, Last: 2, Entries: kept},
		{Epoch: 7, Last: 3, Entries: kept}, // a page that was too old
		{Epoch: 7, Last: 3, Entries: kept}, // a spurious wake-up
		{Epoch: 7, Last: 1, Entries: nil},  // it lost entries
		{},                                 // it is deleted
		{},
		{Epoch: 8, Last: 2, Entries: kept}, // and it began again
	}
	wake := make(chan struct{}, len(states))
	state := 0
	storage := readFunc(func(opts ReadOptions) Page {
		s := states[min(state, len(states)-1)]
		state++
		if s.Epoch == 0 {
			return Page{}
		}
		return Answer(s.Epoch, s.Last, slices.Clone(s.Entries), opts)
	})
	for range states {
		wake <- struct{}{}
	}
	close(wake)
	var got []string
	err := FollowByReading(t.Context(), storage, "foo", Beginning(), wake, func(p Page) error {
		got = append(got, fmt.Sprintf("epoch %d last %d entries %d next %q gone %d", p.Epoch, p.Last, len(p.Entries), p.Next, p.Gone))
		return nil
	})
	want := []string{
		`epoch 7 last 2 entries 1 next "0000000000000007-2" gone 1`,
		`epoch 7 last 3 entries 0 next "0000000000000007-3" gone 1`,
		`epoch 7 last 1 entries 0 next "0000000000000007-1" gone 0`,
		`epoch 0 last 0 entries 0 next "" gone 0`,
		`epoch 8 last 2 entries 1 next "0000000000000008-2" gone 1`,
	}
	if !errors.Is(err, ErrUnavailable) || !slices.Equal(got, want) {
		t.Errorf("%v, got\n%q, want\n%q", err, got, want)
	}
}
