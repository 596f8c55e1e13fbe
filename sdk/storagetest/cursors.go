package storagetest

import (
	"errors"
	"math"

	"github.com/deis/logger/sdk"
)

// mixed returns entries of three sources, whose order of arrival is not that of publishing.
func mixed(s *subject, app string, first, last int) []sdk.Entry {
	s.Helper()
	for n := first; n <= last; n += 15 {
		s.append(app, every(3, n, min(n+14, last))...)
		if n > first {
			s.append(app, every(3, n-14, min(n, last))...)
			s.append(app, every(3, n-13, min(n, last))...)
		}
	}
	n := first + (last-first)/15*15
	s.append(app, every(3, n+1, last)...)
	s.append(app, every(3, n+2, last)...)
	return numbered(first, last)
}

// after: a read after a cursor answers the first entries that arrived after it.
func after(s *subject) {
	all := mixed(s, "foo", 1, 60)
	whole := s.wantKept("foo", 60, all...)
	arrived := s.arrivals("foo")
	s.want(published(arrived), all...)
	for position := 0; position <= 60; position++ {
		for _, limit := range []int{1 + position%9, math.MaxInt, -1} {
			after := sdk.Cursor{Epoch: whole.Epoch, Position: uint64(position)}
			w := s.walk(sdk.ReadOptions{App: "foo", Limit: limit, After: after})
			s.want(w.arrived, arrived[position:]...)
			if w.gone != 0 || w.at != whole.End() {
				s.Errorf("after %q: %d gone, read up to %q, want none, %q", after, w.gone, w.at, whole.End())
			}
		}
	}
	// A reader that has caught up goes on with what arrives, late or not.
	s.append("foo", numbered(61, 63)...)
	s.append("foo", line(0))
	w := s.walk(sdk.ReadOptions{App: "foo", Limit: -1, After: whole.End()})
	s.want(published(w.arrived[:3]), numbered(61, 63)...)
	s.want(w.arrived[3:], line(0))
	// Nobody gave out a cursor beyond the end. It may be refused, and has no entries.
	for _, position := range []uint64{65, 1 << 40, math.MaxUint64} {
		beyond := sdk.Cursor{Epoch: whole.Epoch, Position: position}
		page, err := s.page(s.Context(), sdk.ReadOptions{App: "foo", Limit: -1, After: beyond})
		if err != nil && !errors.Is(err, sdk.ErrInvalid) {
			s.Errorf("after %q, which is beyond the end: %v", beyond, err)
		}
		if len(page.Entries) > 0 {
			s.Errorf("after %q, which is beyond the end: %d entries", beyond, len(page.Entries))
		}
	}
}

// afterOtherEpoch: a cursor of another epoch comes before everything.
func afterOtherEpoch(s *subject) {
	s.append("foo", numbered(1, 15)...)
	epoch := s.all("foo").Epoch
	for _, other := range []sdk.Cursor{
		{Epoch: epoch + 1, Position: 8},
		{Epoch: epoch - 1, Position: 1 << 50},
		{Epoch: ^epoch, Position: 15},
		sdk.Beginning(),
	} {
		if other.Epoch == 0 {
			other.Epoch = 99
		}
		for _, limit := range []int{4, -1} {
			s.arrivesAfter(sdk.ReadOptions{App: "foo", Limit: limit, After: other}, 0, numbered(6, 15))
		}
	}
}

// arrivesAfter reads on from a cursor at the position. It expects all of the kept entries, and that
// they and what is gone are together all that arrived after the position.
func (s *subject) arrivesAfter(opts sdk.ReadOptions, position uint64, kept []sdk.Entry) walked {
	s.Helper()
	w := s.walk(opts)
	if n := uint64(len(w.arrived)); n+w.gone != w.at.Position-position {
		s.Fatalf("after %q: %d entries and %d gone, want %d together", opts.After, n, w.gone, w.at.Position-position)
	}
	read := map[string]bool{}
	for i := range w.arrived {
		read[w.arrived[i].Message] = true
	}
	for i := range kept {
		if !read[kept[i].Message] {
			s.Fatalf("after %q: %.40q is kept and was not read", opts.After, kept[i].Message)
		}
	}
	return w
}

