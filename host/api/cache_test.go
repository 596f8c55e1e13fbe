package api

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/host/plugin"
	"github.com/deis/logger/sdk"
)

func ask(a *API, app string, limit int) string {
	w := do(a, http.MethodGet, fmt.Sprintf("/logs/%s?log_lines=%d", app, limit))
	if w.Code != http.StatusOK && w.Code != http.StatusNoContent {
		return fmt.Sprint(w.Code, w.Body)
	}
	return w.Body.String()
}

func anyLimit() int {
	all := []int{-1, 0, 1, 2, 3, 7, 10, 20, 29, 30, 31, 100, math.MaxInt, 1 + rand.IntN(40)}
	return all[rand.IntN(len(all))]
}

// TestCacheTellsTheTruth changes logs in every way, and compares each answer with that
// of an API that never saw them before.
func TestCacheTellsTheTruth(t *testing.T) {
	for name, change := range map[string]func(*pastStorage, *API){
		"plain":      func(*pastStorage, *API) {},
		"silent":     func(s *pastStorage, _ *API) { s.silent = true },
		"deaf":       func(s *pastStorage, _ *API) { s.deaf = true },
		"small page": func(s *pastStorage, _ *API) { s.pageSize = 200 },
		"no room":    func(_ *pastStorage, a *API) { a.cache.limit = 5000 },
		"numbered":   func(s *pastStorage, _ *API) { s.numbered = true },
	} {
		t.Run(name, func(t *testing.T) {
			s := newPastStorage(30)
			a := newAPI(s)
			change(s, a)
			for i := range 6000 {
				app := fmt.Sprint("app-", rand.IntN(3))
				did := ""
				switch n := rand.IntN(50); {
				case n < 15:
					did = "append"
					s.append(app, 1+rand.IntN(4), rand.IntN(30), fmt.Sprint(i))
				case n < 17:
					did = "append many"
					s.append(app, rand.IntN(90), 0, fmt.Sprint(i))
				case n < 22:
					did = "evict"
					s.evict(app, rand.IntN(5))
				case n < 23:
					did = "evict all"
					s.evict(app, 100)
				case n < 24:
					did = "delete"
					_ = s.Delete(t.Context(), app)
				case n < 25:
					did = "delete by request"
					do(a, http.MethodDelete, "/logs/"+app)
				case n < 27:
					did = "go back"
					s.goBack(app, 1+rand.IntN(5))
				}
				limit := anyLimit()
				if got, want := ask(a, app, limit), ask(newAPI(s), app, limit); got != want {
					t.Fatalf("step %d, %s, %d lines: got\n%swant\n%s", i, did, limit, got, want)
				}
				audit(t, a.cache)
			}
		})
	}
}

// audit checks what the cache says of itself.
func audit(t *testing.T, c *cache) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	bytes := 0
	for e := c.order.Front(); e != nil; e = e.Next() {
		r := e.Value.(*run)
		bytes += r.size()
		if r.text.gone || c.runs[r.app] != e {
			t.Error("a run is in the order alone")
		}
	}
	if bytes != c.bytes || bytes > c.limit || len(c.runs) != c.order.Len() || c.lingering < 0 {
		t.Errorf("%d bytes are %d, limit %d; %d runs, %d in order; %d lingering", c.bytes, bytes, c.limit, len(c.runs), c.order.Len(), c.lingering)
	}
}

// TestCacheUnderChange asks while logs grow, lose their oldest and are deleted: every
// answer is what there was at one moment between request and answer.
func TestCacheUnderChange(t *testing.T) {
	for i, limit := range []int{cacheBytes, 20_000, cacheBytes} {
		s := newPastStorage(30)
		s.numbered = i == 2
		a := newAPI(s)
		a.cache.limit = limit
		var done atomic.Bool
		var changes, readers sync.WaitGroup
		for range 2 {
			changes.Go(func() {
				for range 4000 {
					app := fmt.Sprint("app-", rand.IntN(3))
					switch n := rand.IntN(100); {
					case n < 3:
						_ = s.Delete(t.Context(), app)
					case n < 5:
						do(a, http.MethodDelete, "/logs/"+app)
					case n < 15:
						s.evict(app, rand.IntN(10))
					default:
						s.append(app, 1+rand.IntN(3), rand.IntN(60), "")
					}
				}
			})
		}
		var answers, hits atomic.Int64
		for range 4 {
			readers.Go(func() {
				for !done.Load() {
					app, limit := fmt.Sprint("app-", rand.IntN(3)), anyLimit()
					if limit == 0 {
						continue
					}
					from := s.moment(app)
					body := ask(a, app, limit)
					to := s.moment(app)
					if !s.possible(app, limit, body, from, to) {
						t.Errorf("%d lines of %s, never so between %d and %d: %q", limit, app, from, to, body)
						return
					}
					answers.Add(1)
				}
			})
		}
		changes.Wait()
		done.Store(true)
		readers.Wait()
		audit(t, a.cache)
		for _, o := range s.reads {
			if !o.Known.IsZero() {
				hits.Add(1)
			}
		}
		if a.cache.lingering != 0 {
			t.Errorf("%d bytes linger", a.cache.lingering)
		}
		if hits.Load() == 0 || answers.Load() == 0 {
			t.Errorf("%d answers, %d reads of what is new", answers.Load(), hits.Load())
		}
	}
}

