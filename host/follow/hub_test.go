package follow

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// follow follows the app from the cursor until the test ends.
func follow(t *testing.T, h *Hub, after sdk.Cursor) *Follower {
	t.Helper()
	f, err := h.Follow("foo", read.Place{Cursor: after})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

func TestHistoryBecomesLive(t *testing.T) {
	for _, follows := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newFake()
			s.Polled = !follows
			h := newHub(t, s, func(o *Options) { o.BufferEntries = 10_000 })
			early := follow(t, h, sdk.Beginning()) // there is no log yet
			wantLines(t, take(t, early))
			s.add(2500)
			wantLines(t, take(t, early), lines(1, 2500)...)
			late := follow(t, h, sdk.Cursor{Epoch: 7, Position: 2490})
			s.add(10)
			wantLines(t, take(t, late), lines(2491, 2510)...)
			s.add(5)
			wantLines(t, take(t, late), lines(2511, 2515)...)
			wantLines(t, take(t, early), lines(2501, 2515)...)
			end := follow(t, h, sdk.Cursor{Epoch: 7, Position: 2515})
			s.add(1)
			wantLines(t, take(t, end), "2516")
			if open, opened := s.Follows(); follows && (open != 1 || opened != 1) {
				t.Errorf("%d follows of the storage, %d ever: want one for all", open, opened)
			}
			for _, f := range []*Follower{early, late, end} {
				f.Close()
			}
			synctest.Wait()
			if open, _ := s.Follows(); open != 0 {
				t.Errorf("%d follows of the storage after the last follower left", open)
			}
			if followers, streams := h.counts(); followers != 0 || streams != 0 {
				t.Errorf("%d followers and %d streams are left", followers, streams)
			}
		})
	}
}

// TestJoinWhileLinesArrive has followers come and go at any moment while lines are written. No
// follower misses or repeats a line.
func TestJoinWhileLinesArrive(t *testing.T) {
	const total = 3000
	s := newFake()
	h := newHub(t, s, func(o *Options) { o.BufferEntries = total })
	var running sync.WaitGroup
	running.Go(func() {
		for range total / 3 {
			s.add(3)
		}
	})
	for i := range 40 {
		running.Go(func() {
			epoch, last, _ := s.Kept("foo")
			after := sdk.Cursor{Epoch: epoch, Position: last}
			if after.Epoch == 0 || i%4 == 0 {
				after = sdk.Beginning()
			}
			f, err := h.Follow("foo", read.Place{Cursor: after})
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			for next := after.Position + 1; next <= total; {
				b, err := f.Next(t.Context())
				if err != nil || len(b.Gaps) > 0 {
					t.Errorf("follower %d: %v, gaps %v", i, err, b.Gaps)
					return
				}
				for j := range b.Entries {
					if b.Entries[j].Message != fmt.Sprint(next) {
						t.Errorf("follower %d: line %s, want %d", i, b.Entries[j].Message, next)
						return
					}
					next++
				}
			}
		})
	}
	running.Wait()
}

// TestJoinAfterLinesArrived: the first follower of an app gets the lines that its stream published
// before the follower joined the chain.
func TestJoinAfterLinesArrived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFake()
		s.add(3)
		h := newHub(t, s)
		f := follow(t, h, sdk.Cursor{})
		if b, err := f.readOn(t.Context()); err != nil || len(b.Entries) != 3 || b.More {
			t.Fatalf("%+v, %v", b, err)
		}
		f.stream = h.use(f.log)
		s.add(2)
		synctest.Wait()
		f.join()
		wantLines(t, take(t, f), lines(4, 5)...)
		s.add(1)
		wantLines(t, take(t, f), "6")
	})
}

func TestSlowFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFake()
		h := newHub(t, s)
		slow, fast := follow(t, h, sdk.Beginning()), follow(t, h, sdk.Beginning())
		s.add(10)
		wantLines(t, take(t, slow), lines(1, 10)...)
		wantLines(t, take(t, fast), lines(1, 10)...)
		for range 50 { // 500 lines, of which 100 may wait
			s.add(10)
			synctest.Wait()
		}
		g := take(t, slow)
		if len(g.gaps) != 1 || g.gaps[0].Reason != read.Slow || !g.gaps[0].Exact {
			t.Fatalf("gaps %+v", g.gaps)
		}
		gap := g.gaps[0]
		first := 11 + int(gap.Count)
		if kept := 510 - first + 1; kept < 50 || kept > 100 {
			t.Errorf("%d lines waited, want half of what may wait to all of it", kept)
		}
		if gap.From.Position != 10 || gap.To.Position != uint64(first-1) {
			t.Errorf("the gap is %+v and the next line %d", gap, first)
		}
		wantLines(t, g, append([]string{fmt.Sprintf("(%d slow)", gap.Count)}, lines(first, 510)...)...)
		s.add(3)
		wantLines(t, take(t, slow), lines(511, 513)...)
	})
}

// TestPageLargerThanTheBuffer: a follower that keeps up misses nothing of such a page.
func TestPageLargerThanTheBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFake()
		h := newHub(t, s)
		f := follow(t, h, sdk.Beginning())
		wantLines(t, take(t, f))
		s.add(500)
		wantLines(t, take(t, f), lines(1, 500)...)
	})
}

func TestBytesCountToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFake()
		h := newHub(t, s, func(o *Options) { o.BufferEntries, o.BufferBytes = 1<<20, 20*256 })
		f := follow(t, h, sdk.Beginning())
		wantLines(t, take(t, f))
		for range 50 {
			s.add(1)
			synctest.Wait()
		}
		g := take(t, f)
		if len(g.gaps) != 1 || g.gaps[0].Count < 30 || g.gaps[0].Count > 42 {
			t.Errorf("got %q", g.lines)
		}
	})
}

func TestEvictedLinesAreAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFake()
		h := newHub(t, s)
		s.add(30)
		s.Keep("foo", 10)
		after := follow(t, h, sdk.Cursor{Epoch: 7, Position: 5})
		all := follow(t, h, sdk.Beginning())
		wantLines(t, take(t, after), append([]string{"(15 evicted)"}, lines(21, 30)...)...)
		wantLines(t, take(t, all), append([]string{"(20 evicted)"}, lines(21, 30)...)...)
	})
}

func TestStorageThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h, f := followed(t, 3)
		s.setAway(true)
		wantLines(t, take(t, f))
		s.add(4)
		joining := follow(t, h, sdk.Cursor{Epoch: 7, Position: 1})
		wantLines(t, take(t, joining)) // it waits
		s.setAway(false)
		wantLines(t, take(t, f), lines(4, 7)...)
		wantLines(t, take(t, joining), lines(2, 7)...)

		s.setAway(true)
		synctest.Wait()
		s.Begin("foo")
		s.add(2)
		s.setAway(false)
		g := take(t, f)
		wantLines(t, g, "(0 lost)", "1", "2")
		if g.gaps[0].Exact || g.gaps[0].From.Cursor != (sdk.Cursor{Epoch: 7, Position: 7}) || g.gaps[0].To.Cursor != (sdk.Cursor{Epoch: 8}) {
			t.Errorf("gap %+v", g.gaps[0])
		}
	})
}

func TestDeletedLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, f := followed(t, 3)
		s.Begin("foo")
		wantLines(t, take(t, f))
		s.add(2)
		wantLines(t, take(t, f), "(0 deleted)", "1", "2")
	})
}

// TestLogThatIsGone: followers are told at once that the log is gone, and why, even before another
// one begins.
func TestLogThatIsGone(t *testing.T) {
	for _, lost := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, _, f := followed(t, 3)
			want := "(0 deleted)"
			if lost {
				want = "(0 lost)"
				s.setAway(true)
				wantLines(t, take(t, f))
				s.setAway(false)
			}
			if err := s.Delete(t.Context(), "foo"); err != nil {
				t.Fatal(err)
			}
			g := take(t, f)
			wantLines(t, g, want)
			if f.At().Cursor != sdk.Beginning() || g.gaps[0].Exact {
				t.Errorf("at %s, gap %+v", f.At(), g.gaps[0])
			}
			wantLines(t, take(t, f)) // nothing more
			s.add(2)
			wantLines(t, take(t, f), "1", "2")
		})
	}
}

