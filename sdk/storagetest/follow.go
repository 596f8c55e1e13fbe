package storagetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/deis/logger/sdk"
)

// followFrom: a follow yields what comes after the cursor, whatever cursor it is, and then what
// arrives.
func followFrom(s *subject) {
	s.without(s.follows(), "Follow")
	s.append("foo", numbered(1, 15)...) // of which 6 to 15 are kept
	page := s.all("foo")
	epoch, kept := page.Epoch, page.Entries
	for _, c := range []struct {
		name   string
		after  sdk.Cursor
		from   int
		epochs int
	}{
		{"the beginning", sdk.Beginning(), 0, 1},
		{"position 0", sdk.Cursor{Epoch: epoch}, 0, 0},
		{"an evicted position", sdk.Cursor{Epoch: epoch, Position: 2}, 2, 0},
		{"the last evicted position", sdk.Cursor{Epoch: epoch, Position: 5}, 5, 0},
		{"a position that is kept", sdk.Cursor{Epoch: epoch, Position: 9}, 9, 0},
		{"the end", sdk.Cursor{Epoch: epoch, Position: 15}, 15, 0},
		{"another epoch", sdk.Cursor{Epoch: epoch ^ 5, Position: 3}, 0, 1},
	} {
		t := s.follow("foo", c.after)
		// It sees all that is kept, and knows how many of the others are gone.
		sees := func(last int, kept ...sdk.Entry) {
			s.Helper()
			t.until(c.name, func(t *tail) bool { return t.last.Position >= uint64(last) && t.last.Epoch == epoch })
			t.mu.Lock()
			defer t.mu.Unlock()
			if seen := len(t.entries); seen+int(t.gone) != last-c.from || t.epochs != c.epochs {
				s.Errorf("after %s: %d seen and %d gone of %d, %d other epochs, want %d", c.name, seen, t.gone, last-c.from, t.epochs, c.epochs)
			}
			for _, e := range kept {
				if int(e.Position) > c.from && !slices.ContainsFunc(t.entries, func(got sdk.Entry) bool { return got.Position == e.Position && differ(got, e) == "" }) {
					s.Errorf("after %s: %.40q at position %d was not seen", c.name, e.Message, e.Position)
				}
			}
		}
		sees(15, kept...)
		defer func() { sees(19, s.all("foo").Entries...) }()
	}
	s.append("foo", line(16))
	s.append("foo", numbered(17, 19)...)
}

// followAhead: a follow from a cursor beyond the end, because the log lost entries or nobody gave
// it out, yields where the end is, and then what is appended next.
func followAhead(s *subject) {
	s.without(s.follows(), "Follow")
	s.append("foo", numbered(1, 3)...)
	end := s.end()
	for i, beyond := range []uint64{1, 1 << 40} {
		t := s.follow("foo", sdk.Cursor{Epoch: end.Epoch, Position: end.Position + uint64(i) + beyond})
		t.until("the end of the log", func(t *tail) bool { return t.back > 0 })
		next := 4 + 2*i
		s.append("foo", line(next))
		s.append("foo", line(next+1))
		t.until("what was appended next", func(t *tail) bool { return t.last == sdk.Cursor{Epoch: end.Epoch, Position: uint64(next + 1)} })
		t.reaches(numbered(next, next+1)...)
	}
}

// followNew: a follow from a zero cursor yields what is appended from now on, and of an app without
// a log everything.
func followNew(s *subject) {
	s.without(s.follows(), "Follow")
	fresh := s.follow("new", sdk.Beginning())
	s.append("foo", numbered(1, 20)...)
	t := s.follow("foo", sdk.Cursor{})
	next := 21
	for ; ; next++ { // until it is known to have begun
		s.append("foo", numbered(next, next)...)
		t.mu.Lock()
		begun := len(t.entries) > 0
		t.mu.Unlock()
		if begun {
			break
		}
		if next == 10_000 {
			s.Fatal("10,000 appends, and the follower sees none")
		}
	}
	s.append("foo", numbered(next+1, next+5)...)
	t.until("the last one", func(t *tail) bool { return t.last.Position == uint64(next+5) })
	t.mu.Lock()
	first := next + 6 - len(t.entries)
	t.mu.Unlock()
	if first <= 20 {
		s.Errorf("it began with entry %d, which was there before", first)
	}
	t.reaches(numbered(first, next+5)...)

	s.append("new", numbered(1, 3)...)
	s.append("new", numbered(4, 4)...)
	fresh.reaches(numbered(1, 4)...)
}