// TestCacheReadsWhatIsNew: once lines are known, a request reads the last of them again,
// and what came since.
func TestCacheReadsWhatIsNew(t *testing.T) {
	s := newPastStorage(1000)
	s.append("foo", 500, 0, "")
	a := newAPI(s)
	for i, tc := range []struct{ limit, grow, sent int }{
		{100, 0, 100},
		{100, 0, 1},
		{50, 0, 1},
		{1, 0, 1},
		{1, 3, 4},
		{100, 1, 2},
		{200, 0, 200}, // more than is known
		{100, 0, 1},
		{-1, 0, 505 - 1},
		{-1, 0, 1},
		{math.MaxInt, 0, 1},
		{600, 2, 3},
		{1, 900, 64}, // too much is new
		{1, 0, 1},
	} {
		s.append("foo", tc.grow, 0, "")
		before := s.sent
		body := ask(a, "foo", tc.limit)
		if sent := s.sent - before; sent != tc.sent {
			t.Errorf("step %d: %d entries were read, want %d", i, sent, tc.sent)
		}
		if now := s.moment("foo"); !s.possible("foo", tc.limit, body, now, now) {
			t.Errorf("step %d: %q", i, body)
		}
	}
}

// TestCacheAsksNothingInVain: a storage that can tell that nothing changed is not asked
// again, and is after each change of any log.
func TestCacheAsksNothingInVain(t *testing.T) {
	s := newPastStorage(1000)
	s.numbered = true
	s.append("foo", 500, 0, "")
	a := newAPI(s)
	for i, tc := range []struct{ limit, grow, reads int }{
		{100, 0, 1},
		{100, 0, 0},
		{7, 0, 0},
		{100, 2, 1},
		{100, 0, 0},
		{200, 0, 1}, // more than is known
		{200, 0, 0},
		{-1, 0, 2}, // how many there are, and all of them
		{-1, 0, 0},
		{math.MaxInt, 0, 0},
		{1, 0, 0},
	} {
		if tc.grow > 0 {
			s.append("foo", tc.grow, 0, "")
		}
		before := len(s.reads)
		body := ask(a, "foo", tc.limit)
		if reads := len(s.reads) - before; reads != tc.reads {
			t.Errorf("step %d: %d reads, want %d", i, reads, tc.reads)
		}
		if now := s.moment("foo"); !s.possible("foo", tc.limit, body, now, now) {
			t.Errorf("step %d: %q", i, body)
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	s := newPastStorage(1000)
	a := newAPI(s)
	a.cache.limit = 100_000
	for i := range 100 {
		app := fmt.Sprint("app-", i)
		s.append(app, 100, 60, "")
		ask(a, app, -1)
		audit(t, a.cache)
	}
	if n := len(a.cache.runs); n < 5 || n > 20 || a.cache.runs["app-99"] == nil {
		t.Errorf("%d runs", n)
	}
	// One that is larger than what is kept is answered, and grows out of the cache.
	a.cache.limit = cacheBytes
	s.append("large", 1, runBytes+1, "")
	if got := len(ask(a, "large", -1)); got <= runBytes || a.cache.runs["large"] != nil {
		t.Errorf("%d bytes", got)
	}
	for range 50 {
		s.append("grows", 1, runBytes/20, "")
		now := s.moment("grows")
		if body := ask(a, "grows", -1); !s.possible("grows", -1, body, now, now) {
			t.Errorf("%d bytes", len(body))
		}
		audit(t, a.cache)
	}
	if a.cache.runs["grows"] != nil {
		t.Error("a run is larger than any should be")
	}
	// Who asks for few lines has not all that ever came kept for it.
	for range 3000 {
		s.append("busy", 1, 100, "")
		ask(a, "busy", 10)
	}
	if r := a.cache.runs["busy"].Value.(*run); r.size() > 40_000 {
		t.Errorf("10 lines take %d bytes", r.size())
	}
}

// TestSlowClientsAndTheCache: what slow clients hold of runs that are gone is bounded,
// and given back.
func TestSlowClientsAndTheCache(t *testing.T) {
	s := newPastStorage(100)
	a := newAPI(s)
	a.cache.limit = 200_000
	var held []lines
	for i := range 200 {
		s.append("foo", 1, 10_000, "")
		text, err := a.newest(t.Context(), "foo", 5)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		text.send(w)
		if now := s.moment("foo"); !s.possible("foo", 5, w.Body.String(), now, now) {
			t.Fatalf("answer %d is wrong", i)
		}
		held = append(held, text)
		if a.cache.lingering > a.cache.limit+runBytes {
			t.Fatalf("%d bytes linger", a.cache.lingering)
		}
	}
	if _, cached := held[199].(*excerpt); cached {
		t.Error("the cache gives more while so much lingers")
	}
	for _, text := range held {
		text.release()
	}
	if a.cache.lingering != 0 {
		t.Errorf("%d bytes linger", a.cache.lingering)
	}
	if text, err := a.newest(t.Context(), "foo", 5); err != nil {
		t.Error(err)
	} else if _, cached := text.(*excerpt); !cached {
		t.Error("the cache gives nothing any more")
	} else {
		text.release()
	}
}

// TestCacheNeedsTheStorage kills the storage's process: what is known is not answered
// while nobody can say that it holds, and is again when another process can.
func TestCacheNeedsTheStorage(t *testing.T) {
	s := memoryPlugin(t, 1000)
	storage := plugin.NewStorage(s)
	fill(t, storage, 1, 1000)
	a := newAPI(storage)
	want := ask(a, "app-00", 100)
	for range 3 {
		if got := ask(a, "app-00", 100); got != want || strings.Count(got, "\n") != 100 || len(a.cache.runs) != 1 {
			t.Fatalf("got %q", got)
		}
		inst, err := s.Current()
		if err != nil {
			t.Fatal(err)
		}
		_ = syscall.Kill(inst.PID, syscall.SIGKILL)
		<-inst.Gone()
		if w := do(a, http.MethodGet, "/logs/app-00"); w.Code != http.StatusServiceUnavailable {
			t.Errorf("without a storage: %d", w.Code)
		}
		ready, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		for again := inst; again == inst && err == nil; {
			again, err = s.Wait(ready)
		}
		cancel()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestSameLastEntry deletes a log and begins another whose last entry looks like that of
// the one before, at the same position.
func TestSameLastEntry(t *testing.T) {
	s := newPastStorage(10)
	a := newAPI(s)
	for i := range 3 {
		s.append("foo", 3, 0, fmt.Sprint(i))
		s.logs["foo"].entries[2].Message = "the end"
		if got, want := ask(a, "foo", 10), ask(newAPI(s), "foo", 10); got != want {
			t.Fatalf("life %d: got\n%swant\n%s", i, got, want)
		}
		if err := s.Delete(t.Context(), "foo"); err != nil {
			t.Fatal(err)
		}
	}
}

// TestReadersOfOneRun has two readers bring the same entries, and one that comes late.
func TestReadersOfOneRun(t *testing.T) {
	s := newPastStorage(1000)
	s.append("foo", 10, 0, "")
	c := newAPI(s).cache
	read := func(o sdk.ReadOptions) *sdk.Page {
		o.App = "foo"
		page, err := s.Read(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		return &page
	}
	text := func(e *excerpt) string {
		if e == nil {
			return "none"
		}
		defer e.release()
		return string(e.bytes)
	}
	c.keep("foo", 5, read(sdk.ReadOptions{Limit: 5}), 0, false)
	has, ok := c.known("foo", 5, 0)
	if !ok {
		t.Fatal("nothing is known")
	}
	from := sdk.Cursor{Epoch: has.end.Epoch, Position: has.end.Position - 1}
	early := read(sdk.ReadOptions{Limit: 64, Known: from})
	s.append("foo", 2, 0, "")
	late := read(sdk.ReadOptions{Limit: 64, Known: from})
	s.append("foo", 2, 0, "")
	last := read(sdk.ReadOptions{Limit: 64, Known: from})
	for i, tc := range []struct {
		page *sdk.Page
		end  int
	}{{late, 12}, {late, 12}, {early, 10}, {last, 14}, {late, 12}, {early, 10}} {
		want := ""
		for n := tc.end - 4; n <= tc.end; n++ {
			want += fmt.Sprintf("2017-07-14T02:40:%02d+00:00 foo[.]: 1 %d \n", 0, n)
		}
		got := text(c.join(has.run, 5, tc.page, 0))
		if seconds := strings.NewReplacer(":40:01+", ":40:00+", ":40:02+", ":40:00+"); seconds.Replace(got) != want {
			t.Errorf("reader %d: got\n%swant\n%s", i, got, want)
		}
	}
	// What the run has let go is nobody's answer.
	if e := has.run.excerpt(c, has.run.first-1, has.run.first); e != nil {
		t.Errorf("got %q", e.bytes)
	}
	c.forget("foo")
	if e := c.join(has.run, 5, last, 0); e != nil {
		t.Error("a run that was forgotten gives answers")
	}
}
