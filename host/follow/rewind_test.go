package follow

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/sdk"
)

// fallBack restores the storage to its oldest n entries.
func (s *fake) fallBack(n int) {
	s.setAway(true)
	synctest.Wait()
	_, last, _ := s.Kept("foo")
	s.Lose("foo", int(last)-n)
	s.setAway(false)
}

// followedAndPolled runs a test with a storage that is followed, and with one that is polled.
func followedAndPolled(t *testing.T, test func(t *testing.T, s *fake)) {
	for _, polled := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newFake()
			s.Polled = polled
			test(t, s)
		})
	}
}

// TestReadThatHangs: a storage that cannot be followed never answers one read. Its followers get
// what comes after it all the same.
func TestReadThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, hang := newFake(), atomic.Bool{}
		s.Polled = true
		s.Before = func(ctx context.Context, call storagefake.Call) error {
			if call.Method == "Read" && hang.Swap(false) {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		f := follow(t, newHub(t, s), sdk.Beginning())
		s.add(2)
		wantLines(t, take(t, f), "1", "2")
		hang.Store(true)
		time.Sleep(2 * pollMost)
		if hang.Load() {
			t.Fatal("no read came")
		}
		s.add(1)
		wantLines(t, take(t, f), "3")
	})
}

// TestCursorBeyondTheEnd: a client's cursor that is beyond the log gives this client a gap. It
// silences no other follower, even if the client is the app's first one.
func TestCursorBeyondTheEnd(t *testing.T) {
	followedAndPolled(t, func(t *testing.T, s *fake) {
		h := newHub(t, s)
		s.add(3)
		ahead := follow(t, h, sdk.Cursor{Epoch: 7, Position: 999_999})
		g := take(t, ahead)
		wantLines(t, g, "(0 lost)")
		want := read.Gap{From: read.Place{Cursor: sdk.Cursor{Epoch: 7, Position: 999_999}}, To: read.Place{Cursor: sdk.Cursor{Epoch: 7, Position: 3}}, Reason: read.Lost}
		if len(g.gaps) != 1 || g.gaps[0] != want {
			t.Errorf("gaps %+v, want %+v", g.gaps, want)
		}
		other := follow(t, h, sdk.Beginning())
		wantLines(t, take(t, other), lines(1, 3)...)
		s.add(2)
		wantLines(t, take(t, ahead), "4", "5")
		wantLines(t, take(t, other), "4", "5")
	})
}

// TestCursorOfALogToCome: the stream does not adopt an epoch that a client made up.
func TestCursorOfALogToCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFake()
		h := newHub(t, s)
		made := follow(t, h, sdk.Cursor{Epoch: 7, Position: 50})
		wantLines(t, take(t, made))
		other := follow(t, h, sdk.Beginning())
		wantLines(t, take(t, other))
		s.add(2)
		wantLines(t, take(t, other), "1", "2")
	})
}

// TestLogFallsBack: when a storage comes back without its newest entries, its followers get a gap,
// also those who come before the stream has noticed. Nothing comes twice.
func TestLogFallsBack(t *testing.T) {
	followedAndPolled(t, func(t *testing.T, s *fake) {
		h := newHub(t, s)
		f := follow(t, h, sdk.Beginning())
		s.add(10)
		wantLines(t, take(t, f), lines(1, 10)...)
		s.add(2)
		wantLines(t, take(t, f), "11", "12")
		s.fallBack(6)
		wantLines(t, take(t, f), "(0 lost)")
		s.add(3)
		wantLines(t, take(t, f), "7", "8", "9")
		late := follow(t, h, sdk.Cursor{Epoch: 7, Position: 12})
		wantLines(t, take(t, late), "(0 lost)")
		s.add(1)
		wantLines(t, take(t, f), "10")
		wantLines(t, take(t, late), "10")
	})
}

// TestJoinBeforeTheStreamFallsBack: a follower has already read the log as it is since the
// fallback. It gets the next lines once, although the stream delivers them too.
func TestJoinBeforeTheStreamFallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFake()
		held := newHeld(s)
		h := newHub(t, held)
		f := follow(t, h, sdk.Beginning())
		s.add(10)
		wantLines(t, take(t, f), lines(1, 10)...)
		s.add(1)
		wantLines(t, take(t, f), "11")
		held.hold.Store(true)
		s.fallBack(6)
		time.Sleep(time.Minute) // the stream knows that there are 6
		s.add(2)
		late := follow(t, h, sdk.Beginning())
		wantLines(t, take(t, late), lines(1, 8)...)
		s.add(1)
		close(held.held)
		wantLines(t, take(t, late), "9")
		wantLines(t, take(t, f), "(0 lost)", "7", "8", "9")
	})
}

// TestNobodySawTheEnd: if a log ended while nobody followed, it counts as lost, because nobody
// knows why. If it ends while the storage is followed again, the reason is known.
func TestNobodySawTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFake()
		h := newHub(t, s)
		f := follow(t, h, sdk.Cursor{Epoch: 5, Position: 50})
		wantLines(t, take(t, f))
		s.add(2)
		wantLines(t, take(t, f), "(0 lost)", "1", "2")
		s.setAway(true)
		wantLines(t, take(t, f))
		s.setAway(false)
		s.add(1)
		wantLines(t, take(t, f), "3")
		s.Begin("foo")
		wantLines(t, take(t, f))
		s.add(1)
		wantLines(t, take(t, f), "(0 deleted)", "1")
	})
}

// TestSlowReadsComeToSomething even if the caller asks more often than a read takes. They end at
// once with the caller.
func TestSlowReadsComeToSomething(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFake()
		s.Before = func(ctx context.Context, call storagefake.Call) error {
			if call.Method == "Read" {
				select {
				case <-time.After(3 * time.Second):
				case <-ctx.Done():
				}
			}
			return nil
		}
		h := newHub(t, s, func(o *Options) { o.ReadTimeout = 5 * time.Second })
		s.add(3)
		f := follow(t, h, sdk.Beginning())
		var got []sdk.Entry
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			b, err := f.Next(ctx)
			cancel()
			if err == nil {
				got = append(got, b.Entries...)
			}
		}
		if len(got) != 3 || !f.Live() {
			t.Errorf("%d entries in 10 tries, live %t", len(got), f.Live())
		}
		leaving := follow(t, h, sdk.Beginning())
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		began := time.Now()
		if _, err := leaving.Next(ctx); err == nil || time.Since(began) != time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// repeats wraps a storage so that it yields every page twice, the second time from the middle on.
type repeats struct{ *fake }

func (s repeats) Follow(ctx context.Context, app string, after sdk.Cursor, yield func(sdk.Page) error) error {
	return s.fake.Follow(ctx, app, after, func(p sdk.Page) error {
		if err := yield(p); err != nil {
			return err
		}
		half := len(p.Entries) / 2
		p.Entries = p.Entries[half:]
		return yield(p)
	})
}

// TestStorageThatRepeatsItself: the chain has each entry once, so repeated entries make no follower
// count as slow.
func TestStorageThatRepeatsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, repeats{newFake()})
		s := h.opts.Storage.(repeats)
		f := follow(t, h, sdk.Beginning())
		wantLines(t, take(t, f))
		s.add(60)
		synctest.Wait()
		f.stream.mu.Lock()
		if n := f.stream.tail.entries; n != 60 {
			t.Errorf("%d entries in the chain, want 60", n)
		}
		f.stream.mu.Unlock()
		wantLines(t, take(t, f), lines(1, 60)...)
	})
}
