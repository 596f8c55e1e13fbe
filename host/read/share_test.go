package read

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/sdk"
)

// TestTurnsAreInOrder has five readers wait, one of whom leaves.
func TestTurnsAreInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(1)
		end, err := turns.take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var order []int
		var waiting sync.WaitGroup
		for i := range 5 {
			waiting.Go(func() {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if i == 2 {
					time.AfterFunc(time.Millisecond, cancel)
				}
				end, err := turns.take(ctx)
				if (err != nil) != (i == 2) {
					t.Errorf("%d: %v", i, err)
				}
				if err == nil {
					order = append(order, i) // has the only turn
					end(true)
				}
			})
			synctest.Wait()
		}
		time.Sleep(time.Second)
		end(true)
		waiting.Wait()
		if fmt.Sprint(order) != "[0 1 3 4]" || !turns.free.TryAcquire(1) {
			t.Errorf("the order was %v, or a turn was not given back", order)
		}
	})
}

// TestLedger has answers wait for room, and checks that none waits for ever.
func TestLedger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newMemory(100)
		first, err := l.Hold(t.Context(), 80)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := l.try(21); ok {
			t.Error("more is held than the limit")
		}
		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Hold(soon, 30); !errors.Is(err, sdk.ErrUnavailable) {
			t.Errorf("%v, want no room", err)
		}
		got := make(chan *Hold, 1)
		go func() {
			h, err := l.Hold(t.Context(), 60)
			if err != nil {
				t.Error(err)
			}
			got <- h
		}()
		synctest.Wait()
		first.Shrink(50)
		synctest.Wait()
		if len(got) > 0 {
			t.Error("the second answer got room that does not exist")
		}
		first.Shrink(10) // the rest is sent
		second := <-got
		first.Close()
		first.Close()
		if h, ok := l.try(41); ok || l.waiting != 0 {
			t.Errorf("%v beside 60 of 100, %d wait", h, l.waiting)
		}
		second.Close()
		if h, ok := l.try(100); !ok {
			t.Error("no room although nothing is held")
		} else {
			h.Close()
		}
	})
}

// blocked acts as a client that reads nothing. It records the deadline that it is given.
type blocked struct {
	http.ResponseWriter
	until time.Time
}

func (b *blocked) SetWriteDeadline(t time.Time) error { b.until = t; return nil }

// TestPaceOfAClient has one answer wait for the room that another client's answer takes.
func TestPaceOfAClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newMemory(1000)
		slow, _ := l.try(1000)
		b := &blocked{ResponseWriter: httptest.NewRecorder()}
		slow.send(http.NewResponseController(b))
		began := time.Now()
		slow.Extend(slow.control, leastRate)
		if want := patience + time.Second; b.until.Sub(began) != want {
			t.Errorf("it has %s, want %s", b.until.Sub(began), want)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Hold(ctx, 1); !errors.Is(err, sdk.ErrUnavailable) {
			t.Error(err)
		}
		if want := busyPatience + time.Second*sendBytes/leastBusyRate; b.until.Sub(began) != want {
			t.Errorf("while another waits it has %s, want %s", b.until.Sub(began), want)
		}
		slow.Close()
	})
}

// idle reports whether answers hold none of the memory for answers.
func (l *Logs) idle() bool {
	large, all := l.largeBytes.try(largeBytes)
	small, too := l.smallBytes.try(smallBytes)
	if all {
		large.Close()
	}
	if too {
		small.Close()
	}
	return all && too && len(l.largeBytes.sending) == 0 && len(l.smallBytes.sending) == 0
}

