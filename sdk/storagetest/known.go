package storagetest

import (
	"math"

	"github.com/deis/logger/sdk"
)

// known: of the newest entries only those may be missing that the caller has.
func known(s *subject) {
	s.append("foo", numbered(1, 25)...) // 6 to 25 are kept
	epoch := s.all("foo").Epoch
	for _, position := range []uint64{0, 1, 5, 6, 7, 20, 24, 25, 26, math.MaxUint64} {
		for _, limit := range []int{1, 2, 7, 20, 100, math.MaxInt, -1} {
			newest := uint64(6)
			if limit > 0 && limit < 20 {
				newest = uint64(26 - limit)
			}
			opts := sdk.ReadOptions{App: "foo", Limit: limit, Known: sdk.Cursor{Epoch: epoch, Position: position}}
			page := s.read(opts)
			if page.Epoch != epoch || page.First < newest || page.First > max(newest, min(position, 25)+1) {
				s.Errorf("Read(%+v): epoch %x first %d, want epoch %x and that between %d and what follows the known", opts, page.Epoch, page.First, epoch, newest)
			}
			s.want(page, page.First, numbered(int(page.First), 25)...)

			opts.Known.Epoch++ // of another one, nothing is known
			s.want(s.read(opts), newest, numbered(int(newest), 25)...)
		}
	}
	// Beside a cursor to read after, it counts for nothing.
	after := sdk.Cursor{Epoch: epoch, Position: 9}
	page := s.read(sdk.ReadOptions{App: "foo", Limit: 3, After: after, Known: sdk.Cursor{Epoch: epoch, Position: 20}})
	s.want(page, 10, numbered(10, 12)...)
}

// oldest: every page says where what is kept begins, or none does.
func oldest(s *subject) {
	says := false
	for n := 1; n <= 25; n++ {
		s.append("foo", numbered(n, n)...)
		whole := s.all("foo")
		if n == 1 {
			says = whole.Oldest != 0
		}
		want := uint64(max(1, n-9))
		if !says {
			want = 0
		}
		for _, opts := range []sdk.ReadOptions{
			{Limit: 0},
			{Limit: 1},
			{Limit: 4},
			{Limit: -1},
			{Limit: 2, After: sdk.Cursor{Epoch: whole.Epoch, Position: 1}},
			{Limit: -1, After: whole.End()},
			{Limit: 3, After: sdk.Cursor{Epoch: whole.Epoch + 1, Position: 1}},
			{Limit: 3, Known: whole.End()},
			{Limit: 3, Known: sdk.Cursor{Epoch: whole.Epoch, Position: whole.End().Position - 1}},
		} {
			opts.App = "foo"
			page, err := readOnce(s.Context(), s.storage, opts)
			if err != nil {
				s.Fatal(err)
			}
			if page.Oldest != want {
				s.Errorf("%d appended, Read(%+v): oldest is %d, want %d", n, opts, page.Oldest, want)
			}
		}
	}
}
