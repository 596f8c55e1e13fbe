package storagetest

import (
	"math"
	"slices"
	"time"

	"github.com/deis/logger/sdk"
)

// absent: an app without a log is an empty page, not an error.
func absent(s *subject) {
	for _, limit := range []int{-1, 0, 1, math.MaxInt} {
		for _, opts := range []sdk.ReadOptions{
			{},
			{After: sdk.Cursor{Epoch: 7, Position: 3}},
			{After: sdk.Beginning()},
			{After: sdk.Cursor{Epoch: 7, Position: 3, Published: 5, Entry: 2}},
			{Before: sdk.Cursor{Epoch: 7, Position: 3, Published: 5, Entry: 2}},
		} {
			opts.App, opts.Limit = "foo", limit
			page, err := s.page(s.Context(), opts)
			if err != nil {
				s.Fatal(err)
			}
			if page.Epoch != 0 || len(page.Entries) > 0 || page.Version != 0 {
				s.Errorf("Read(%s) of an app that has no log: epoch %x, version %d, %d entries", short(opts), page.Epoch, page.Version, len(page.Entries))
			}
		}
	}
	s.append("foo", line(1))
	s.want(s.all("bar").Entries)
}

// orderOfPublishing: the newest entries come in the order of publishing, whatever order they
// arrived in. Those published at one moment come in the order of arrival.
func orderOfPublishing(s *subject) {
	n, epoch := 0, uint64(0)
	for _, size := range []int{1, 2, 1, 50, 3, 200, 1} {
		s.append("foo", numbered(n+1, n+size)...)
		n += size
		page := s.wantKept("foo", n, numbered(1, n)...)
		if page.Epoch == 0 || epoch != 0 && page.Epoch != epoch {
			s.Errorf("an append took the epoch from %x to %x", epoch, page.Epoch)
		}
		epoch = page.Epoch
	}
	if again := s.all("foo"); again.Epoch != epoch {
		s.Errorf("epoch went from %x to %x without a delete", epoch, again.Epoch)
	}

	// Two sources, of which one comes first, and a third that fills what is left.
	s.append("late", every(4, 1, 200)...)
	s.append("late", every(4, 3, 100)...)
	s.append("late", every(4, 103, 200)...)
	s.wantKept("late", 100, every(2, 1, 200)...)
	for i := 2; i <= 200; i += 20 {
		s.append("late", every(2, i, i+19)...)
	}
	s.wantKept("late", 200, numbered(1, 200)...)

	// Equals, one batch each.
	equals := numbered(1, 20)
	for i := range equals {
		equals[i].Published = line(1 + i%2*5).Published
		s.append("equals", equals[i])
	}
	s.wantKept("equals", 20, published(equals)...)
}

// positions: entries get 1, 2, 3… in the order of arrival. Within one batch the order is open.
func positions(s *subject) {
	batches := [][]sdk.Entry{
		numbered(10, 12), {line(1)}, {line(20)}, numbered(2, 6), {line(13), line(21), line(22)}, numbered(30, 60), {line(7)}, {line(61)},
	}
	first := make([]int, len(batches)) // the first position of each
	n := 0
	for i, batch := range batches {
		first[i] = n + 1
		n += len(batch)
		s.append("foo", batch...)
	}
	got := s.arrivals("foo")
	if len(got) != n {
		s.Fatalf("%d entries, want %d", len(got), n)
	}
	for i := range got {
		if got[i].Position != uint64(i+1) {
			s.Fatalf("entry %d has position %d", i+1, got[i].Position)
		}
	}
	for i, batch := range batches {
		s.want(published(got[first[i]-1:first[i]-1+len(batch)]), batch...)
	}
	// The newest entries have the positions at which they arrived.
	for _, e := range s.all("foo").Entries {
		if diff := differ(got[e.Position-1], e); diff != "" {
			s.Errorf("position %d: %s", e.Position, diff)
		}
	}
}

// limits: a read answers as many of the newest entries as are asked for and kept. A negative limit
// means all.
func limits(s *subject) {
	s.append("foo", numbered(5, 16)...)
	s.append("foo", append(numbered(1, 4), numbered(17, 20)...)...)
	for _, c := range []struct{ limit, want int }{
		{math.MaxInt, 20},
		{math.MinInt, 20},
		{1, 1},
		{2, 2},
		{4, 4},
		{5, 5},
		{19, 19},
		{20, 20},
		{21, 20},
		{100, 20},
		{101, 20},
		{1 << 40, 20},
		{-1, 20},
		{-100, 20},
	} {
		page := s.newest(sdk.ReadOptions{App: "foo", Limit: c.limit})
		s.want(page.Entries, numbered(20-c.want+1, 20)...)
	}
	end := s.end()
	for _, opts := range []sdk.ReadOptions{
		{},
		{After: sdk.Cursor{Epoch: end.Epoch, Position: 5}},
		{After: sdk.Cursor{Epoch: end.Epoch + 1, Position: 5}},
		{After: end.HistoryBegin()},
		{Before: end},
	} {
		opts.App = "foo"
		page, err := s.page(s.Context(), opts)
		if err != nil {
			s.Fatal(err)
		}
		if page.End() != end {
			s.Errorf("Read(%s) says that the end is %q, want %q", short(opts), page.End(), end)
		}
	}
}