// slowStorage has a long log, whose reads each take a while, and a short one.
func slowStorage(takes time.Duration, now, most *atomic.Int32) *storagefake.Storage {
	s := &storagefake.Storage{Page: 500}
	s.Before = func(ctx context.Context, c storagefake.Call) error {
		if c.App != "long" {
			return nil
		}
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		select {
		case <-time.After(takes):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.Add("long", numbered(5000)...)
	s.Add("short", numbered(100)...)
	return s
}

// numbered returns n entries whose text is their number.
func numbered(n int) []sdk.Entry {
	all := make([]sdk.Entry, n)
	for i := range all {
		all[i] = sdk.Entry{Time: time.Unix(0, 0).UTC(), Process: "web", Message: fmt.Sprint(i + 1)}
	}
	return all
}

// TestManyReadersOfALongLog has more readers than there is memory or time for. Their memory is
// bounded, refusals come in time, and readers of short logs do not wait.
func TestManyReadersOfALongLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		r := New(Options{Storage: slowStorage(10*time.Millisecond, &now, &most), Timeout: 3 * time.Second})
		r.gather = 256 << 10 // longer texts are read while they are sent
		var right, refused atomic.Int32
		var readers sync.WaitGroup
		reader := func(open func() (interface{ Close() }, error)) {
			readers.Go(func() {
				began := time.Now()
				a, err := open()
				if took := time.Since(began); took > r.opts.Timeout {
					t.Errorf("answered after %s", took)
				}
				if err != nil {
					if sdk.HTTPStatus(err) != http.StatusServiceUnavailable {
						t.Error(err)
					}
					refused.Add(1)
					return
				}
				right.Add(1)
				time.Sleep(500 * time.Millisecond) // it is being sent
				a.Close()
				a.Close() // closing it again does nothing
			})
		}
		for range 60 {
			reader(func() (interface{ Close() }, error) { return r.Open(t.Context(), Query{App: "long", Lines: -1}) })
			reader(func() (interface{ Close() }, error) {
				return r.Open(t.Context(), Query{App: "long", Lines: -1, After: Place{Cursor: sdk.Beginning()}})
			})
		}
		for range 20 {
			text, err := r.OpenText(t.Context(), "short", -1)
			if err != nil {
				t.Errorf("a short log: %v", err)
				continue
			}
			text.Close()
		}
		readers.Wait()
		if right.Load() < 8 || refused.Load() == 0 || right.Load()+refused.Load() != 120 {
			t.Errorf("%d were answered, %d refused, of 120", right.Load(), refused.Load())
		}
		if n := int(most.Load()); n > r.smallTurns.atOnce+r.largeTurns.atOnce+r.pageTurns.atOnce {
			t.Errorf("%d reads at once", n)
		}
		// Logs has learnt how long a turn takes: a caller with less time is refused at once.
		for range r.largeTurns.atOnce {
			end, _ := r.largeTurns.take(t.Context())
			defer end(true)
		}
		hasty, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		began := time.Now()
		if _, err := r.largeTurns.take(hasty); !errors.Is(err, ErrBusy) || time.Since(began) > 0 {
			t.Errorf("with a millisecond left: %v after %s, want a refusal at once", err, time.Since(began))
		}
		for app, lines := range map[string]int{"short": -1, "long": 10} {
			if a, err := r.Open(t.Context(), Query{App: app, Lines: lines}); err != nil {
				t.Errorf("%s: %v while long answers have all turns", app, err)
			} else {
				a.Close()
			}
		}
		if !r.idle() {
			t.Error("something is held at the end")
		}
	})
}

// TestSearchIsBounded: a search that finds nothing is given up. Lines found after a cursor are not
// lost. A client that leaves ends its search.
func TestSearchIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &storagefake.Storage{Page: 100}
		s.Before = func(ctx context.Context, _ storagefake.Call) error {
			select {
			case <-time.After(250 * time.Millisecond): // a page that passes through the filter
			case <-ctx.Done():
			}
			return ctx.Err()
		}
		s.Add("foo", numbered(20_000)...)
		r := New(Options{Storage: slow{Storage: s}, Timeout: 2500 * time.Millisecond})
		began := time.Now()
		_, err := r.Open(t.Context(), Query{App: "foo", Lines: 10, Filter: sdk.Filter{Include: []string{"nothing"}}})
		if took := time.Since(began); !errors.Is(err, ErrSearch) || took > searchTime+time.Second {
			t.Errorf("after %s: %v", took, err)
		}
		a, err := r.Open(t.Context(), Query{App: "foo", Lines: -1, After: Place{Cursor: sdk.Beginning()}, Filter: sdk.Filter{Include: []string{"^7$"}}})
		if err != nil {
			t.Fatal(err)
		}
		found := 0
		for err == nil {
			var b Batch
			if b, err = a.Next(t.Context()); err == nil {
				found += len(b.Entries)
			}
		}
		if at := a.Log().At(); !errors.Is(err, ErrSearch) || found != 1 || at.Position < 500 {
			t.Errorf("%d found up to %s: %v", found, at, err)
		}
		a.Close()
		ctx, leave := context.WithTimeout(t.Context(), 400*time.Millisecond)
		defer leave()
		began = time.Now()
		if _, err := r.Open(ctx, Query{App: "foo", Lines: 10, Filter: sdk.Filter{Include: []string{"nothing"}}}); err == nil || time.Since(began) > 400*time.Millisecond {
			t.Errorf("a client that left: %v after %s", err, time.Since(began))
		}
	})
}

