package memory

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

var seed = flag.Uint64("seed", 0, "of TestRandom; 0 is a new one")

// source publishes entries that are earlier or later than those of other sources, with jitter.
type source struct {
	lag, jitter time.Duration
}

// oracle knows which entries of one app arrived, and which of them have to be kept.
type oracle struct {
	*rand.Rand
	t       *testing.T
	s       *storage
	lines   int
	sources []source
	clock   time.Duration
	writers []uint64 // the last sequence of each
	arrived []sdk.Entry
	// raised counts entries that fitted no run. They count as published later.
	raised int
}

var began = time.Date(2026, 11, 28, 20, 0, 0, 0, time.UTC)

// batch makes entries as a host hands them over: sorted by publish time.
func (o *oracle) batch() sdk.Batch {
	o.clock += time.Duration(o.Int64N(int64(400 * time.Millisecond)))
	n := 1 + o.IntN(12)
	if o.IntN(10) == 0 {
		n = 1 + o.IntN(2*o.lines)
	}
	var entries []sdk.Entry
	for range n {
		src := &o.sources[o.IntN(len(o.sources))]
		if o.IntN(200) == 0 { // a backlog begins, or ends
			src.lag = time.Duration(o.Int64N(int64(20 * time.Second)))
		}
		o.clock += time.Duration(o.Int64N(int64(10 * time.Millisecond)))
		e := small(len(o.arrived)+len(entries), 1+o.IntN(300))
		if o.IntN(50) == 0 {
			e.Message += e.Message + string(make([]byte, o.IntN(9000)))
		}
		e.Published = began.Add(o.clock - src.lag - time.Duration(o.Int64N(int64(src.jitter))))
		e.Time = e.Published.Add(-time.Duration(o.Int64N(int64(time.Second))))
		e.CutBytes = uint64(len(o.arrived) + len(entries))
		e.Container = fmt.Sprint("c", o.IntN(2))
		entries = append(entries, e)
	}
	slices.SortStableFunc(entries, func(a, b sdk.Entry) int { return a.Published.Compare(b.Published) })
	w := o.IntN(len(o.writers))
	o.writers[w] += 1 + o.Uint64N(3)
	return batchOf(fmt.Sprint("w", w), o.writers[w], "foo", entries...)
}

// append appends a batch, and often repeats it.
func (o *oracle) append() {
	o.t.Helper()
	batch := o.batch()
	for range 1 + o.IntN(2) {
		if err := o.s.Append(o.t.Context(), batch); err != nil {
			o.t.Fatal(err)
		}
	}
	before := uint64(len(o.arrived))
	for i, e := range batch.Apps[0].Entries {
		e.Position = before + 1 + uint64(i)
		o.arrived = append(o.arrived, e)
	}
	now, _ := readOn(o.t, o.s, "foo", -1, sdk.Cursor{Epoch: o.s.logs["foo"].epoch, Position: before})
	for _, e := range now {
		if is := &o.arrived[e.Position-1]; e.Published.After(is.Published) {
			o.raised++
			is.Published = e.Published
		}
	}
}

func inOrder(a, b sdk.Entry) int { return sortKeyOf(&a).compare(sortKeyOf(&b)) }

// kept reads all kept entries, and checks that they are the right ones.
func (o *oracle) kept() []sdk.Entry {
	o.t.Helper()
	page := readAll(o.t, o.s, "foo")
	all := slices.Clone(o.arrived)
	slices.SortFunc(all, inOrder)
	want := all[len(all)-min(len(all), o.lines):]
	checkOrder(o.t, page.Entries)
	if len(page.Entries) != len(want) || page.Last != uint64(len(all)) {
		o.t.Fatalf("%d entries of %d, want %d of %d", len(page.Entries), page.Last, len(want), len(all))
	}
	kept := map[uint64]bool{}
	for _, e := range page.Entries {
		kept[e.Position] = true
		if is := o.arrived[e.Position-1]; e != is {
			o.t.Fatalf("%+v became %+v", is, e)
		}
	}
	for _, e := range want {
		if e.Published.Sub(want[0].Published) > 100*time.Millisecond && !kept[e.Position] {
			o.t.Fatalf("%+v is not kept, although %+v is the oldest that has to be", e, want[0])
		}
	}
	if first := page.Entries[0].Published; want[0].Published.Sub(first) > 100*time.Millisecond {
		o.t.Fatalf("an entry of %s is kept, the oldest has to be of %s", first, want[0].Published)
	}
	return page.Entries
}

// equal compares entries that were read with those expected.
func (o *oracle) equal(what string, got, want []sdk.Entry) {
	o.t.Helper()
	if !slices.Equal(got, want) {
		o.t.Fatalf("%s: %d entries, want %d", what, len(got), len(want))
	}
}