// TestStaleChain: the chain still belongs to an older epoch than the one that the follower has
// read. The follower gets nothing of that epoch, and nothing twice.
func TestStaleChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFake()
		held := newHeld(s)
		held.hold.Store(true)
		h := newHub(t, held)
		first := follow(t, h, sdk.Beginning())
		s.add(5)
		wantLines(t, take(t, first), lines(1, 5)...) // they are read, not followed
		s.add(2)
		synctest.Wait() // the stream has fetched 6 and 7
		s.Begin("foo")
		s.add(3)
		f := follow(t, h, sdk.Beginning())
		wantLines(t, take(t, f), lines(1, 3)...)
		close(held.held)
		s.add(1)
		wantLines(t, take(t, f), "4")
		wantLines(t, take(t, first), "6", "7", "(0 deleted)", "1", "2", "3", "4")
	})
}

func TestStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFake()
		s.add(1)
		h, stop := runHub(t, s)
		waiting, away := follow(t, h, sdk.Beginning()), follow(t, h, sdk.Beginning())
		wantLines(t, take(t, waiting), "1")
		s.setAway(true)
		ended := make(chan error, 2)
		for _, f := range []*Follower{waiting, away} {
			go func() {
				_, err := f.Next(t.Context())
				ended <- err
			}()
		}
		synctest.Wait()
		began := time.Now()
		stop()
		for range 2 {
			if err := <-ended; !errors.Is(err, sdk.ErrStopping) {
				t.Errorf("a follower ended with %v", err)
			}
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %s", took)
		}
		if _, err := h.Follow("foo", read.Place{Cursor: sdk.Beginning()}); !errors.Is(err, sdk.ErrStopping) {
			t.Errorf("a new follower: %v", err)
		}
	})
}

func TestTooManyFollowers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t, newFake(), func(o *Options) { o.MaxFollowers = 2 })
		a, b := follow(t, h, sdk.Beginning()), follow(t, h, sdk.Beginning())
		if _, err := h.Follow("foo", read.Place{Cursor: sdk.Beginning()}); !errors.Is(err, ErrTooMany) {
			t.Errorf("a third of two: %v", err)
		}
		a.Close()
		b.Close()
		follow(t, h, sdk.Beginning()).Close()
	})
}

// TestRenderedOnce: each form of a page is made once for all followers.
func TestRenderedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFake()
		h := newHub(t, s)
		const n = 20
		made := 0
		var all [n]*Follower
		for i := range all {
			all[i] = follow(t, h, sdk.Beginning())
			wantLines(t, take(t, all[i]))
		}
		s.add(7)
		for _, f := range all {
			b, err := f.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			text, from := b.Rendered(1, func(p *read.Span) (text read.Rendering) {
				made++
				for i := range p.Entries {
					text.Bytes = append(text.Bytes, p.Entries[i].Message...)
					text.Ends = append(text.Ends, len(text.Bytes))
				}
				return text
			})
			if string(text.Bytes[from:]) != "1234567" || !slices.Equal(text.Ends, []int{1, 2, 3, 4, 5, 6, 7}) {
				t.Errorf("rendered %q, %v", text.Bytes[from:], text.Ends)
			}
		}
		if made != 1 {
			t.Errorf("made %d times for %d followers", made, n)
		}
	})
}

// TestNothingIsHeldBack: a batch that announces more is followed by another at once, even if it is
// empty. So a sender that collects larger pieces knows when to send.
func TestNothingIsHeldBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFake()
		h := newHub(t, s)
		s.add(readPage)
		f := follow(t, h, sdk.Beginning())
		began := time.Now()
		for more := true; more; {
			b, err := f.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			more = b.More
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %s", took)
		}
	})
}