// holesAreGaps: after a cursor, the entries answered and those gone are together all that arrived,
// whatever holes late lines have left.
func holesAreGaps(s *subject) {
	var arrived []sdk.Entry // with their positions, as far as they were kept once
	var end sdk.Cursor
	for round := range 12 {
		late := 100 + round*6 - 40
		for _, batch := range [][]sdk.Entry{
			every(2, 100+round*6, 105+round*6), lines(late, late+2), lines(101+round*6, 103+round*6), numbered(1, 1+round%4),
		} {
			s.append("foo", batch...)
			after := end
			if after.IsZero() {
				after = sdk.Beginning()
			}
			kept := s.all("foo")
			w := s.walk(sdk.ReadOptions{App: "foo", Limit: -1, After: after})
			if n := uint64(len(w.arrived)); n+w.gone != uint64(len(batch)) {
				s.Fatalf("of %d that arrived after %q, %d are there and %d are gone", len(batch), after, n, w.gone)
			}
			arrived = append(arrived, w.arrived...)
			end = kept.End()
		}
		if round%4 == 3 {
			s.allPositions(end, arrived)
		}
	}
}

// allPositions reads on from every position, and finds nothing but what arrived there.
func (s *subject) allPositions(end sdk.Cursor, arrived []sdk.Entry) {
	s.Helper()
	at := map[uint64]string{}
	for i := range arrived {
		at[arrived[i].Position] = arrived[i].Message
	}
	kept := s.all("foo").Entries
	for position := range end.Position + 1 {
		var behind []sdk.Entry
		for i := range kept {
			if kept[i].Position > position {
				behind = append(behind, kept[i])
			}
		}
		for _, limit := range []int{3, -1} {
			after := sdk.Cursor{Epoch: end.Epoch, Position: position}
			w := s.arrivesAfter(sdk.ReadOptions{App: "foo", Limit: limit, After: after}, position, behind)
			for i := range w.arrived {
				if e := &w.arrived[i]; at[e.Position] != e.Message {
					s.Fatalf("at position %d is %.40q, where %.40q arrived", e.Position, e.Message, at[e.Position])
				}
			}
		}
	}
}

// histories: a history that is cut anywhere goes on exactly once: with what is left of it, in
// the order of publishing, and then with what arrived since.
func histories(s *subject) {
	all := mixed(s, "foo", 1, 60)
	pages := make([]sdk.Page, 4)
	for i, limit := range []int{-1, 60, 25, 1} {
		pages[i] = s.newest(sdk.ReadOptions{App: "foo", Limit: limit})
	}
	end := pages[0].End()
	// These arrive afterwards, between those of the history and behind them.
	s.append("foo", line(-5))
	s.append("foo", append(numbered(-4, -1), line(61))...)
	since := s.walk(sdk.ReadOptions{App: "foo", Limit: -1, After: end}).arrived
	if len(since) != 6 {
		s.Fatalf("%d entries arrived since, want 6", len(since))
	}
	for _, page := range pages {
		first := len(all) - len(page.Entries)
		for cut := range page.Entries {
			from := end.At(&page.Entries[cut])
			for _, limit := range []int{1 + cut%7, -1} {
				w := s.walk(sdk.ReadOptions{App: "foo", Limit: limit, After: from})
				s.want(w.history, all[first+cut+1:]...)
				s.want(w.arrived, since...)
				if w.gone != 0 || w.at.Position != 66 || w.at.InHistory() {
					s.Errorf("after %q: %d gone, read up to %q", from, w.gone, w.at)
				}
			}
		}
	}
	w := s.walk(sdk.ReadOptions{App: "foo", Limit: 9, After: end.HistoryBegin()})
	s.want(w.history, all...)
	s.want(w.arrived, since...)
	// A history may end before what has arrived: a reader had that end once.
	arrived := s.arrivals("foo")
	old := sdk.Cursor{Epoch: end.Epoch, Position: 30}
	w = s.walk(sdk.ReadOptions{App: "foo", Limit: 7, After: old.HistoryBegin()})
	s.want(w.history, published(arrived[:30])...)
	s.want(w.arrived, arrived[30:]...)
}