// keepsNewest: the storage keeps the entries that were published last, and no more than the number
// of lines, whatever the sizes of batches.
func keepsNewest(s *subject) {
	for i := 1; i <= 35; i++ {
		s.append("foo", line(i))
		s.wantKept("foo", i, numbered(max(1, i-9), i)...)
	}
	s.append("bar", numbered(1, 4)...)
	s.append("foo", numbered(36, 39)...)
	s.wantKept("foo", 39, numbered(30, 39)...)
	s.wantKept("bar", 4, numbered(1, 4)...)
	s.append("foo", numbered(40, 64)...) // more than are kept, in one batch
	s.wantKept("foo", 64, numbered(55, 64)...)
	s.append("foo", line(65))
	s.wantKept("foo", 65, numbered(56, 65)...)
	// A batch on an empty log, of which the oldest are pushed out by the others.
	s.append("one", numbered(1, 25)...)
	s.wantKept("one", 25, numbered(16, 25)...)
	// A batch of old and new ones.
	s.append("one", append(numbered(1, 8), numbered(26, 29)...)...)
	s.wantKept("one", 37, numbered(20, 29)...)
}

// oneLine: the smallest number of lines, one, works too.
func oneLine(s *subject) {
	s.append("foo", line(1))
	s.wantKept("foo", 1, line(1))
	s.append("foo", numbered(2, 4)...)
	page := s.wantKept("foo", 4, line(4))
	s.append("foo", line(3))
	s.wantKept("foo", 5, line(4))
	w := s.walk(sdk.ReadOptions{App: "foo", Limit: -1, After: page.End()})
	if uint64(len(w.arrived))+w.gone != 1 {
		s.Errorf("after %q: %d entries and %d gone, want 1 together", page.End(), len(w.arrived), w.gone)
	}
}

// lateArrivals: a line that arrives late takes the place that its publishing gives it. It
// pushes out the oldest line, and never a newer one than itself.
func lateArrivals(s *subject) {
	s.append("foo", every(2, 1, 79)...) // 40 lines, of which 41 to 79 are kept
	s.wantKept("foo", 40, every(2, 41, 79)...)
	s.append("foo", line(2), line(4))
	s.wantKept("foo", 42, every(2, 41, 79)...)
	s.append("foo", line(50))
	kept := published(every(2, 43, 79), lines(50))
	page := s.wantKept("foo", 43, kept...)
	s.append("foo", line(40))
	s.wantKept("foo", 44, kept...)
	s.append("foo", line(42), line(44), line(46), line(80)) // 44, 46 and 80 are newer than 43, 45 and so on
	kept = published(every(2, 47, 79), lines(46, 50, 80))
	s.wantKept("foo", 48, kept...)
	for n := 81; n <= 120; n++ { // and all of them leave in the order of publishing
		s.append("foo", line(n))
		kept = append(kept, line(n))[1:]
		s.wantKept("foo", 48+n-80, kept...)
	}
	// Readers by arrival saw the late ones when they came.
	w := s.walk(sdk.ReadOptions{App: "foo", Limit: -1, After: sdk.Cursor{Epoch: page.Epoch, Position: page.Last}})
	if n := len(w.arrived); n < 20 || uint64(n)+w.gone != 45 {
		s.Errorf("of 45 that arrived, %d were read and %d are gone", n, w.gone)
	}

	// Lines of one moment, and of moments nearer than 100 ms, are all kept in their order.
	near := numbered(1, 20)
	for i := range near {
		near[i].Published = line(0).Published.Add(time.Duration((i*7)%20) * 3 * time.Millisecond)
		s.append("near", near[i])
	}
	s.wantKept("near", 20, published(near)...)

	// Three sources at once: one behind the other by more than what is kept of it.
	var all []sdk.Entry
	last := 0
	for round := range 30 {
		var batch []sdk.Entry
		for source, lag := range []int{0, 90, 33} {
			n := 300 + round*9 - lag*3 + source
			batch = append(batch, lines(n, n+3, n+6)...)
		}
		batch = published(batch)
		s.append("three", batch...)
		last += len(batch)
		all = published(all, batch)
		all = slices.Clone(all[max(0, len(all)-20):])
		s.wantKept("three", last, all...)
	}
}
