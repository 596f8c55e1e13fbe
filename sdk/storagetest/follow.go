package storagetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/deis/logger/sdk"
)

// tail is one Follow under way, and what it yielded.
type tail struct {
	s       *subject
	stop    context.CancelFunc
	changed chan struct{} // has a token when there is something new
	done    chan struct{} // closed when Follow returned

	mu      sync.Mutex
	entries []sdk.Entry
	last    sdk.Cursor // of the newest entry, at first the one that was followed after
	missed  uint64     // entries that are gone between the pages
	epochs  int        // how often the epoch changed
	ends    int        // how often the log ended before what was yielded
	wrong   error
	err     error // what Follow returned
}

// errFollows ends the Follow of a storage that follows.
var errFollows = errors.New("it follows")

// follows says whether the storage has the optional Follow: one that has yields what is
// there. To ask with a context that has ended would not do, since over the wire that
// fails before the storage's answer comes.
func (s *subject) follows() bool {
	s.Helper()
	follower, ok := s.storage.(sdk.Follower)
	if !ok {
		return false
	}
	const probe = "followed"
	s.append(probe, numbered(1, 1)...)
	defer s.delete(probe)
	ctx, cancel := s.call()
	defer cancel()
	err := follower.Follow(ctx, probe, sdk.Beginning(), func(page sdk.Page) error {
		if len(page.Entries) == 0 {
			return nil
		}
		return errFollows
	})
	if !errors.Is(err, errFollows) && !errors.Is(err, sdk.ErrUnsupported) {
		s.Fatalf("Follow of an app that has an entry: %v", err)
	}
	return errors.Is(err, errFollows)
}

// follow begins to follow. The suite ends it at the latest with the test.
func (s *subject) follow(app string, after sdk.Cursor, each ...func(sdk.Page) error) *tail {
	ctx, stop := context.WithCancel(context.WithoutCancel(s.Context()))
	t := &tail{s: s, stop: stop, last: after, changed: make(chan struct{}, 1), done: make(chan struct{})}
	go func() {
		defer close(t.done)
		err := s.storage.(sdk.Follower).Follow(ctx, app, after, func(page sdk.Page) error {
			t.take(page)
			for _, f := range each {
				if err := f(page); err != nil {
					return err
				}
			}
			return nil
		})
		t.mu.Lock()
		defer t.mu.Unlock()
		t.err = err
	}()
	s.Cleanup(func() { _ = t.end() })
	return t
}

// take files a page and checks what is true of each that follows another.
func (t *tail) take(page sdk.Page) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if page.Before(t.last) {
		t.ends++
		t.last = page.End()
	}
	if len(page.Entries) > 0 {
		gap, known := page.Gap(t.last)
		switch {
		case page.Epoch == 0 || page.First == 0:
			t.wrong = fmt.Errorf("entries at epoch %x, position %d", page.Epoch, page.First)
		case known && page.First <= t.last.Position:
			t.wrong = fmt.Errorf("position %d came after %d", page.First, t.last.Position)
		}
		if t.last.IsZero() { // from now on: whatever was before does not count
			gap, known = 0, true
		}
		if !known {
			t.epochs++
		}
		t.missed += gap
		t.last = page.End()
		t.entries = append(t.entries, page.Entries...)
	}
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// until waits for what it has to satisfy ok.
func (t *tail) until(what string, ok func(t *tail) bool) {
	t.s.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		t.mu.Lock()
		done, wrong, n, last := ok(t), t.wrong, len(t.entries), t.last
		t.mu.Unlock()
		if wrong != nil {
			t.s.Fatalf("follower: %v", wrong)
		}
		if done {
			return
		}
		select {
		case <-t.changed:
		case <-t.done:
			t.mu.Lock()
			done, err := ok(t), t.err
			t.mu.Unlock()
			if !done {
				t.s.Fatalf("Follow returned %v before: %s; %d entries up to %q", err, what, n, last)
			}
			return
		case <-deadline.C:
			t.s.Fatalf("not followed in time: %s; %d entries up to %q", what, n, last)
		}
	}
}

// reaches waits for so many entries, and compares them all.
func (t *tail) reaches(want ...sdk.Entry) {
	t.s.Helper()
	t.until(fmt.Sprintf("%d entries", len(want)), func(t *tail) bool { return len(t.entries) >= len(want) })
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.entries) != len(want) {
		t.s.Fatalf("%d entries were followed, want %d: got %s, want %s", len(t.entries), len(want), gist(t.entries), gist(want))
	}
	for i := range want {
		if diff := differ(t.entries[i], want[i]); diff != "" {
			t.s.Fatalf("followed entry %d: %s", i, diff)
		}
	}
}