// followConcurrent: followers that begin while there are writers miss and double
// nothing between what was there and what arrives.
func followConcurrent(s *subject) {
	s.without(s.follows(), "Follow")
	const total = writers * batches * perApp
	tails := make(chan *tail, 16) // room for all that are begun
	begun := 0
	s.together(func() error {
		if begun < cap(tails) {
			begun++
			after := sdk.Beginning()
			if page, err := s.page(s.Context(), sdk.ReadOptions{App: "shared"}); err == nil && page.Epoch != 0 && begun%2 == 0 {
				after = page.End()
			}
			tails <- s.follow("shared", after)
		}
		return nil
	})
	close(tails)
	first := <-tails // begins at the beginning
	first.until("an entry", func(t *tail) bool { return t.last.Position > 0 })
	// Append one more, for a follower that began so late that it has read all of the above: it
	// hears of this one alone. The others may have read this one too before they listen.
	s.append("shared", numbered(total+1, total+1)...)
	all := []*tail{first}
	for t := range tails {
		all = append(all, t)
	}
	for _, t := range all {
		t.until("the last entry", func(t *tail) bool { return t.last.Position == total+1 })
		t.mu.Lock()
		if err := arrivedInOrder(t.entries); t.gone != 0 || err != nil {
			s.Errorf("%d are gone; order: %v", t.gone, err)
		}
		t.mu.Unlock()
	}
}

// followTrim: the positions show what was trimmed before it could be followed.
func followTrim(s *subject) {
	s.without(s.follows(), "Follow")
	const total = writers * batches * perApp
	t := s.follow("shared", sdk.Beginning())
	s.together()
	t.until("the last entry", func(t *tail) bool { return t.last.Position == total })
	t.mu.Lock()
	defer t.mu.Unlock()
	if seen := uint64(len(t.entries)); seen+t.gone != total {
		s.Errorf("%d seen and %d gone of %d", seen, t.gone, total)
	}
}

// followLate: a follower sees late lines in the order of arrival, and is told of those that were
// too old to be kept.
func followLate(s *subject) {
	s.without(s.follows(), "Follow")
	s.append("foo", every(10, 100, 190)...)
	t := s.follow("foo", s.end())
	s.append("foo", line(145))
	t.reaches(line(145))
	s.append("foo", line(3))
	t.until("a line that is gone at once", func(t *tail) bool { return t.last.Position == 12 })
	s.append("foo", line(200))
	t.until("the next line", func(t *tail) bool { return t.last.Position == 13 })
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := len(t.entries); n+int(t.gone) != 3 || t.entries[n-1].Message != line(200).Message {
		s.Errorf("it saw %s and knows of %d that are gone, want 3 together", gist(t.entries), t.gone)
	}
}

// deleteWakesFollower: a follower hears that the log was deleted, even if nothing is appended any
// more.
func deleteWakesFollower(s *subject) {
	s.without(s.follows(), "Follow")
	for life := range 3 {
		s.append("foo", numbered(1, 3)...)
		t := s.follow("foo", s.end())
		late := s.follow("foo", sdk.Beginning())
		late.reaches(numbered(1, 3)...)
		s.delete("foo")
		for _, t := range []*tail{t, late} {
			t.until("a page that says that the log is gone", func(t *tail) bool { return t.ended > 0 })
		}
		s.append("foo", line(10+life))
		t.reaches(line(10 + life))
		s.delete("foo")
		t.until("another one", func(t *tail) bool { return t.ended > 1 })
	}
}