// read compares all ways to read with the kept entries.
func (o *oracle) read(kept []sdk.Entry) {
	o.t.Helper()
	limit := 1 + o.IntN(len(kept)+2)
	newest := kept[len(kept)-min(limit, len(kept)):]
	o.equal("the newest", readNewest(o.t, o.s, sdk.ReadOptions{App: "foo", Limit: limit}).Entries, newest)

	filter := sdk.Filter{Since: kept[o.IntN(len(kept))].Time}
	passed := slices.DeleteFunc(slices.Clone(kept), func(e sdk.Entry) bool { return e.Time.Before(filter.Since) })
	got := readNewest(o.t, o.s, sdk.ReadOptions{App: "foo", Limit: -1, Filter: filter})
	o.equal("since", got.Entries, passed)

	end := got.End()
	o.equal("page by page", o.pages(end), kept)
	o.equal("the history", o.history(end, func() {}), kept)

	after := o.Uint64N(end.Position + 1)
	byArrival := slices.DeleteFunc(slices.Clone(kept), func(e sdk.Entry) bool { return e.Position <= after })
	slices.SortFunc(byArrival, func(a, b sdk.Entry) int { return cmp.Compare(a.Position, b.Position) })
	arrived, gone := readOn(o.t, o.s, "foo", 1+o.IntN(50), sdk.Cursor{Epoch: end.Epoch, Position: after})
	o.equal("what arrived", arrived, byArrival)
	if uint64(len(arrived))+gone != end.Position-after {
		o.t.Fatalf("%d arrived and %d are gone, of %d", len(arrived), gone, end.Position-after)
	}

	info, err := o.s.App(context.Background(), "foo")
	if err != nil || !info.Oldest.Equal(kept[0].Published) || !info.Newest.Equal(kept[len(kept)-1].Published) {
		o.t.Fatalf("%+v, %v, want %s to %s", info, err, kept[0].Published, kept[len(kept)-1].Published)
	}
}

// pages reads from the newest entry to the oldest, page by page.
func (o *oracle) pages(end sdk.Cursor) (all []sdk.Entry) {
	o.t.Helper()
	for before := end; ; {
		page, err := sdk.ReadFiltered(context.Background(), o.s, sdk.ReadOptions{App: "foo", Limit: 1 + o.IntN(40), Before: before})
		if err != nil {
			o.t.Fatal(err)
		}
		if len(page.Entries) == 0 {
			return all
		}
		all = append(slices.Clone(page.Entries), all...)
		before = page.Next
	}
}

// history reads a history. Its connection breaks after any entry, again and again.
func (o *oracle) history(end sdk.Cursor, between func()) (all []sdk.Entry) {
	o.t.Helper()
	for at := end.HistoryBegin(); at.InHistory(); between() {
		page, err := sdk.ReadFiltered(context.Background(), o.s, sdk.ReadOptions{App: "foo", Limit: 1 + o.IntN(40), After: at})
		if err != nil {
			o.t.Fatal(err)
		}
		if !page.Next.InHistory() {
			break
		}
		read := 1 + o.IntN(len(page.Entries))
		all = append(all, page.Entries[:read]...)
		at = at.At(&page.Entries[read-1])
	}
	return all
}

// reopen lets the process die, and opens the store again.
func (o *oracle) reopen(lines int) {
	o.t.Helper()
	data := o.s.arena.mapping.data
	s, err := newStorage(onHeap(slices.Clone(data), int64(len(data))), lines, hclog.NewNullLogger())
	if err != nil {
		o.t.Fatal(err)
	}
	o.s, o.lines = s, lines
}

// TestRandom appends what several sources publish, some of it late, and compares everything that
// can be read with what has to be there.
func TestRandom(t *testing.T) {
	first, n := *seed, 1
	if first == 0 {
		first, n = rand.Uint64(), 20 // enough for some to have more sources than runs
	}
	raised, runs := 0, 0
	for i := range n {
		t.Run(fmt.Sprint("seed=", first+uint64(i)), func(t *testing.T) {
			o := &oracle{Rand: rand.New(rand.NewPCG(first+uint64(i), 3)), t: t}
			o.lines = 1 + o.IntN(300)
			o.s, o.writers = openHeap(t, o.lines, 2048), make([]uint64, 1+o.IntN(3))
			for range 1 + o.IntN(20) {
				o.sources = append(o.sources, source{
					lag:    time.Duration(o.Int64N(int64(10 * time.Second))),
					jitter: time.Duration(1 + o.Int64N(int64(300*time.Millisecond))),
				})
			}
			for range 60 {
				o.append()
				kept := o.kept()
				runs = max(runs, len(o.s.logs["foo"].runs))
				switch o.IntN(4) {
				case 0:
					o.read(kept)
				case 1:
					o.reopen(o.lines)
					o.equal("opened again", readAll(t, o.s, "foo").Entries, kept)
				case 2:
					o.cut(kept)
				}
				if problem := o.s.audit(); problem != "" {
					t.Fatal(problem)
				}
			}
			raised += o.raised
			o.lower()
		})
	}
	if n > 1 && (runs != maxRuns || raised == 0) {
		t.Errorf("at most %d runs, %d entries that fitted none: the sources are too tame", runs, raised)
	}
}

// cut reads a history while more entries arrive. Entries that are kept throughout come exactly
// once.
func (o *oracle) cut(kept []sdk.Entry) {
	o.t.Helper()
	page := readAll(o.t, o.s, "foo")
	end := page.End()
	got := o.history(end, func() {
		if o.IntN(3) == 0 {
			o.append()
		}
	})
	checkOrder(o.t, got)
	had := map[uint64]bool{}
	for _, e := range got {
		had[e.Position] = true
		if e.Position > end.Position || !slices.Contains(kept, e) {
			o.t.Fatalf("%+v is not of the history", e)
		}
	}
	for _, e := range o.kept() {
		if e.Position <= end.Position && !had[e.Position] {
			o.t.Fatalf("%+v is still kept, and the history has not got it", e)
		}
	}
}

// lower opens the store with fewer lines. At once, no more than these are kept.
func (o *oracle) lower() {
	o.t.Helper()
	o.reopen(1 + o.IntN(o.lines))
	o.read(o.kept())
	if problem := o.s.audit(); problem != "" {
		o.t.Fatal(problem)
	}
}
