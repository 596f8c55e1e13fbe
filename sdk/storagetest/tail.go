package storagetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/deis/logger/sdk"
)

// tail runs one Follow, and records what it yielded.
type tail struct {
	s       *subject
	app     string
	stop    context.CancelFunc
	changed chan struct{} // has a token when there is something new
	done    chan struct{} // closed when Follow returned

	mu      sync.Mutex
	entries []sdk.Entry
	last    sdk.Cursor // the end of the last page; at first the cursor that was followed
	gone    uint64     // entries that are gone between the pages
	epochs  int        // how often there were entries of another epoch than before
	ended   int        // how often a page said that the log is gone, or is another one
	back    int        // how often the log ended before what was yielded
	wrong   error
	err     error // what Follow returned
}

// errFollows ends the Follow of a storage that follows.
var errFollows = errors.New("it follows")

// follows reports whether the storage has the optional Follow, which then yields what is there. A
// call with a context that has ended would not tell: over the wire it fails before the storage's
// answer comes.
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
	t := &tail{s: s, app: app, stop: stop, last: after, changed: make(chan struct{}, 1), done: make(chan struct{})}
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

// fixed answers every read with this page.
type fixed sdk.Page

func (f fixed) Read(context.Context, sdk.ReadOptions) (sdk.Page, error) { return sdk.Page(f), nil }

// take files a page, and checks what has to be true of a page that follows another.
func (t *tail) take(page sdk.Page) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last.IsZero() { // from now on: whatever was before does not count
		t.last = page.End()
		if len(page.Entries) > 0 {
			t.last.Position = page.Entries[0].Position - 1
		}
	}
	opts := sdk.ReadOptions{App: t.app, Limit: -1, After: t.last}
	if t.s.direct {
		page, _ = sdk.ReadFiltered(context.Background(), fixed(page), opts)
	}
	if err := wrong(&page, &opts); err != nil && t.wrong == nil {
		t.wrong = fmt.Errorf("a page after %q: %w", t.last, err)
	}
	switch {
	case page.Epoch != t.last.Epoch && len(page.Entries) == 0:
		t.ended++
	case page.Epoch != t.last.Epoch:
		t.epochs++
	case page.Last < t.last.Position:
		t.back++
	}
	t.gone += page.Gone
	t.entries = append(t.entries, page.Entries...)
	if t.last = page.Next; t.last.IsZero() {
		t.last = sdk.Beginning()
	}
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// until waits until ok returns true.
func (t *tail) until(what string, ok func(t *tail) bool) {
	t.s.Helper()
	patience := t.s.waits.patience()
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
			t.s.waits.spent(patience)
			t.s.Fatalf("not followed in time: %s; %d entries up to %q", what, n, last)
		}
	}
}

// reaches waits for as many entries as are wanted, and sorts all by their times of
// publishing and compares them. So the order in which they arrived does not matter.
func (t *tail) reaches(want ...sdk.Entry) {
	t.s.Helper()
	t.until(fmt.Sprintf("%d entries", len(want)), func(t *tail) bool { return len(t.entries) >= len(want) })
	t.mu.Lock()
	defer t.mu.Unlock()
	t.s.want(published(t.entries), want...)
}

// end cancels the follow, which has to return soon, and returns its error.
func (t *tail) end() error {
	t.s.Helper()
	t.stop()
	patience := t.s.waits.patience()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	select {
	case <-t.done:
	case <-deadline.C:
		t.s.waits.spent(patience)
		t.s.Fatal("Follow does not return although its context ended")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}