// followDelete: a log that is deleted while it is followed goes on in another epoch.
func followDelete(s *subject) {
	s.without(s.follows(), "Follow")
	s.append("foo", numbered(1, 3)...)
	t := s.follow("foo", sdk.Beginning())
	t.reaches(numbered(1, 3)...)
	for life := range 3 {
		s.delete("foo")
		from := 4 + life*2
		s.append("foo", numbered(from, from)...)
		t.reaches(numbered(1, from)...)
		s.append("foo", numbered(from+1, from+1)...)
		t.reaches(numbered(1, from+1)...)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.epochs != 4 || t.gone != 0 || t.last.Position != 2 {
		s.Errorf("%d epochs, %d gone, the last position %d; want 4, 0 and 2", t.epochs, t.gone, t.last.Position)
	}
}

// followEnds: a follow ends with its context, whatever it is doing, and with yield's error.
func followEnds(s *subject) {
	s.without(s.follows(), "Follow")
	s.append("foo", numbered(1, 3)...)
	quiet := s.follow("quiet", sdk.Beginning())
	idle := s.follow("foo", sdk.Beginning())
	idle.reaches(numbered(1, 3)...)
	for name, t := range map[string]*tail{"idle": idle, "of an app without a log": quiet} {
		if err := t.end(); !errors.Is(err, context.Canceled) {
			s.Errorf("a follow %s ended with %v, want context.Canceled", name, err)
		}
	}
	enough := errors.New("enough")
	t := s.follow("foo", sdk.Beginning(), func(sdk.Page) error { return enough })
	t.until("the end", func(t *tail) bool { return t.err != nil })
	if err := t.end(); !errors.Is(err, enough) {
		s.Errorf("a follow whose yield failed ended with %v, want yield's error", err)
	}
	s.append("foo", numbered(4, 5)...) // with nobody left
	s.want(s.all("foo").Entries, numbered(1, 5)...)
}

// followLarge: a long history of long entries arrives whole, in as many pages as it
// takes.
func followLarge(s *subject) {
	s.without(s.follows(), "Follow")
	entries := numbered(1, 3000)
	for i := range entries {
		if i%50 == 0 {
			entries[i].Message = strings.Repeat("long ", 13_000)
		}
	}
	for i := 0; i < len(entries); i += 500 {
		s.append("foo", entries[i:i+500]...)
	}
	t := s.follow("foo", sdk.Beginning())
	t.reaches(entries...)
	s.append("foo", numbered(3001, 3060)...)
	t.reaches(append(entries, numbered(3001, 3060)...)...)
}

// followMany: there may be any number of followers, of one app and of several, each on its own. One
// that does not return from yield holds up nobody else.
func followMany(s *subject) {
	s.without(s.follows(), "Follow")
	blocked := make(chan struct{})
	defer close(blocked)
	s.append("app-0", numbered(1, 1)...)
	s.follow("app-0", sdk.Beginning(), func(sdk.Page) error {
		<-blocked
		return nil
	})
	const apps, each = 10, 10
	var tails [apps][]*tail
	for app := range apps {
		for range each {
			tails[app] = append(tails[app], s.follow(fmt.Sprintf("app-%d", app), sdk.Beginning()))
		}
	}
	for round := range 20 {
		batch := sdk.Batch{ID: s.next()}
		for app := range apps {
			batch.Apps = append(batch.Apps, sdk.AppEntries{App: fmt.Sprintf("app-%d", app), Entries: numbered(round*2+2, round*2+3)})
		}
		s.appendBatch(batch)
		for i, t := range tails[round%apps] { // some go meanwhile
			if i == round/apps {
				_ = t.end()
			}
		}
	}
	for app := range apps {
		first := 2
		if app == 0 {
			first = 1
		}
		for _, t := range tails[app][2:] {
			t.reaches(numbered(first, 41)...)
		}
	}
}
