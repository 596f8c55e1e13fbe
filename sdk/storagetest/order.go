package storagetest

import (
	"math"

	"github.com/deis/logger/sdk"
)

// absent: an app without a log is an empty page, not an error.
func absent(s *subject) {
	for _, limit := range []int{-1, 0, 1, math.MaxInt} {
		for _, after := range []sdk.Cursor{{}, {Epoch: 7, Position: 3}} {
			page := s.read(sdk.ReadOptions{App: "foo", Limit: limit, After: after})
			s.want(page, 1)
			if page.Epoch != 0 {
				s.Errorf("limit %d: epoch %x of an app that has no log, want 0", limit, page.Epoch)
			}
			if end := page.End(); !end.IsZero() {
				s.Errorf("limit %d: the end of no log is %q", limit, end)
			}
		}
	}
	s.append("foo", numbered(1, 1)...)
	s.want(s.all("bar"), 1)
}

// order: entries come back in the order in which they were appended, within a
// batch and across batches of any size, at positions that rise by one.
func order(s *subject) {
	n, epoch := 0, uint64(0)
	for _, size := range []int{1, 2, 1, 50, 3, 200, 1} {
		s.append("foo", numbered(n+1, n+size)...)
		n += size
		now := s.all("foo").Epoch
		if epoch != 0 && now != epoch {
			s.Errorf("an append took the epoch from %x to %x", epoch, now)
		}
		epoch = now
	}
	page := s.all("foo")
	s.want(page, 1, numbered(1, n)...)
	if page.Epoch == 0 {
		s.Error("a log with entries has epoch 0")
	}
	if end := page.End(); end != (sdk.Cursor{Epoch: page.Epoch, Position: uint64(n)}) {
		s.Errorf("end is %q, want position %d", end, n)
	}
	if again := s.all("foo"); again.Epoch != page.Epoch {
		s.Errorf("epoch went from %x to %x without a delete", page.Epoch, again.Epoch)
	}
}

// limits: the newest entries, as many as asked for and kept; negative is all.
func limits(s *subject) {
	s.append("foo", numbered(1, 12)...)
	s.append("foo", numbered(13, 20)...)
	for _, c := range []struct{ limit, want int }{
		{math.MaxInt, 20},
		{math.MinInt, 20},
		{1, 1},
		{2, 2},
		{8, 8},
		{9, 9},
		{19, 19},
		{20, 20},
		{21, 20},
		{100, 20},
		{101, 20},
		{1 << 40, 20},
		{-1, 20},
		{-100, 20},
	} {
		page := s.read(sdk.ReadOptions{App: "foo", Limit: c.limit})
		s.want(page, uint64(20-c.want+1), numbered(20-c.want+1, 20)...)
	}
	epoch := s.all("foo").Epoch
	for _, after := range []sdk.Cursor{{}, {Epoch: epoch, Position: 5}, {Epoch: epoch + 1, Position: 5}} {
		page := s.read(sdk.ReadOptions{App: "foo", Limit: 0, After: after})
		s.want(page, 21)
		if page.Epoch != epoch {
			s.Errorf("limit 0 after %q: epoch %x, want %x", after, page.Epoch, epoch)
		}
	}
}

// trim: the newest entries are kept and no more than the number of lines, and
// what goes shows in the positions of what stays.
func trim(s *subject) {
	for i := 1; i <= 35; i++ {
		s.append("foo", numbered(i, i)...)
		first := max(1, i-10+1)
		s.want(s.all("foo"), uint64(first), numbered(first, i)...)
	}
	s.append("bar", numbered(1, 4)...)
	s.append("foo", numbered(36, 39)...)
	s.want(s.all("foo"), 30, numbered(30, 39)...)
	s.want(s.all("bar"), 1, numbered(1, 4)...)
}

// trimOneBatch: a batch of more than the number of lines leaves its newest.
func trimOneBatch(s *subject) {
	s.append("foo", numbered(1, 25)...)
	s.want(s.all("foo"), 16, numbered(16, 25)...)
	s.append("foo", numbered(26, 45)...)
	s.want(s.all("foo"), 36, numbered(36, 45)...)
	s.append("foo", numbered(46, 46)...)
	s.want(s.all("foo"), 37, numbered(37, 46)...)
}

// oneLine: the least number of lines works too.
func oneLine(s *subject) {
	s.append("foo", numbered(1, 1)...)
	s.want(s.all("foo"), 1, numbered(1, 1)...)
	s.append("foo", numbered(2, 4)...)
	page := s.all("foo")
	s.want(page, 4, numbered(4, 4)...)
	s.want(s.read(sdk.ReadOptions{App: "foo", Limit: -1, After: page.End()}), 5)
}