// historyOtherEpoch: a place in a history of another epoch comes before everything.
func historyOtherEpoch(s *subject) {
	s.append("foo", numbered(1, 15)...)
	page := s.all("foo")
	other := page.End().At(&page.Entries[4])
	s.delete("foo")
	s.append("foo", numbered(21, 35)...)
	for _, limit := range []int{4, -1} {
		s.arrivesAfter(sdk.ReadOptions{App: "foo", Limit: limit, After: other}, 0, numbered(26, 35))
	}
}

// before: paging backward from the newest gives every entry once, in pages of any size, and
// none that arrived since.
func before(s *subject) {
	all := mixed(s, "foo", 1, 60)
	end := s.end()
	for _, size := range []int{1, 7, 20, 59, 60, 61} {
		var got []sdk.Entry
		opts := sdk.ReadOptions{App: "foo", Limit: size}
		for turn := 0; ; turn++ {
			page, err := s.page(s.Context(), opts)
			if err != nil {
				s.Fatal(err)
			}
			if len(page.Entries) == 0 && !page.More {
				break
			}
			got = append(page.Entries, got...)
			if opts.Before = page.Next; turn == 1 && size == 7 { // these do not count
				s.append("foo", line(0), line(30), line(61))
				all = published(all, lines(0, 30, 61))
				s.want(s.all("foo").Entries, all...)
			}
		}
		if size == 7 {
			s.want(got, numbered(1, 60)...)
		} else {
			s.want(got, all...)
		}
	}
	// A plain cursor means all that arrived up to it.
	arrived := s.arrivals("foo")
	for position := range 61 {
		opts := sdk.ReadOptions{App: "foo", Limit: -1, Before: sdk.Cursor{Epoch: end.Epoch, Position: uint64(position)}}
		s.want(s.newest(opts).Entries, published(arrived[:position])...)
	}
}

// deletion: nothing is left, and what is appended later is a new epoch.
func deletion(s *subject) {
	seen := map[uint64]bool{}
	var old sdk.Cursor
	for life := range 4 {
		from := life * 100
		s.append("foo", numbered(from+1, from+13)...)
		s.append("bar", line(life+1))
		page := s.wantKept("foo", 13, numbered(from+4, from+13)...)
		if page.Epoch == 0 || seen[page.Epoch] {
			s.Errorf("life %d: epoch %x is not new", life, page.Epoch)
		}
		seen[page.Epoch] = true
		if life > 0 { // a reader of the last life sees this one from its beginning
			s.arrivesAfter(sdk.ReadOptions{App: "foo", Limit: 2, After: old}, 0, numbered(from+4, from+13))
		}
		old = page.End()

		s.delete("foo")
		for _, limit := range []int{-1, 0, 5} {
			for _, after := range []sdk.Cursor{{}, old, old.HistoryBegin()} {
				gone, err := s.page(s.Context(), sdk.ReadOptions{App: "foo", Limit: limit, After: after})
				if err != nil {
					s.Fatal(err)
				}
				if seen[gone.Epoch] || len(gone.Entries) > 0 {
					s.Errorf("life %d: deleted, and still epoch %x with %d entries", life, gone.Epoch, len(gone.Entries))
				}
			}
		}
		s.want(s.all("bar").Entries, numbered(1, life+1)...)
	}
}

// deleteAbsent: deleting what is not there is no error, however often.
func deleteAbsent(s *subject) {
	s.delete("foo")
	s.append("foo", numbered(1, 2)...)
	s.delete("foo")
	s.delete("foo")
	s.delete("bar")
	s.append("foo", numbered(3, 4)...)
	s.wantKept("foo", 2, numbered(3, 4)...)
}
