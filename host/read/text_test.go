package read

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

// text returns an answer of /logs.
func text(t *testing.T, r *Logs, lines int) string {
	t.Helper()
	a, err := r.OpenText(t.Context(), "foo", lines)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	w := httptest.NewRecorder()
	if err := a.Send(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if size, known := a.Size(); known && size != w.Body.Len() {
		t.Errorf("%d bytes are %d", size, w.Body.Len())
	}
	return w.Body.String()
}

// wantText returns the kept lines, rendered.
func wantText(s *storagefake.Storage, lines int) string {
	_, _, kept := s.Kept("foo")
	if lines >= 0 && lines < len(kept) {
		kept = kept[len(kept)-lines:]
	}
	var b []byte
	show := Renderer{App: "foo"}
	for i := range kept {
		b = show.Append(b, &kept[i])
	}
	return string(b)
}

// TestText reads through the cache while the log changes in every way, with pages of any size,
// gathered first or read while sent. Each answer equals what is kept at that moment. If the storage
// has since begun to keep fewer lines, the answer may still have lines from before.
func TestText(t *testing.T) {
	random := seeded(t)
	for round := range 30 {
		s := &storagefake.Storage{Lines: 40, Page: random.IntN(6), NoVersions: random.IntN(4) == 0}
		r := New(Options{Storage: s, Timeout: 10 * time.Second})
		r.fresh = 0
		if random.IntN(2) == 0 {
			r.gather = random.IntN(1500)
		}
		n, fewer := 0, false
		for step := range 100 {
			switch did := random.IntN(20); did {
			case 0, 1, 2, 3:
				for range random.IntN(20) {
					n++
					s.Add("foo", sdk.Entry{Message: fmt.Sprint(n), Published: time.Unix(int64(1000+n-random.IntN(20)), 0)})
				}
			case 4:
				s.Keep("foo", random.IntN(40))
				fewer = true
			case 5:
				if err := s.Delete(t.Context(), "foo"); err != nil {
					t.Fatal(err)
				}
			case 6:
				if _, last, _ := s.Kept("foo"); last > 3 {
					s.Lose("foo", 3)
				}
			}
			lines := []int{-1, 1, 5, 40, 100, 1 << 40}[random.IntN(6)]
			if got, want := text(t, r, lines), wantText(s, lines); got != want && (!fewer || lines < 0 || !strings.HasSuffix(got, want)) {
				t.Fatalf("round %d, step %d, %d lines, pages of %d, gathered %d: got\n%s\nwant\n%s", round, step, lines, s.Page, r.gather, got, want)
			}
		}
		if !r.idle() {
			t.Error("something is held")
		}
	}
}

// TestNewestUnderAppends has lines arrive between the pages of a read, which evict lines that are
// still to be read. The answer has as many lines all the same, without a hole.
func TestNewestUnderAppends(t *testing.T) {
	const kept = 1000
	s := &storagefake.Storage{Page: 300, Lines: kept}
	lines := numbered(10_000)
	s.Add("foo", lines[:kept]...)
	r := New(Options{Storage: s, Timeout: time.Second})
	next := kept
	s.Before = func(_ context.Context, call storagefake.Call) error {
		if call.Method == "Read" && next < len(lines)-25 {
			s.Add("foo", lines[next:next+25]...)
			next += 25
		}
		return nil
	}
	for range 50 {
		before := next
		got := numbers(t, text(t, r, kept))
		if len(got) != kept || got[kept-1] != got[0]+kept-1 || got[0] > next-kept+1 || got[kept-1] < before {
			t.Fatalf("%d to %d in %d lines, of %d before and %d after", got[0], got[len(got)-1], len(got), before, next)
		}
	}
}

// TestNewestBegunAnew has lines arrive once between the pages of a read, one of them late, which
// evict others. The answer equals what is kept all the same.
func TestNewestBegunAnew(t *testing.T) {
	const kept = 1000
	s := &storagefake.Storage{Page: 300, Lines: kept}
	lines := numbered(kept + 25)
	for i := range lines {
		lines[i].Published = time.Unix(int64(i), 0).UTC()
	}
	lines[kept+2].Published = lines[kept-3].Published
	s.Add("foo", lines[:kept]...)
	reads := 0
	s.Before = func(_ context.Context, call storagefake.Call) error {
		if call.Method == "Read" {
			if reads++; reads == 4 { // the first read finds out that the lines are more than one page
				s.Add("foo", lines[kept:]...)
			}
		}
		return nil
	}
	got := text(t, New(Options{Storage: s, Timeout: time.Second}), kept)
	if s.Before = nil; got != wantText(s, kept) || len(numbers(t, got)) != kept {
		t.Fatalf("%d lines, want %d:\n%s", len(numbers(t, got)), kept, got)
	}
}

// numbers returns the numbers at the end of a text's lines.
func numbers(t *testing.T, text string) (all []int) {
	t.Helper()
	for line := range strings.Lines(text) {
		var n int
		if _, err := fmt.Sscan(line[strings.LastIndexByte(line, ' '):], &n); err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

// TestTextThatIsPushedOut: an answer is read while it is sent, and lines are evicted before they
// were read. The answer ends with an error instead of having a hole.
func TestTextThatIsPushedOut(t *testing.T) {
	for _, noApps := range []bool{false, true} { // with apps, the storage tells how many entries there are
		for _, kept := range []int{4501, 4000, 2000} { // of the first, one page was read, or two
			s := &storagefake.Storage{Page: 500, NoApps: noApps}
			s.Add("foo", numbered(5000)...)
			r := New(Options{Storage: s, Timeout: time.Second})
			r.gather = 1000
			a, err := r.OpenText(t.Context(), "foo", -1)
			if err != nil {
				t.Fatal(err)
			}
			s.Keep("foo", kept)
			w := httptest.NewRecorder()
			err = a.Send(t.Context(), w)
			a.Close()
			got := numbers(t, w.Body.String())
			for i, n := range got {
				if n != i+1 {
					t.Fatalf("no apps: %t, %d kept: line %d is number %d", noApps, kept, i+1, n)
				}
			}
			all := len(got) == 5000
			if want := kept > 4500; all != want || (err == nil) != all {
				t.Errorf("no apps: %t, %d kept: %v", noApps, kept, err)
			}
		}
	}
}

// TestCache: cached text is used only after the storage has said that the log is the same.
func TestCache(t *testing.T) {
	s := &storagefake.Storage{}
	s.Add("foo", numbered(500)...)
	r := New(Options{Storage: s, Timeout: time.Second})
	r.fresh = 0
	for i, tc := range []struct {
		lines, grow     int
		reads, versions int
	}{
		{100, 0, 1, 0},
		{100, 0, 0, 1},
		{7, 0, 1, 0},
		{7, 0, 0, 1},
		{100, 2, 1, 1},
		{100, 2, 1, 0},
		{100, 0, 1, 0},
		{100, 0, 0, 1},
		{-1, 0, 1, 0},
		{-1, 0, 0, 1},
	} {
		if tc.grow > 0 {
			s.Add("foo", numbered(tc.grow)...)
		}
		reads, versions := len(s.Calls("Read")), len(s.Calls("Versions"))
		if got := text(t, r, tc.lines); got != wantText(s, tc.lines) {
			t.Errorf("step %d: %q", i, got)
		}
		if n, v := len(s.Calls("Read"))-reads, len(s.Calls("Versions"))-versions; n != tc.reads || v != tc.versions {
			t.Errorf("step %d: %d reads and %d questions, want %d and %d", i, n, v, tc.reads, tc.versions)
		}
		if calls := s.Calls("Read"); tc.grow > 0 && calls[len(calls)-1].Opts.After.IsZero() {
			t.Errorf("step %d: all lines are read again", i)
		}
	}
	s.Fail(sdk.ErrUnavailable)
	if _, err := r.OpenText(t.Context(), "foo", 100); err == nil {
		t.Error("an answer while the storage is away")
	}
}

// TestCacheOfABusyLog: a log in which lines arrive in bursts is read in one call. Its version is
// not asked for, not even right after nothing arrived.
func TestCacheOfABusyLog(t *testing.T) {
	s := &storagefake.Storage{}
	s.Add("foo", numbered(500)...)
	r := New(Options{Storage: s, Timeout: time.Second})
	r.fresh = 0
	for i, grow := range []int{0, 70, 150, 70, 0, 70, 0, 0, 20} {
		s.Add("foo", numbered(grow)...)
		reads, versions := len(s.Calls("Read")), len(s.Calls("Versions"))
		if got := text(t, r, 100); got != wantText(s, 100) {
			t.Errorf("step %d: %q", i, got)
		}
		if n, v := len(s.Calls("Read"))-reads, len(s.Calls("Versions"))-versions; i > 1 && (n != 1 || v != 0) {
			t.Errorf("step %d: %d reads and %d questions", i, n, v)
		}
	}
}

// TestCacheUnderChange asks while the log grows: no answer is older than its request.
func TestCacheUnderChange(t *testing.T) {
	s := &storagefake.Storage{Lines: 30}
	r := New(Options{Storage: s, Timeout: 10 * time.Second})
	r.fresh = 0
	var last atomic.Int64
	var all sync.WaitGroup
	all.Go(func() {
		for n := range 1000 {
			s.Add("foo", sdk.Entry{Message: fmt.Sprint(n)})
			last.Store(int64(n))
		}
	})
	for range 4 {
		all.Go(func() {
			for last.Load() < 999 {
				before := last.Load()
				if before == 0 {
					continue
				}
				var first, end int64
				lines := strings.Split(strings.TrimSpace(text(t, r, 10)), "\n")
				_, _ = fmt.Sscan(lines[0][strings.LastIndex(lines[0], " "):], &first)
				_, _ = fmt.Sscan(lines[len(lines)-1][strings.LastIndex(lines[len(lines)-1], " "):], &end)
				if end < before || end-first != int64(len(lines)-1) || len(lines) < 2 {
					t.Errorf("%d to %d in %d lines, asked after %d", first, end, len(lines), before)
					return
				}
			}
		})
	}
	all.Wait()
}

// TestCacheIsBounded, and so is what slow clients take of it at once.
func TestCacheIsBounded(t *testing.T) {
	s := &storagefake.Storage{}
	r := New(Options{Storage: s, Timeout: 100 * time.Millisecond})
	message := strings.Repeat("x", 1<<20)
	for i := range 40 { // of other apps
		app := fmt.Sprint("app-", i)
		s.Add(app, sdk.Entry{Message: message})
		a, err := r.OpenText(t.Context(), app, 1)
		if err != nil {
			t.Fatal(err)
		}
		a.Close()
	}
	if r.cache.bytes > cacheBytes || len(r.cache.texts) != r.cache.order.Len() || r.cache.order.Len() > 16 || r.cache.order.Len() < 15 { // each has its last message twice
		t.Errorf("%d bytes in %d texts", r.cache.bytes, r.cache.order.Len())
	}
	held := 0
	for range 100 { // nobody reads
		if a, err := r.OpenText(t.Context(), "app-39", 1); err == nil {
			defer a.Close()
			size, _ := a.Size()
			held += size
		}
	}
	if held == 0 || held > smallBytes+largeBytes {
		t.Errorf("%d bytes are held", held)
	}
}

// TestVersionsAreAskedTogether: while one question is under way, all new callers wait for one more
// question together. A caller without time leaves.
func TestVersionsAreAskedTogether(t *testing.T) {
	asked := make(chan []string)
	answer := make(chan struct{})
	v := &versions{timeout: time.Minute, ask: func(_ context.Context, apps []string) ([]uint64, error) {
		asked <- apps
		<-answer
		all := make([]uint64, len(apps))
		for i, app := range apps {
			_, _ = fmt.Sscanf(app, "app-%d", &all[i])
		}
		return all, nil
	}}
	var waiting sync.WaitGroup
	ask := func(n int) {
		waiting.Go(func() {
			if got, err := v.of(t.Context(), fmt.Sprint("app-", n), freshFor); err != nil || got != uint64(n) {
				t.Errorf("version %d of %d, %v", got, n, err)
			}
		})
	}
	ask(1)
	<-asked
	for n := range 20 {
		ask(n % 10)
	}
	testwait.Within(t, 10*time.Second, "ten apps wait", func() bool {
		v.mu.Lock()
		defer v.mu.Unlock()
		return len(v.apps) == 10
	})
	hasty, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := v.of(hasty, "app-3", freshFor); err == nil {
		t.Error("an answer from nowhere")
	}
	answer <- struct{}{}
	if apps := <-asked; len(apps) != 10 {
		t.Errorf("asked for %q", apps)
	}
	answer <- struct{}{}
	waiting.Wait()
	v.forget()
	ask(3)
	if apps := <-asked; !slices.Contains(apps, "app-3") {
		t.Errorf("asked for %q after a log was deleted", apps)
	}
	answer <- struct{}{}
	waiting.Wait()
}
