package many

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/host/follow"
	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/internal/testrun"
	"github.com/deis/logger/sdk"
)

// follower reads a tail over a fake storage.
type follower struct {
	*testing.T
	*Tail
}

func tailOf(t *testing.T, s *storagefake.Storage, values ...string) *follower {
	t.Helper()
	hub := follow.New(follow.Options{
		Storage: s, Logger: hclog.NewNullLogger(), MaxFollowers: 1000, BufferEntries: 10_000, BufferBytes: 1 << 20, ReadTimeout: time.Second,
	})
	testrun.Start(t, hub.Run)
	catalog := NewCatalog(s, hclog.NewNullLogger())
	catalog.every = 10 * time.Millisecond
	q := Query{Selection: selection(t, values...), Lines: 0}
	h, err := newHistories(s).Open(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, _, err := h.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Fatalf("no line was asked for: %v", err)
	}
	tail, err := h.Follow(hub, catalog, q.Selection, true)
	if err != nil {
		t.Fatal(err)
	}
	tail.Begin(h)
	t.Cleanup(tail.Close)
	return &follower{t, tail}
}

// lines returns the next n lines, sorted.
func (f *follower) lines(n int) (all []string) {
	f.Helper()
	ctx, cancel := context.WithTimeout(f.Context(), 30*time.Second)
	defer cancel()
	for len(all) < n {
		app, b, err := f.Next(ctx)
		if err != nil {
			f.Fatalf("after %q: %v", all, err)
		}
		for i := range b.Entries {
			all = append(all, app+" "+b.Entries[i].Message)
		}
	}
	slices.Sort(all)
	return all
}

// TestStuckAppHoldsUpNoOther: while reads of one app hang, lines of the others come.
func TestStuckAppHoldsUpNoOther(t *testing.T) {
	var stuck atomic.Bool
	s := &storagefake.Storage{Polled: true, Before: func(ctx context.Context, c storagefake.Call) error {
		if stuck.Load() && c.Opts.App == "stuck" {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}}
	for _, app := range []string{"a", "b", "stuck"} {
		s.Add(app, sdk.Entry{Message: "old"})
	}
	f := tailOf(t, s, "a", "b", "stuck", "new-*")
	stuck.Store(true)
	for n := range 3 {
		for _, app := range []string{"a", "b", "stuck", "new-1"} {
			s.Add(app, sdk.Entry{Message: fmt.Sprint(n)})
		}
	}
	if got := fmt.Sprint(f.lines(9)); got != "[a 0 a 1 a 2 b 0 b 1 b 2 new-1 0 new-1 1 new-1 2]" {
		t.Errorf("got %s", got)
	}
	stuck.Store(false)
	if got := fmt.Sprint(f.lines(3)); got != "[stuck 0 stuck 1 stuck 2]" {
		t.Errorf("got %s", got)
	}
}

// TestAppsThatComeAndGo follows 50 apps that a pattern selects, while each is deleted and begins
// again. Each line comes once, except lines that were deleted before anybody read them.
func TestAppsThatComeAndGo(t *testing.T) {
	s := &storagefake.Storage{}
	f := tailOf(t, s, "app-*")
	const apps = 50
	var want []string
	for round := range 3 {
		for i := range apps {
			app := fmt.Sprintf("app-%02d", i)
			s.Add("other"+app, sdk.Entry{Message: "of nobody"})
			s.Add(app, sdk.Entry{Message: fmt.Sprint(round)})
			want = append(want, fmt.Sprintf("%s %d", app, round))
		}
		got := f.lines(apps)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("round %d: got %q, want %q", round, got, want)
		}
		want = nil
		for i := range apps {
			if err := s.Delete(t.Context(), fmt.Sprintf("app-%02d", i)); err != nil {
				t.Fatal(err)
			}
		}
		gone := map[string]bool{}
		for len(gone) < apps {
			app, b, err := f.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(b.Entries) > 0 || len(b.Gaps) > 0 && b.Gaps[0].Reason != "deleted" {
				t.Fatalf("round %d: %+v", round, b)
			}
			if len(b.Gaps) > 0 {
				gone[app] = true
			}
		}
	}
	// Nothing is kept of apps that are gone.
	deadline := time.Now().Add(20 * time.Second)
	for len(f.members) > 0 && time.Now().Before(deadline) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, _, _ = f.Next(ctx)
		cancel()
	}
	if len(f.members) > 0 || !f.Live() {
		t.Errorf("%d apps are still followed, live: %t", len(f.members), f.Live())
	}
}

// TestQuietTailSleeps: a member of a tail with an until wakes until it is live, and after that only
// for lines.
func TestQuietTailSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &storagefake.Storage{}
		s.Add("a", sdk.Entry{Message: "old"})
		hub := follow.New(follow.Options{
			Storage: s, Logger: hclog.NewNullLogger(), MaxFollowers: 10, BufferEntries: 100, BufferBytes: 1 << 20, ReadTimeout: time.Second,
		})
		hour, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		q := Query{Selection: selection(t, "a")}
		h, err := newHistories(s).Open(hour, q)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		_, _, _ = h.Next(hour) // reads to the end
		tail, err := h.Follow(hub, NewCatalog(s, hclog.NewNullLogger()), q.Selection, true)
		if err != nil {
			t.Fatal(err)
		}
		m := tail.members["a"]
		m.follower.Begin(h.sources[0].log)
		for n := 0; !m.live.Load(); n++ {
			if tail.follow(hour, m); n > 3 {
				t.Fatal("it does not become live")
			}
		}
		began := time.Now()
		if tail.follow(hour, m); time.Since(began) < time.Hour/2 {
			t.Errorf("it woke after %s, with no line", time.Since(began))
		}
		tail.Close()
		_ = hub.Run(canceled(t))
	})
}

// TestTailStopsWithItsHub even if it follows nothing.
func TestTailStopsWithItsHub(t *testing.T) {
	f := tailOf(t, &storagefake.Storage{}, "nobody-*")
	go f.hub.Run(canceled(t)) //nolint:errcheck // it has none
	if _, _, err := f.Next(t.Context()); !errors.Is(err, sdk.ErrStopping) {
		t.Errorf("%v", err)
	}
}

func canceled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
