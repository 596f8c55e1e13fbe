package follow

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/internal/testrun"
	"github.com/deis/logger/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake wraps a storage with one app, whose lines are their positions.
type fake struct{ *storagefake.Storage }

func newFake() *fake { return &fake{new(storagefake.Storage)} }

// add appends n entries, numbered by their positions.
func (s *fake) add(n int) {
	_, last, _ := s.Kept("foo")
	entries := make([]sdk.Entry, n)
	for i := range entries {
		entries[i].Message = fmt.Sprint(last + uint64(i) + 1)
	}
	s.Add("foo", entries...)
}

func (s *fake) setAway(away bool) {
	if away {
		s.Fail(sdk.ErrUnavailable)
	} else {
		s.Fail(nil)
	}
}

// newHub runs a hub until the test ends.
func newHub(t *testing.T, s Storage, change ...func(*Options)) *Hub {
	t.Helper()
	h, _ := runHub(t, s, change...)
	return h
}

// runHub runs a hub until stop is called, or the test ends.
func runHub(t *testing.T, s Storage, change ...func(*Options)) (h *Hub, stop func()) {
	t.Helper()
	o := Options{
		Storage: s, Logger: hclog.NewNullLogger(), MaxFollowers: 1000, BufferEntries: 100, BufferBytes: 1 << 20, ReadTimeout: time.Second,
	}
	for _, f := range change {
		f(&o)
	}
	h = New(o)
	return h, testrun.Start(t, h.Run)
}

// followed returns a storage with n entries, which a follower of a hub has received.
func followed(t *testing.T, n int) (*fake, *Hub, *Follower) {
	t.Helper()
	s := newFake()
	h := newHub(t, s)
	f := follow(t, h, sdk.Beginning())
	s.add(n)
	wantLines(t, take(t, f), lines(1, n)...)
	return s, h, f
}

// heldFollow wraps a storage. If hold is set, its Follow yields nothing before held is closed.
type heldFollow struct {
	*fake
	hold atomic.Bool
	held chan struct{}
}

func newHeld(s *fake) *heldFollow { return &heldFollow{fake: s, held: make(chan struct{})} }

func (s *heldFollow) Follow(ctx context.Context, app string, after sdk.Cursor, yield func(sdk.Page) error) error {
	return s.fake.Follow(ctx, app, after, func(p sdk.Page) error {
		if s.hold.Load() {
			select {
			case <-s.held:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return yield(p)
	})
}

// got holds what a follower received: the messages, and gaps in their places.
type got struct {
	lines []string
	gaps  []read.Gap
}

// take returns what the follower can get now, within a synctest bubble.
func take(t *testing.T, f *Follower) (g got) {
	t.Helper()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		b, err := f.Next(ctx)
		cancel()
		if err != nil {
			return g
		}
		for _, gap := range b.Gaps {
			g.gaps = append(g.gaps, gap)
			g.lines = append(g.lines, fmt.Sprintf("(%d %s)", gap.Count, gap.Reason))
		}
		for i := range b.Entries {
			g.lines = append(g.lines, b.Entries[i].Message)
			if p := fmt.Sprint(b.Place(i).Position); p != b.Entries[i].Message {
				t.Errorf("entry %s has position %s", b.Entries[i].Message, p)
			}
		}
	}
}

// lines returns the numbers from first to last.
func lines(first, last int) (all []string) {
	for i := first; i <= last; i++ {
		all = append(all, fmt.Sprint(i))
	}
	return all
}

func wantLines(t *testing.T, g got, want ...string) {
	t.Helper()
	if !slices.Equal(g.lines, want) {
		t.Errorf("got %.300s, want %.300s", fmt.Sprint(g.lines), fmt.Sprint(want))
	}
}
