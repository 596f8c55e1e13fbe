package read

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/sdk"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// client reads an app's log, is cut off anywhere, and resumes at the last record's cursor, as text.
type client struct {
	t      *testing.T
	s      *storagefake.Storage
	logs   *Logs
	filter sdk.Filter
	after  string
	got    map[string]int // how often each line came
	gone   uint64         // lines told as missing, exactly
	lost   bool           // lines are missing, but nobody knows how many
	trace  []string
}

// record holds one record of an answer.
type record struct {
	place Place
	line  string // empty for a gap
	gap   Gap
}

func records(b *Batch) (all []record) {
	for i := range b.Gaps {
		all = append(all, record{place: b.Gaps[i].To, gap: b.Gaps[i]})
	}
	for i := range b.Entries {
		all = append(all, record{place: b.Place(i), line: b.Entries[i].Message})
	}
	return all
}

func (c *client) take(r record) {
	c.after = r.place.String()
	if r.line != "" {
		c.got[r.line]++
		c.trace = append(c.trace, r.line+" @"+c.after)
		return
	}
	c.trace = append(c.trace, fmt.Sprintf("gap %d %s %s @%s", r.gap.Count, r.gap.Reason, r.gap.From, c.after))
	if r.gap.Exact {
		c.gone += r.gap.Count
	} else {
		c.lost = true
	}
}

// read reads at most that many records before it is cut off. It returns true if the answer ended by
// itself. It calls change between batches.
func (c *client) read(most int, lines int, change func()) (whole bool) {
	c.t.Helper()
	place, err := ParsePlace(c.after)
	if err != nil {
		c.t.Fatal(err)
	}
	a, err := c.logs.Open(c.t.Context(), Query{App: "foo", Lines: lines, After: place, Filter: c.filter})
	if err != nil {
		c.t.Fatal(err)
	}
	defer a.Close()
	c.trace = append(c.trace, "-- open "+c.after)
	for {
		b, err := a.Next(c.t.Context())
		if errors.Is(err, io.EOF) {
			c.after = a.Log().At().String()
			return true
		}
		if err != nil {
			c.t.Fatal(err)
		}
		change()
		for _, r := range records(&b) {
			if most--; most < 0 {
				return false
			}
			c.take(r)
		}
		c.after = b.End.String() // as a heartbeat does
	}
}

// seeded returns the test's random numbers, and logs how to repeat them.
func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv("TEST_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	t.Logf("TEST_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// TestExactlyOnce cuts clients off anywhere, while late lines arrive and lines are evicted. Each
// line comes once, or is counted in a gap.
func TestExactlyOnce(t *testing.T) {
	random := seeded(t)
	for round := range 400 {
		exactlyOnce(t, random, round)
		if t.Failed() {
			return
		}
	}
}

func exactlyOnce(t *testing.T, random *rand.Rand, round int) {
	t.Helper()
	s := &storagefake.Storage{Lines: 5 + random.IntN(30), Page: random.IntN(8), NoApps: random.IntN(4) == 0}
	r := New(Options{Storage: s, Timeout: 10 * time.Second})
	newest, large := -1, random.IntN(3) == 0
	if random.IntN(2) == 0 {
		newest = 1 + random.IntN(20)
	}
	var lines int
	if large { // it is read while it is sent
		r.gather = random.IntN(3000)
	}
	published := map[string]bool{}
	now, n := time.Unix(1000, 0), 0
	filter := sdk.Filter{}
	if random.IntN(3) == 0 {
		filter.Process = []string{"web"}
	}
	add := func(count int) {
		for range count {
			n++
			now = now.Add(time.Second)
			e := sdk.Entry{Message: fmt.Sprintf("line %d", n), Process: "web", Published: now}
			if random.IntN(4) == 0 { // late
				e.Published = now.Add(-time.Duration(random.IntN(20)) * time.Second)
			}
			if random.IntN(2) == 0 {
				e.Process = "worker"
			}
			s.Add("foo", e)
			if filter.IsZero() || e.Process == "web" {
				published[e.Message] = true
			}
		}
	}
	add(random.IntN(60))
	c := &client{t: t, s: s, logs: r, filter: filter, got: map[string]int{}}
	quiet, deletes, deleted := 0, random.IntN(10) == 0, false
	for step := 0; quiet < 2; step++ {
		change := func() {
			if step < 8 && random.IntN(3) == 0 {
				add(random.IntN(10))
			}
			if deletes && step < 8 && random.IntN(20) == 0 {
				deleted = true
				if err := s.Delete(t.Context(), "foo"); err != nil {
					t.Fatal(err)
				}
			}
		}
		change()
		if c.after == "" { // lines evicted before the client begins do not concern it
			clear(published)
			_, _, kept := s.Kept("foo")
			for i := len(kept) - 1; i >= 0 && len(published) != newest; i-- {
				if filter.IsZero() || kept[i].Process == "web" {
					published[kept[i].Message] = true
				}
			}
			if len(kept) == 0 {
				c.after = sdk.Beginning().String()
			}
		}
		before := len(c.got)
		if lines = -1; random.IntN(2) == 0 && c.after != "" {
			lines = random.IntN(5) // a page at a time
		} else if c.after == "" {
			lines = newest
		}
		if whole := c.read(random.IntN(25), lines, change); lines != 0 && step > 8 && whole && len(c.got) == before {
			quiet++
		}
		if step > 500 {
			t.Fatalf("round %d does not end: %s", round, strings.Join(c.trace, "\n"))
		}
	}
	for line, times := range c.got {
		if times != 1 || !published[line] {
			t.Errorf("round %d: %s came %d times, published %t", round, line, times, published[line])
		}
	}
	missing := uint64(len(published) - len(c.got))
	// With a filter, lines that are missing in the order of arrival may or may not pass. If nobody
	// counted a large history, it is not known whether the missing lines were in it.
	uncounted := large && s.NoApps && c.gone < missing
	if large && s.NoApps { // it says that some may be missing
		c.lost = false
	}
	if deleted { // nobody knows how much is missing of a log that is gone
		c.lost, uncounted = false, true
	}
	if c.lost || filter.IsZero() && c.gone != missing && !uncounted || c.gone < missing && !uncounted || filter.IsZero() && deleted && c.gone > missing {
		t.Errorf("round %d: %d lines are missing, told were %d, lost %t", round, missing, c.gone, c.lost)
	}
	if t.Failed() {
		t.Logf("%+v filter %t\n%s", s.Lines, !filter.IsZero(), strings.Join(c.trace, "\n"))
	}
}
