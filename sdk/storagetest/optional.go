package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/deis/logger/sdk"
)

// lister returns the storage as a lister. If it is none, the check is left out.
func (s *subject) lister() sdk.AppLister {
	s.Helper()
	lister, ok := s.storage.(sdk.AppLister)
	if ok {
		ctx, cancel := s.call()
		defer cancel()
		_, err := lister.Apps(ctx, "", 1)
		ok = !errors.Is(err, sdk.ErrUnsupported)
	}
	s.without(ok, "Apps")
	return lister
}

// listed returns all apps after the name, in pages of limit.
func (s *subject) listed(lister sdk.AppLister, after string, limit int) (all []sdk.AppInfo) {
	s.Helper()
	ctx, cancel := s.call()
	defer cancel()
	for {
		page, err := lister.Apps(ctx, after, limit)
		if err != nil {
			s.Fatalf("Apps(%q, %d): %v", after, limit, err)
		}
		if limit > 0 && len(page) > limit {
			s.Fatalf("Apps(%q, %d): %d are more than asked for", after, limit, len(page))
		}
		if len(page) == 0 {
			return all
		}
		for _, info := range page {
			if info.App <= after {
				s.Fatalf("Apps: %q comes after %q", info.App, after)
			}
			after = info.App
			all = append(all, info)
		}
	}
}

// appsPaged: exactly the apps that have entries are listed, in the order of their names, a
// page at a time, and each with what is kept of it.
func appsPaged(s *subject) {
	lister := s.lister()
	if got := s.listed(lister, "", 0); len(got) != 0 {
		s.Errorf("an empty storage lists %v", got)
	}
	names := strings.Fields("a a-b a.b aa ab b b-1 b-10 b-2 c")
	for i := range 40 {
		names = append(names, fmt.Sprintf("many-%d", i))
	}
	batch := sdk.Batch{ID: s.next()}
	for i, name := range names {
		batch.Apps = append(batch.Apps, sdk.AppEntries{App: name, Entries: numbered(i, i+1)})
	}
	s.appendBatch(batch)
	slices.Sort(names)
	for _, limit := range []int{0, 1, 7, 1000} {
		for _, after := range []string{"", "a", "a-", "b-10", "bzz", "many-39", "zzz"} {
			listed := s.listed(lister, after, limit)
			got, want := make([]string, len(listed)), make([]string, 0, len(names))
			for i := range listed {
				got[i] = listed[i].App
			}
			for _, name := range names {
				if name > after {
					want = append(want, name)
				}
			}
			if !slices.Equal(got, want) {
				s.Fatalf("Apps after %q, %d at a time: %q, want %q", after, limit, got, want)
			}
		}
	}

	s.append("foo", numbered(1, 13)...)
	s.append("foo", line(2))
	s.append("foo", line(7))
	s.append("gone", numbered(1, 2)...)
	s.delete("gone")
	s.appendBatch(one(s.next(), "never", nil))
	s.wantInfo(lister, "foo", 10, 15, line(5), line(13))
	s.wantInfo(lister, "gone", 0, 0, sdk.Entry{}, sdk.Entry{})
	s.wantInfo(lister, "never", 0, 0, sdk.Entry{}, sdk.Entry{})
	s.append("gone", line(3))
	s.wantInfo(lister, "gone", 1, 1, line(3), line(3))
}

// wantInfo asks for one app by name, and looks for it in the list.
func (s *subject) wantInfo(lister sdk.AppLister, app string, entries, last uint64, oldest, newest sdk.Entry) {
	s.Helper()
	ctx, cancel := s.call()
	defer cancel()
	got, err := lister.App(ctx, app)
	if err != nil {
		s.Fatalf("App(%q): %v", app, err)
	}
	if got.Entries != entries || entries > 0 && (got.App != app || got.Last != last || got.Bytes == 0 ||
		!got.Oldest.Equal(oldest.Published) || !got.Newest.Equal(newest.Published)) {
		s.Errorf("App(%q): got %+v, want %d entries up to position %d, in more than 0 bytes, published from %s to %s",
			app, got, entries, last, oldest.Published, newest.Published)
	}
	all := s.listed(lister, "", 0)
	i := slices.IndexFunc(all, func(info sdk.AppInfo) bool { return info.App == app })
	switch {
	case (i >= 0) != (entries > 0):
		s.Errorf("%q has %d entries, and is listed: %t", app, entries, i >= 0)
	case i >= 0 && (all[i].Entries != entries || all[i].Last != last || !all[i].Oldest.Equal(oldest.Published) || !all[i].Newest.Equal(newest.Published)):
		s.Errorf("it is listed as %+v, and known as %+v", all[i], got)
	}
}

// totals: whatever was stored is kept, evicted or deleted.
func totals(s *subject) {
	lister := s.lister()
	ask := func() sdk.Totals {
		s.Helper()
		ctx, cancel := s.call()
		defer cancel()
		t, err := lister.Totals(ctx)
		if err != nil {
			s.Fatalf("Totals: %v", err)
		}
		return t
	}
	before := ask()
	want := func(what string, apps, entries, evicted, deleted int) {
		s.Helper()
		now := ask()
		got := []int{
			int(now.Apps - before.Apps), int(now.Entries - before.Entries), int(now.Evicted - before.Evicted),
			int(now.Deleted - before.Deleted), int(now.Stored - before.Stored),
		}
		if want := []int{apps, entries, evicted, deleted, entries + evicted + deleted}; !slices.Equal(got, want) {
			s.Errorf("%s: apps, entries, evicted, deleted and stored are %d, want %d", what, got, want)
		}
		if entries > 0 && now.Bytes <= before.Bytes {
			s.Errorf("%s: %d entries take no bytes", what, entries)
		}
	}
	s.append("foo", numbered(1, 25)...) // of which 10 are kept
	want("25 lines", 1, 10, 15, 0)
	s.append("foo", numbered(1, 3)...) // too old
	s.append("foo", line(20), line(30))
	want("late ones", 1, 10, 20, 0)
	s.append("bar", numbered(1, 4)...)
	s.append("short", numbered(1, 3)...)
	s.append("long", numbered(1, 12)...)
	want("more apps", 4, 27, 22, 0)
	s.delete("short")
	s.delete("long")
	s.delete("long")
	s.delete("never")
	want("deletes", 2, 14, 22, 13)
	s.append("long", numbered(1, 2)...)
	want("a new life", 3, 16, 22, 13)
}

