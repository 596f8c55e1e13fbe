package excerpt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// entries returns the entries of a log written as letters: M is a match, and x belongs to another
// process.
func entries(letters string) (all []sdk.Entry) {
	for i, c := range letters {
		e := sdk.Entry{Time: noon, Published: noon.Add(time.Duration(i) * time.Millisecond), Process: "web", Message: fmt.Sprintf("%c%d", c, i)}
		if c == 'x' {
			e.Process = "worker"
		}
		all = append(all, e)
	}
	return all
}

// rig reads excerpts of one log.
type rig struct {
	*testing.T
	storage *storagefake.Storage
	logs    *read.Logs
	opts    Options
}

func newRig(t *testing.T, letters string, before, after int) *rig {
	s := &storagefake.Storage{Page: 7}
	s.Add("foo", entries(letters)...)
	return &rig{t, s, read.New(read.Options{Storage: s, Timeout: time.Second}), Options{
		Filter: sdk.Filter{Process: []string{"web"}, Include: []string{"^M"}}, Before: before, After: after,
	}}
}

// read returns the lines of an answer, the cursor after each line, and the cursor after all. Lines
// are "M3", or "c4" for context, and "|" before a line that is apart.
func (r *rig) read(lines int, after read.Place) (got []string, places []read.Place, end read.Place) {
	r.Helper()
	a, err := Open(r.Context(), r.logs, read.Query{App: "foo", Lines: lines, After: after}, r.opts)
	if err != nil {
		r.Fatal(err)
	}
	defer a.Close()
	for {
		b, err := a.Next(r.Context())
		if errors.Is(err, io.EOF) {
			return got, places, a.At()
		}
		if err != nil {
			r.Fatal(err)
		}
		for _, l := range b.Chosen() {
			got, places = append(got, shown(&l)), append(places, parsed(r.T, l.Place))
		}
	}
}

// shown returns a line as [rig.read] does.
func shown(l *read.Line) string {
	text := l.Entry.Message
	if l.Context {
		text = "c" + text[1:]
	}
	if l.Apart {
		text = "|" + text
	}
	return text
}

// parsed returns the place as a client gives it back.
func parsed(t *testing.T, p read.Place) read.Place {
	t.Helper()
	again, err := read.ParsePlace(p.String())
	if err != nil || again != p {
		t.Fatalf("%s: %+v, %v, want %+v", p, again, err, p)
	}
	return again
}

// want returns the lines of an excerpt, found the slow way.
func want(letters string, matches, before, after int) (all []string) {
	var at []int
	ofLog := []int{}
	for i, c := range letters {
		if c != 'x' {
			ofLog = append(ofLog, i)
		}
	}
	for n, i := range ofLog {
		if letters[i] == 'M' {
			at = append(at, n)
		}
	}
	if matches >= 0 {
		at = at[max(0, len(at)-matches):]
	}
	last := -1
	for n, i := range ofLog {
		is := slices.Contains(at, n)
		// A line after the oldest wanted match that is around an earlier match is around the wanted
		// one too.
		near := slices.ContainsFunc(at, func(m int) bool { return n >= m-before && n <= m+after })
		if !near {
			continue
		}
		text := fmt.Sprint("c", i)
		if is {
			text = fmt.Sprint("M", i)
		}
		if last >= 0 && n > last+1 {
			text = "|" + text
		}
		last = n
		all = append(all, text)
	}
	return all
}

func TestExcerpt(t *testing.T) {
	const letters = "a.M.....MM.x..x.xM....................M.M"
	for _, tc := range []struct {
		lines, before, after int
		want                 string
	}{
		{-1, 0, 0, "M2 M8 M9 M17 M38 M40"},
		{-1, 1, 0, "c1 M2 |c7 M8 M9 |c15 M17 |c37 M38 c39 M40"},
		{-1, 0, 1, "M2 c3 |M8 M9 c10 |M17 c18 |M38 c39 M40"},
		{-1, 2, 2, "c0 c1 M2 c3 c4 |c6 c7 M8 M9 c10 c12 c13 c15 M17 c18 c19 |c36 c37 M38 c39 M40"},
		{2, 1, 1, "c37 M38 c39 M40"},
		{3, 2, 1, "c13 c15 M17 c18 |c36 c37 M38 c39 M40"},
		{1, 100, 100, ""},
	} {
		r := newRig(t, letters, tc.before, tc.after)
		got, _, _ := r.read(tc.lines, read.Place{})
		if tc.want == "" {
			tc.want = strings.Join(want(letters, tc.lines, tc.before, tc.after), " ")
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%+v: got\n%q", tc, got)
		}
	}
}