// TestSearchIsBoundedByWork: the processor time that a storage reports counts, not how long its
// pages took.
func TestSearchIsBoundedByWork(t *testing.T) {
	for _, tc := range []struct {
		work, took time.Duration
		want       error
	}{
		{work: time.Millisecond, took: 250 * time.Millisecond},
		{work: 200 * time.Millisecond, took: time.Millisecond, want: ErrSearch},
		{took: 250 * time.Millisecond, want: ErrSearch},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &storagefake.Storage{Page: 100}
			s.Before = func(context.Context, storagefake.Call) error {
				time.Sleep(tc.took)
				return nil
			}
			s.Add("foo", numbered(2000)...)
			r := New(Options{Storage: slow{s, tc.work}, Timeout: 2500 * time.Millisecond})
			a, err := r.Open(t.Context(), Query{App: "foo", Lines: 10, Filter: sdk.Filter{Include: []string{"^7$"}}})
			if !errors.Is(err, tc.want) {
				t.Errorf("pages of %s that took %s: %v", tc.work, tc.took, err)
			}
			if err == nil {
				a.Close()
			}
		})
	}
}

// TestSearchIsSharedByAnswers: several answers to one request, together with their caller, take no
// more than one answer may.
func TestSearchIsSharedByAnswers(t *testing.T) {
	s := &storagefake.Storage{Page: 100}
	s.Add("foo", numbered(500)...)
	r := New(Options{Storage: slow{s, 200 * time.Millisecond}, Timeout: 2500 * time.Millisecond})
	var search Search
	ask := func() error {
		a, err := r.Open(t.Context(), Query{App: "foo", Lines: -1, Filter: sdk.Filter{Include: []string{"7"}}, Search: &search})
		if err == nil {
			a.Close()
		}
		return err
	}
	if err := ask(); err != nil {
		t.Fatalf("the first: %v", err)
	}
	work := func() error { // takes processor time, unlike a wait
		for began := time.Now(); time.Since(began) < 20*time.Millisecond; {
		}
		return nil
	}
	before := search.spent.Load()
	if err := r.Spend(&search, work); err != nil || search.spent.Load() == before {
		t.Errorf("the caller's: %v after %s", err, time.Duration(search.spent.Load()))
	}
	before = search.spent.Load()
	if err := r.Spend(&search, func() error { time.Sleep(50 * time.Millisecond); return nil }); err != nil || search.spent.Load()-before > int64(20*time.Millisecond) {
		t.Errorf("a wait: %v, and counts %s", err, time.Duration(search.spent.Load()-before))
	}
	if err := ask(); !errors.Is(err, ErrSearch) {
		t.Errorf("the second: %v", err)
	}
	if err := r.Spend(&search, work); !errors.Is(err, ErrSearch) {
		t.Errorf("the caller's, after that: %v", err)
	}
}

// slow wraps a storage that answers a filtered read with a page that announces more. A storagefake
// alone searches on until it has found something.
type slow struct {
	*storagefake.Storage
	work time.Duration // of each page; 0 if it reports none
}

func (s slow) Read(ctx context.Context, o sdk.ReadOptions) (sdk.Page, error) {
	filter := o.Filter
	o.Filter = sdk.Filter{}
	if !filter.IsZero() {
		o.Limit = 100
	}
	p, err := s.Storage.Read(ctx, o)
	if err != nil || filter.IsZero() {
		return p, err
	}
	m, err := filter.Compile()
	if err != nil {
		return p, err
	}
	all := p.Entries
	p.Entries = nil
	for i := range all {
		if ok, _ := m.Match(ctx, &all[i]); ok {
			p.Entries = append(p.Entries, all[i])
		}
	}
	p.More, p.Work = len(all) > 0, s.work
	return p, nil
}