// versions: equal versions mean an equal log; whatever changes the log changes its version.
func versions(s *subject) {
	versioner, ok := s.storage.(sdk.Versioner)
	ask := func(apps ...string) []uint64 {
		s.Helper()
		ctx, cancel := s.call()
		defer cancel()
		got, err := versioner.Versions(ctx, apps)
		if errors.Is(err, sdk.ErrUnsupported) {
			s.without(false, "Versions")
		}
		if err != nil || len(got) != len(apps) {
			s.Fatalf("Versions(%q): %d, %v", apps, got, err)
		}
		return got
	}
	s.without(ok, "Versions")
	if got := ask("foo", "bar"); got[0] != 0 || got[1] != 0 {
		s.Errorf("logs that are not have the versions %d, want 0", got)
	}
	s.append("foo", numbered(1, 3)...)
	s.append("bar", numbered(1, 3)...)
	seen, bar := map[uint64]string{}, ask("bar")[0]
	for _, c := range []struct {
		what   string
		change func()
	}{
		{"the first lines", func() {}},
		{"a line", func() { s.append("foo", line(10)) }},
		{"another line", func() { s.append("foo", line(11)) }},
		{"a late line", func() { s.append("foo", line(5)) }},
		{"a line that pushes one out", func() { s.append("foo", numbered(12, 21)...) }},
		{"the same again", func() { s.append("foo", numbered(12, 21)...) }},
		{"a new life of the same lines", func() {
			s.delete("foo")
			if got := ask("foo")[0]; got != 0 {
				s.Errorf("deleted, and still of version %d", got)
			}
			s.append("foo", numbered(12, 21)...)
		}},
		{"and another", func() {
			s.delete("foo")
			s.append("foo", numbered(12, 21)...)
		}},
	} {
		c.change()
		got := ask("never", "foo", "bar", "foo")
		if got[0] != 0 || got[2] != bar || got[1] != got[3] {
			s.Errorf("%s: versions of no log, foo, bar and foo are %d, want 0, two equal ones and %d", c.what, got, bar)
		}
		if before, ok := seen[got[1]]; ok || got[1] == 0 {
			s.Errorf("after %s the version is %d, as after %q", c.what, got[1], before)
		}
		seen[got[1]] = c.what
		page := s.all("foo")
		if page.Version != 0 && page.Version != got[1] {
			s.Errorf("after %s the page says version %d, and Versions %d", c.what, page.Version, got[1])
		}
		if again := ask("foo")[0]; again != got[1] {
			s.Errorf("after %s, and a read, the version went from %d to %d", c.what, got[1], again)
		}
	}
}

// loweredLines: a lower NUMBER_OF_LINES takes effect at the start, before anything is appended. A
// higher one lets the log grow.
func loweredLines(s *subject) {
	again, ok := s.storage.(Reopener)
	t, inTest := s.T.(*testing.T)
	s.without(ok && inTest, "Reopen")
	s.append("foo", every(2, 1, 39)...)
	s.append("foo", numbered(31, 36)...)
	s.append("short", numbered(1, 3)...)
	kept := published(every(2, 1, 39), numbered(31, 36))
	s.lowered(kept[len(kept)-20:], func(lines int) {
		s.storage = again.Reopen(t, lines)
		again, _ = s.storage.(Reopener)
		s.without(again != nil, "Reopen of a storage that was opened again")
	})
}

// lowered opens the storage with less and with more lines again.
func (s *subject) lowered(kept []sdk.Entry, reopen func(lines int)) {
	s.Helper()
	old := s.wantKept("foo", 26, kept...)
	reopen(5)
	page := s.wantKept("foo", 26, kept[len(kept)-5:]...)
	s.wantKept("short", 3, numbered(1, 3)...)
	if page.Epoch != old.Epoch {
		s.Fatalf("the epoch went from %x to %x", old.Epoch, page.Epoch)
	}
	if lister, ok := s.storage.(sdk.AppLister); ok {
		ctx, cancel := s.call()
		defer cancel()
		if info, err := lister.App(ctx, "foo"); !errors.Is(err, sdk.ErrUnsupported) && (err != nil || info.Entries != 5) {
			s.Errorf("%d entries are said to be kept (%v), want 5", info.Entries, err)
		}
	}
	s.arrivesAfter(sdk.ReadOptions{App: "foo", Limit: 3, After: sdk.Cursor{Epoch: page.Epoch}}, 0, page.Entries)
	s.append("foo", line(40))
	kept = append(kept[len(kept)-4:], line(40))
	s.wantKept("foo", 27, kept...)
	reopen(8)
	s.append("foo", numbered(41, 44)...)
	kept = append(kept, numbered(41, 44)...)
	s.wantKept("foo", 31, kept[1:]...)
}

// check: a Checker whose backend serves says so.
func check(s *subject) {
	checker, ok := s.storage.(sdk.Checker)
	s.without(ok, "Check")
	ctx, cancel := s.call()
	defer cancel()
	if err := checker.Check(ctx); err != nil {
		s.Errorf("Check: %v", err)
	}
}
