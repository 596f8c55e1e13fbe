package follow

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/deis/logger/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a storage of one app, in memory, that a test can take away.
type fake struct {
	follows bool // it has a Follow

	mu      sync.Mutex
	epoch   uint64
	first   uint64
	entries []sdk.Entry
	away    bool
	changed chan struct{} // closed with any change
	open    int           // Follows under way
	opened  int           // ever
	reads   int
}

func newFake() *fake { return &fake{follows: true, first: 1, changed: make(chan struct{})} }

// change does something to the storage and wakes who follows.
func (s *fake) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	close(s.changed)
	s.changed = make(chan struct{})
}

// add appends n entries, numbered as their positions.
func (s *fake) add(n int) {
	s.change(func() {
		if s.epoch == 0 {
			s.epoch = 7
		}
		for range n {
			s.entries = append(s.entries, sdk.Entry{Message: fmt.Sprint(s.first + uint64(len(s.entries)))})
		}
	})
}

// keep leaves the newest n.
func (s *fake) keep(n int) {
	s.change(func() {
		gone := max(0, len(s.entries)-n)
		s.entries, s.first = slices.Clone(s.entries[gone:]), s.first+uint64(gone)
	})
}

// begin begins another log.
func (s *fake) begin() {
	s.change(func() { s.epoch, s.first, s.entries = s.epoch+1, 1, nil })
}

func (s *fake) setAway(away bool) { s.change(func() { s.away = away }) }

func (s *fake) Read(ctx context.Context, o sdk.ReadOptions) (sdk.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads++
	switch {
	case ctx.Err() != nil:
		return sdk.Page{}, ctx.Err()
	case s.away:
		return sdk.Page{}, sdk.ErrUnavailable
	}
	page := sdk.Page{Epoch: s.epoch, First: s.first}
	from, to := 0, len(s.entries)
	limit := o.Limit
	if limit < 0 {
		limit = math.MaxInt
	}
	switch {
	case o.After.IsZero():
		from = max(0, to-limit)
	case o.After.Epoch == s.epoch && o.After.Position >= s.first:
		from = int(min(uint64(to), o.After.Position-s.first+1))
	}
	if to-from > limit {
		to = from + limit
	}
	page.First += uint64(from)
	page.Entries = slices.Clone(s.entries[from:to])
	return page, nil
}

func (s *fake) Follow(ctx context.Context, app string, after sdk.Cursor, yield func(sdk.Page) error) error {
	if !s.follows {
		return sdk.ErrUnsupported
	}
	s.mu.Lock()
	s.open++
	s.opened++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
	}()
	wake := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for {
			s.mu.Lock()
			changed := s.changed
			s.mu.Unlock()
			select {
			case wake <- struct{}{}:
			case <-ctx.Done():
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return sdk.FollowByReading(ctx, s, app, after, wake, yield)
}

func (s *fake) followed() (open, opened int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open, s.opened
}

// newHub makes a hub that stops with the test.
func newHub(t *testing.T, s Storage, change ...func(*Options)) (h *Hub, stop func()) {
	t.Helper()
	o := Options{
		Storage: s, Logger: hclog.NewNullLogger(), MaxFollowers: 1000, BufferEntries: 100, BufferBytes: 1 << 20, ReadTimeout: time.Second,
	}
	for _, f := range change {
		f(&o)
	}
	h = New(o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = h.Run(ctx)
	}()
	stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(stop)
	return h, stop
}

// got is what a follower was given: the messages, and the gaps in their places.
type got struct {
	lines []string
	gaps  []Gap
}

// take gets what there is for the follower now, within a synctest bubble.
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
			if p := fmt.Sprint(b.Cursor(i).Position); p != b.Entries[i].Message {
				t.Errorf("entry %s has position %s", b.Entries[i].Message, p)
			}
		}
	}
}

// lines are the numbers from first to last.
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
