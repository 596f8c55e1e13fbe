package storagetest

import (
	"errors"
	"math"

	"github.com/deis/logger/sdk"
)

// after: the first entries that follow the cursor.
func after(s *subject) {
	s.append("foo", numbered(1, 7)...)
	s.append("foo", numbered(8, 20)...)
	whole := s.all("foo")
	for position := 0; position <= 20; position++ {
		for _, limit := range []int{1, 2, 5, 20, math.MaxInt, -1} {
			after := sdk.Cursor{Epoch: whole.Epoch, Position: uint64(position)}
			last := 20
			if limit > 0 && limit < 20-position {
				last = position + limit
			}
			page := s.read(sdk.ReadOptions{App: "foo", Limit: limit, After: after})
			s.want(page, uint64(position+1), numbered(position+1, last)...)
			if page.Epoch != whole.Epoch {
				s.Errorf("after %q: epoch %x, want %x", after, page.Epoch, whole.Epoch)
			}
			if gap, known := page.Gap(after); gap != 0 || !known {
				s.Errorf("after %q: gap %d, known %t, want 0, true", after, gap, known)
			}
		}
	}
	for i := range whole.Entries {
		if want := (sdk.Cursor{Epoch: whole.Epoch, Position: uint64(i + 1)}); whole.Cursor(i) != want {
			s.Errorf("cursor %d is %q, want %q", i, whole.Cursor(i), want)
		}
	}
	// What is caught up goes on with what arrives.
	s.append("foo", numbered(21, 23)...)
	s.want(s.read(sdk.ReadOptions{App: "foo", Limit: -1, After: whole.End()}), 21, numbered(21, 23)...)
	// Nobody gave out a cursor beyond the end. It may be refused, and has no entries.
	for _, position := range []uint64{24, 1 << 40, math.MaxUint64} {
		beyond := sdk.Cursor{Epoch: whole.Epoch, Position: position}
		page, err := readOnce(s.Context(), s.storage, sdk.ReadOptions{App: "foo", Limit: -1, After: beyond})
		if err != nil && !errors.Is(err, sdk.ErrInvalid) {
			s.Errorf("after %q, which is beyond the end: %v", beyond, err)
		}
		if len(page.Entries) > 0 {
			s.Errorf("after %q, which is beyond the end: %d entries", beyond, len(page.Entries))
		}
	}
}

// gap: how many entries are gone between a cursor and what is kept is exact.
func gap(s *subject) {
	s.append("foo", numbered(1, 10)...)
	epoch := s.all("foo").Epoch
	n := 10
	for _, more := range []int{1, 4, 5, 30} {
		s.append("foo", numbered(n+1, n+more)...)
		n += more
		for position := 0; position <= n; position++ {
			after := sdk.Cursor{Epoch: epoch, Position: uint64(position)}
			first := max(position+1, n-10+1)
			for _, limit := range []int{3, -1} {
				last := n
				if limit > 0 {
					last = min(n, first+limit-1)
				}
				page := s.read(sdk.ReadOptions{App: "foo", Limit: limit, After: after})
				s.want(page, uint64(first), numbered(first, last)...)
				if gap, known := page.Gap(after); gap != uint64(first-position-1) || !known {
					s.Errorf("%d appended, after %q: gap %d, known %t, want %d, true", n, after, gap, known, first-position-1)
				}
			}
		}
	}
}

// afterOtherEpoch: a cursor of another epoch comes before everything, and the gap
// says that it does not know what it left behind.
func afterOtherEpoch(s *subject) {
	s.append("foo", numbered(1, 15)...)
	epoch := s.all("foo").Epoch
	for _, other := range []sdk.Cursor{
		{Epoch: epoch + 1, Position: 8},
		{Epoch: epoch - 1, Position: 1 << 50},
		{Epoch: ^epoch, Position: 15},
	} {
		if other.Epoch == 0 {
			other.Epoch = 99
		}
		for _, limit := range []int{4, -1} {
			page := s.read(sdk.ReadOptions{App: "foo", Limit: limit, After: other})
			last := 15
			if limit > 0 {
				last = 9
			}
			s.want(page, 6, numbered(6, last)...)
			if gap, known := page.Gap(other); gap != 5 || known {
				s.Errorf("after %q: gap %d, known %t, want 5, false", other, gap, known)
			}
		}
	}
}

// deletion: nothing is left, and what is appended later is a new epoch.
func deletion(s *subject) {
	seen := map[uint64]bool{}
	var old sdk.Cursor
	for life := range 4 {
		from := life * 100
		s.append("foo", numbered(from+1, from+13)...)
		s.append("bar", numbered(life+1, life+1)...)
		page := s.all("foo")
		s.want(page, 4, numbered(from+4, from+13)...)
		if page.Epoch == 0 || seen[page.Epoch] {
			s.Errorf("life %d: epoch %x is not new", life, page.Epoch)
		}
		seen[page.Epoch] = true
		if life > 0 {
			// A reader of the last life sees this one from its beginning.
			rest := s.read(sdk.ReadOptions{App: "foo", Limit: 2, After: old})
			s.want(rest, 4, numbered(from+4, from+5)...)
			if gap, known := rest.Gap(old); gap != 3 || known {
				s.Errorf("life %d: gap %d, known %t, want 3, false", life, gap, known)
			}
		}
		old = page.End()

		s.delete("foo")
		for _, limit := range []int{-1, 0, 5} {
			for _, after := range []sdk.Cursor{{}, old} {
				gone := s.read(sdk.ReadOptions{App: "foo", Limit: limit, After: after})
				s.want(gone, 1)
				if seen[gone.Epoch] {
					s.Errorf("life %d: deleted, and still epoch %x", life, gone.Epoch)
				}
			}
		}
		s.want(s.all("bar"), 1, numbered(1, life+1)...)
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
	s.want(s.all("foo"), 1, numbered(3, 4)...)
}