// TestRandom compares excerpts of random logs with the slow way. It resumes after each line and
// page by page: each line comes once.
func TestRandom(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	for range 40 {
		var b strings.Builder
		for range random.IntN(40) + 1 {
			b.WriteByte("M.....x"[random.IntN(7)])
		}
		letters, before, after := b.String(), random.IntN(5), random.IntN(5)
		if before+after == 0 {
			after = 1
		}
		r := newRig(t, letters, before, after)
		fail := func(what string, got, want []string) {
			t.Helper()
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d, %q, %d before, %d after: %s:\n got %q\nwant %q", seed, letters, before, after, what, got, want)
			}
		}
		all := want(letters, -1, before, after)
		got, places, end := r.read(-1, read.Place{})
		fail("all", got, all)
		for i, p := range places {
			rest, _, _ := r.read(-1, p)
			fail(fmt.Sprint("behind ", got[i]), bare(rest), bare(all[i+1:]))
		}
		if rest, _, _ := r.read(-1, parsed(t, end)); len(rest) > 0 {
			t.Errorf("behind the end: %q", rest)
		}
		n := random.IntN(5) + 1
		var pages []string
		for at := (read.Place{Cursor: sdk.Beginning()}); ; {
			page, _, next := r.read(n, at)
			if matches := strings.Count(strings.Join(page, ""), "M"); matches > n {
				t.Fatalf("seed %d: a page of %d has %q", seed, n, page)
			}
			if pages = append(pages, page...); next == at {
				break
			}
			at = parsed(t, next)
		}
		fail(fmt.Sprint("pages of ", n), bare(pages), bare(all))
		newest, _, _ := r.read(n, read.Place{})
		fail(fmt.Sprint("the newest ", n), newest, want(letters, n, before, after))
	}
}

// bare removes the marks of lines that are apart, of which a reader who resumes does not know.
func bare(lines []string) []string {
	out := make([]string, len(lines))
	for i, l := range lines {
		out[i] = strings.TrimPrefix(l, "|")
	}
	return out
}

// TestFollow continues after the kept lines, one line at a time. The lines around a match come with
// it. After each line, a reader who resumes there gets the same rest.
func TestFollow(t *testing.T) {
	const letters = "..M.x...M...MM...."
	r := newRig(t, "", 2, 1)
	x, err := New(r.opts, read.Place{Cursor: sdk.Beginning()})
	if err != nil {
		t.Fatal(err)
	}
	x.opts.Matches = -1
	var got []string
	var newest time.Time
	for i, e := range entries(letters) {
		e.Position = uint64(i) + 1
		page := sdk.Page{Epoch: 7, Last: e.Position, Entries: []sdk.Entry{e}, Next: sdk.Cursor{Epoch: 7, Position: e.Position}}
		log := read.NewLog(nil, "foo", read.Place{Cursor: sdk.Cursor{Epoch: 7, Position: e.Position - 1}})
		b := log.Pass(t.Context(), read.NewSpan(&page, &newest), sdk.Cursor{}, read.Lost)
		out, err := x.Take(t.Context(), &b)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range out.Chosen() {
			got = append(got, shown(&l))
		}
		if held := int(b.End.Position - x.At().Position); held != len(x.held) && held != len(x.held)+1 { // one line is of another process
			t.Errorf("behind %d: the cursor is %d back, and %d lines are held", i, held, len(x.held))
		}
	}
	if all := want(letters, -1, 2, 1); !slices.Equal(got, all) {
		t.Errorf("got  %q\nwant %q", got, all)
	}
}

