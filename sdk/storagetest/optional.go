package storagetest

import (
	"errors"
	"time"

	"github.com/deis/logger/sdk"
)

// apps: an AppLister lists exactly the apps that have entries.
func apps(s *subject) {
	lister, ok := s.storage.(sdk.AppLister)
	if !ok {
		return
	}
	list := func() map[string]sdk.AppInfo {
		s.Helper()
		ctx, cancel := s.call()
		defer cancel()
		infos, err := lister.Apps(ctx)
		if errors.Is(err, sdk.ErrUnsupported) {
			return nil
		}
		if err != nil {
			s.Fatalf("Apps: %v", err)
		}
		byName := map[string]sdk.AppInfo{}
		for _, info := range infos {
			if _, doubled := byName[info.App]; doubled {
				s.Errorf("%q is listed twice", info.App)
			}
			byName[info.App] = info
		}
		return byName
	}
	got := list()
	if got == nil {
		return
	}
	if len(got) != 0 {
		s.Errorf("an empty storage lists %v", got)
	}

	bare := numbered(7, 9)
	for i := range bare {
		bare[i].Published = time.Time{} // so its own time stands for it
	}
	s.append("foo", numbered(1, 13)...)
	s.append("bar", bare...)
	s.append("gone", numbered(1, 2)...)
	s.delete("gone")
	s.appendBatch(one(s.next(), "never", nil))
	got = list()
	if len(got) != 2 {
		s.Errorf("%d apps are listed, want foo and bar: %v", len(got), got)
	}
	kept := numbered(4, 13)
	s.wantInfo(got["foo"], 10, 13, kept[0].Published, kept[9].Published)
	s.wantInfo(got["bar"], 3, 3, bare[0].Time, bare[2].Time)

	s.append("gone", numbered(3, 3)...)
	again := numbered(3, 3)[0].Published
	s.wantInfo(list()["gone"], 1, 1, again, again)
}

func (s *subject) wantInfo(got sdk.AppInfo, entries, last uint64, oldest, newest time.Time) {
	s.Helper()
	if got.Entries != entries || got.Last != last || got.Bytes == 0 || !got.Oldest.Equal(oldest) || !got.Newest.Equal(newest) {
		s.Errorf("got %+v, want %d entries up to position %d, in more than 0 bytes, from %s to %s", got, entries, last, oldest, newest)
	}
}

// books: what an Accountant ever stored is kept, evicted or deleted.
func books(s *subject) {
	accountant, ok := s.storage.(sdk.Accountant)
	if !ok {
		return
	}
	ctx, cancel := s.call()
	defer cancel()
	before, err := accountant.Departed(ctx)
	if errors.Is(err, sdk.ErrUnsupported) {
		return
	}
	if err != nil {
		s.Fatalf("Departed: %v", err)
	}
	s.append("foo", numbered(1, 25)...) // of which 10 are kept
	s.append("bar", numbered(1, 4)...)
	s.append("short", numbered(1, 3)...)
	s.append("long", numbered(1, 12)...)
	s.delete("short")
	s.delete("long")
	s.delete("long")
	s.delete("never")
	s.append("long", numbered(1, 2)...)
	departed, err := accountant.Departed(ctx)
	if err != nil {
		s.Fatalf("Departed: %v", err)
	}
	departed.Evicted -= before.Evicted
	departed.Deleted -= before.Deleted
	if want := (sdk.Departed{Evicted: 2, Deleted: 3 + 10}); departed != want {
		s.Errorf("of the deleted logs %+v, want %+v", departed, want)
	}
	infos, err := accountant.Apps(ctx)
	if err != nil {
		s.Fatalf("Apps: %v", err)
	}
	sum := departed.Evicted + departed.Deleted
	for _, info := range infos {
		sum += info.Last
	}
	if stored := uint64(25 + 4 + 3 + 12 + 2); sum != stored {
		s.Errorf("the books say that %d entries were stored, want %d", sum, stored)
	}
}

// check: a Checker whose backend serves says so.
func check(s *subject) {
	checker, ok := s.storage.(sdk.Checker)
	if !ok {
		return
	}
	ctx, cancel := s.call()
	defer cancel()
	if err := checker.Check(ctx); err != nil {
		s.Errorf("Check: %v", err)
	}
}