// end cancels the follow and returns its error once it returned, which is soon.
func (t *tail) end() error {
	t.s.Helper()
	t.stop()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	select {
	case <-t.done:
	case <-deadline.C:
		t.s.Fatal("Follow does not return although its context ended")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// followFrom: what follows the cursor, whatever cursor it is, and then what arrives.
func followFrom(s *subject) {
	if !s.follows() {
		return
	}
	s.append("foo", numbered(1, 15)...) // of which 6 to 15 are kept
	epoch := s.all("foo").Epoch
	for _, c := range []struct {
		name   string
		after  sdk.Cursor
		first  int
		missed uint64
		epochs int
	}{
		{"the beginning", sdk.Beginning(), 6, 5, 1},
		{"position 0", sdk.Cursor{Epoch: epoch}, 6, 5, 0},
		{"an evicted position", sdk.Cursor{Epoch: epoch, Position: 2}, 6, 3, 0},
		{"the last evicted position", sdk.Cursor{Epoch: epoch, Position: 5}, 6, 0, 0},
		{"a position that is kept", sdk.Cursor{Epoch: epoch, Position: 9}, 10, 0, 0},
		{"the end", sdk.Cursor{Epoch: epoch, Position: 15}, 16, 0, 0},
		{"another epoch", sdk.Cursor{Epoch: epoch ^ 5, Position: 3}, 6, 5, 1},
	} {
		t := s.follow("foo", c.after)
		t.until(c.name, func(t *tail) bool { return len(t.entries) == 16-c.first })
		t.reaches(numbered(c.first, 15)...)
		t.mu.Lock()
		if t.missed != c.missed || t.epochs != c.epochs {
			s.Errorf("after %s: %d missed and %d other epochs, want %d and %d", c.name, t.missed, t.epochs, c.missed, c.epochs)
		}
		t.mu.Unlock()
		defer func() {
			t.until(c.name, func(t *tail) bool { return t.last.Position == 19 })
			t.reaches(numbered(c.first, 19)...)
		}()
	}
	s.append("foo", numbered(16, 16)...)
	s.append("foo", numbered(17, 19)...)
}

// followAhead: a cursor beyond the end, of a log that lost what it had or of nobody's,
// is answered with where the end is, and then with what is appended next.
func followAhead(s *subject) {
	if !s.follows() {
		return
	}
	s.append("foo", numbered(1, 3)...)
	end := s.all("foo").End()
	for i, beyond := range []uint64{1, 1 << 40} {
		t := s.follow("foo", sdk.Cursor{Epoch: end.Epoch, Position: end.Position + uint64(i) + beyond})
		t.until("the end of the log", func(t *tail) bool { return t.ends > 0 })
		next := 4 + 2*i
		s.append("foo", numbered(next, next)...)
		s.append("foo", numbered(next+1, next+1)...)
		t.until("what was appended next", func(t *tail) bool { return t.last == sdk.Cursor{Epoch: end.Epoch, Position: uint64(next + 1)} })
		t.reaches(numbered(next, next+1)...)
	}
}

// followNew: a zero cursor is what is appended from now on; an app without a log is
// followed from its beginning.
func followNew(s *subject) {
	if !s.follows() {
		return
	}
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
	if !s.follows() {
		return
	}
	const total = writers * batches * perApp
	tails := make(chan *tail, 16) // room for all that are begun
	begun := 0
	s.together(func() error {
		if begun < cap(tails) {
			begun++
			after := sdk.Beginning()
			if page, err := readOnce(s.Context(), s.storage, sdk.ReadOptions{App: "shared"}); err == nil && page.Epoch != 0 && begun%2 == 0 {
				after = page.End()
			}
			tails <- s.follow("shared", after)
		}
		return nil
	})
	close(tails)
	first := <-tails // begins at the beginning
	first.until("an entry", func(t *tail) bool { return t.last.Position > 0 })
	// One more, for a follower that began so late that it has read all of the above: it
	// hears of this one alone. Only the others may have read this one, too, before they listen.
	s.append("shared", numbered(total+1, total+1)...)
	all := []*tail{first}
	for t := range tails {
		all = append(all, t)
	}
	for _, t := range all {
		t.until("the last entry", func(t *tail) bool { return t.last.Position == total+1 })
		t.mu.Lock()
		if t.missed != 0 || inOrder(t.entries) != nil {
			s.Errorf("%d missed; order: %v", t.missed, inOrder(t.entries))
		}
		t.mu.Unlock()
	}
}

// followTrim: what is trimmed before it could be followed shows in the positions.
func followTrim(s *subject) {
	if !s.follows() {
		return
	}
	const total = writers * batches * perApp
	t := s.follow("shared", sdk.Beginning())
	s.together()
	t.until("the last entry", func(t *tail) bool { return t.last.Position == total })
	t.mu.Lock()
	defer t.mu.Unlock()
	if seen := uint64(len(t.entries)); seen+t.missed != total {
		s.Errorf("%d seen and %d missed of %d", seen, t.missed, total)
	}
}

// followDelete: a log that is deleted while it is followed goes on in another epoch.
func followDelete(s *subject) {
	if !s.follows() {
		return
	}
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
	if t.epochs != 4 || t.missed != 0 || t.last.Position != 2 {
		s.Errorf("%d epochs, %d missed, the last position %d; want 4, 0 and 2", t.epochs, t.missed, t.last.Position)
	}
}

// followEnds: it ends with its context, whatever it is doing, and with yield's error.
func followEnds(s *subject) {
	if !s.follows() {
		return
	}
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
	s.want(s.all("foo"), 1, numbered(1, 5)...)
}

// followLarge: a long history of long entries arrives whole, in as many pages as it
// takes.
func followLarge(s *subject) {
	if !s.follows() {
		return
	}
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
	s.append("foo", entries[:60]...)
	t.reaches(append(entries, entries[:60]...)...)
}

// followMany: any number of followers, of one app and of several, each on its own.
// One that does not return from yield holds up nobody else.
func followMany(s *subject) {
	if !s.follows() {
		return
	}
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