// TestGap: lines before a gap are no context of lines after it.
func TestGap(t *testing.T) {
	x, err := New(Options{Filter: sdk.Filter{Include: []string{"^M"}}, Before: 2, After: 2, Matches: -1}, read.Place{})
	if err != nil {
		t.Fatal(err)
	}
	place := func(n uint64) read.Place { return read.Place{Cursor: sdk.Cursor{Epoch: 7, Position: n}} }
	take := func(gaps []read.Gap, letters string) (got []string) {
		var lines []read.Line
		for i, e := range entries(letters) {
			lines = append(lines, read.Line{Entry: e, Place: place(uint64(i))})
		}
		b := read.NewBatch(gaps, lines, place(uint64(len(lines))), false)
		out, err := x.Take(t.Context(), &b)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range out.Chosen() {
			got = append(got, fmt.Sprint(l.Entry.Message, l.Context, l.Apart))
		}
		return got
	}
	if got := take(nil, "M"); !slices.Equal(got, []string{"M0false false"}) {
		t.Errorf("%q", got)
	}
	if got := take([]read.Gap{{To: place(50), Count: 9, Exact: true, Reason: read.Evicted}}, "..M"); !slices.Equal(got, []string{".0true false", ".1true false", "M2false false"}) {
		t.Errorf("%q", got)
	}
}

// TestBounds: the memory for held lines is bounded.
func TestBounds(t *testing.T) {
	r := newRig(t, "", MaxContext, MaxContext)
	long := entries(strings.Repeat(".", 60) + strings.Repeat("M", 10))
	for i := range long {
		long[i].Message += strings.Repeat("x", 64<<10)
	}
	r.storage.Add("foo", long...)
	got, _, _ := r.read(5, read.Place{})
	if len(got) > 10+30 || len(got) < 5 { // 1 MiB before the first match
		t.Errorf("%d lines", len(got))
	}
	for i := range long {
		long[i].Message = "M" + strings.Repeat("x", 1<<20)
	}
	r.storage.Add("bar", long...)
	_, err := Open(t.Context(), r.logs, read.Query{App: "bar", Lines: 50}, r.opts)
	if !errors.Is(err, sdk.ErrTooExpensive) || !strings.Contains(err.Error(), "more than 8 MiB") {
		t.Errorf("%v", err)
	}
}

// TestMemoryIsCounted: the newest lines are counted with their real size, beside the page that was
// read last. They take that much of the memory for answers until the answer is closed.
func TestMemoryIsCounted(t *testing.T) {
	for _, length := range []int{10, 200, 5000} {
		s := &storagefake.Storage{}
		all := make([]sdk.Entry, 6<<20/(length+700))
		for i := range all {
			all[i] = sdk.Entry{
				Published: noon.Add(time.Duration(i)), Time: noon, Process: "web", Release: "v12", Pod: "foo-web-1234567890-abcde", Container: "foo-web", Stream: "stdout",
				Host: "node-1.example.com", Message: strings.Repeat("M", length),
			}
		}
		s.Add("foo", all...)
		logs := read.New(read.Options{Storage: s, Timeout: time.Second})
		heap := func() int {
			runtime.GC()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return int(m.HeapAlloc)
		}
		before := heap()
		opts := Options{Filter: sdk.Filter{Include: []string{"M"}}, Before: 1, After: 1}
		a, err := Open(t.Context(), logs, read.Query{App: "foo", Lines: len(all)}, opts)
		if err != nil {
			t.Fatal(err)
		}
		took, counted := heap()-before, a.newest.bytes
		if took > counted*11/10+5<<18 || took < counted/2 {
			t.Errorf("%d lines of %d bytes take %d bytes, counted are %d", len(all), length, took, counted)
		}
		room := func() bool { // beside so many bytes, in 32 MiB
			var holds []*read.Hold
			defer func() {
				for _, h := range holds {
					h.Close()
				}
			}()
			for _, bytes := range []int{8 << 20, 8 << 20, 8 << 20, 8<<20 - counted + 1} {
				soon, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				h, err := logs.Hold(soon, bytes)
				if err != nil {
					return false
				}
				holds = append(holds, h)
			}
			return true
		}
		if room() {
			t.Error("less memory is counted")
		}
		lines := 0
		for {
			b, err := a.Next(t.Context())
			if err != nil {
				break
			}
			if lines += len(b.Entries); len(b.Entries) > 2<<20/(length+300) {
				t.Errorf("a batch of %d lines", len(b.Entries))
			}
		}
		if a.Close(); lines != len(all) || !room() {
			t.Errorf("%d lines of %d; room at the end: %t", lines, len(all), room())
		}
	}
}
