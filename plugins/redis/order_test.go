package redis

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/sdk"
)

// readOn reads page after page, until there is no more or a read fails. opts.Limit applies to each
// page.
func readOn(tb testing.TB, s *storage, opts sdk.ReadOptions) (entries []sdk.Entry, gone uint64, pages int) {
	tb.Helper()
	backward, left := opts.After.IsZero(), opts.Limit
	for more := true; more; pages++ {
		page, err := sdk.ReadFiltered(context.Background(), s, opts)
		if err != nil {
			tb.Fatal(err)
		}
		if opts.Limit >= 0 && len(page.Entries) > opts.Limit {
			tb.Fatalf("%d entries, want at most %d", len(page.Entries), opts.Limit)
		}
		gone += page.Gone
		if backward {
			entries = append(slices.Clone(page.Entries), entries...)
			opts.Before = page.Next
			more = len(page.Entries) > 0 && (page.More || len(page.Entries) == left)
		} else {
			entries = append(entries, page.Entries...)
			if opts.After == page.Next && page.More {
				tb.Fatalf("it stays at %+v", opts.After)
			}
			opts.After, more = page.Next, page.More
		}
	}
	return entries, gone, pages
}

func byArrival(a, b sdk.Entry) int { return cmp.Compare(a.Position, b.Position) }

func byPublishing(a, b sdk.Entry) int {
	return cmp.Or(a.Published.Compare(b.Published), byArrival(a, b))
}

// numberOf returns the number in an environment variable, or else otherwise. Random tests print
// these numbers.
func numberOf(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	n := otherwise
	if text := os.Getenv(variable); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%s=%d", variable, n)
	return n
}

// TestAnyOrder: several writers append what several sources deliver, each source in order but some
// late. All ways to read are compared with the newest entries.
func TestAnyOrder(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	random := rand.New(rand.NewPCG(numberOf(t, "LOGGER_TEST_SEED", rand.Uint64()), 1))
	for round := range numberOf(t, "LOGGER_TEST_ROUNDS", 8) {
		server.MustDo("FLUSHALL")
		lines := 1 + random.IntN(600)
		sources := 1 + random.IntN(14)
		spread := []time.Duration{time.Millisecond, 50 * time.Millisecond, 3 * time.Second, time.Minute}[random.IntN(4)]
		var hosts []*storage
		for range 1 + random.IntN(3) {
			hosts = append(hosts, open(t, server, func(s *Settings) {
				s.Lines, s.PipelineLength, s.PipelineTimeout = lines, 1+random.IntN(100), 0
			}))
		}
		what := fmt.Sprintf("round %d: %d lines kept, %d sources within %s, %d hosts", round, lines, sources, spread, len(hosts))
		at := make([]time.Time, sources)
		for i := range at {
			at[i] = time.Unix(1_700_000_000, 0).Add(-time.Duration(random.Int64N(int64(spread)))).UTC()
		}
		var all []sdk.Entry
		for i := range 10 + random.IntN(60) {
			var entries []sdk.Entry
			for range 1 + random.IntN(1+random.IntN(120)) {
				source := random.IntN(sources)
				at[source] = at[source].Add(time.Duration(random.Int64N(int64(20 * time.Millisecond))))
				if random.IntN(200) == 0 {
					at[source] = at[source].Add(time.Duration(random.Int64N(int64(spread))))
				}
				entries = append(entries, sdk.Entry{
					Time: at[source], Published: at[source], Message: fmt.Sprint(len(all) + len(entries)),
					Pod: fmt.Sprint("pod-", source),
				})
			}
			slices.SortStableFunc(entries, func(a, b sdk.Entry) int { return a.Published.Compare(b.Published) })
			all = append(all, entries...)
			host := random.IntN(len(hosts))
			b := sdk.Batch{ID: sdk.BatchID{Writer: fmt.Sprint("w", host), Sequence: uint64(i + 1)}, Apps: []sdk.AppEntries{{App: "app", Entries: entries}}}
			for range 1 + random.IntN(2) { // repeating a batch changes nothing
				mustAppend(t, hosts[host], b)
			}
			if i%10 == 9 {
				checkWindow(t, hosts[random.IntN(len(hosts))], what, all, lines, random)
			}
		}
		checkWindow(t, hosts[0], what, all, lines, random)
		if t.Failed() {
			return
		}
	}
}

// checkWindow compares what is read with all that was appended.
func checkWindow(t *testing.T, s *storage, what string, all []sdk.Entry, lines int, random *rand.Rand) {
	t.Helper()
	limit := func() int { return []int{-1, 1 + random.IntN(50), 1 + random.IntN(1000)}[random.IntN(3)] }
	newest, _, _ := readOn(t, s, sdk.ReadOptions{App: "app", Limit: limit()})
	if want := min(len(all), lines); len(newest) != want {
		t.Fatalf("%s: %d entries of %d, want %d", what, len(newest), len(all), want)
	}
	if !slices.IsSortedFunc(newest, byPublishing) {
		t.Fatalf("%s: the newest are not in order", what)
	}
	// The old end is exact, except for entries published at one moment.
	byTime := slices.Clone(all)
	slices.SortStableFunc(byTime, func(a, b sdk.Entry) int { return a.Published.Compare(b.Published) })
	bound := byTime[len(all)-len(newest)].Published
	has := map[string]int{}
	for i, e := range newest {
		has[e.Message]++
		if has[e.Message] > 1 {
			t.Fatalf("%s: entry %s is there twice", what, e.Message)
		}
		if e.Published.Before(bound) {
			t.Errorf("%s: entry %d is %s older than what should be the oldest", what, i, bound.Sub(e.Published))
		}
	}
	for _, e := range byTime {
		if e.Published.After(bound) && has[e.Message] == 0 {
			t.Errorf("%s: entry %s is missing, %s newer than what should be the oldest", what, e.Message, e.Published.Sub(bound))
		}
	}
	page := readAll(t, s, "app")
	if page.Last != uint64(len(all)) || page.Epoch == 0 {
		t.Fatalf("%s: the last position is %d of %d", what, page.Last, len(all))
	}
	// In the order of arrival, from any position.
	from := uint64(random.IntN(len(all)))
	arrived, gone, _ := readOn(t, s, sdk.ReadOptions{App: "app", Limit: limit(), After: sdk.Cursor{Epoch: page.Epoch, Position: from}})
	if uint64(len(arrived))+gone != page.Last-from {
		t.Errorf("%s: after position %d, %d entries arrived and %d are gone; the last position is %d", what, from, len(arrived), gone, page.Last)
	}
	if !slices.IsSortedFunc(arrived, byArrival) {
		t.Errorf("%s: not in the order of arrival", what)
	}
	positions := map[uint64]bool{}
	for _, e := range arrived {
		positions[e.Position] = true
	}
	for _, e := range newest {
		if e.Position > from && !positions[e.Position] {
			t.Errorf("%s: position %d is kept and did not arrive after %d", what, e.Position, from)
		}
	}
	// As a history, and then what arrived since.
	until := page.Last - min(page.Last-1, uint64(random.IntN(100)))
	history := sdk.Cursor{Epoch: page.Epoch, Position: until}.HistoryBegin()
	read, _, _ := readOn(t, s, sdk.ReadOptions{App: "app", Limit: limit(), After: history})
	want := slices.Clone(newest)
	slices.SortStableFunc(want, func(a, b sdk.Entry) int {
		// The history comes first, and then what arrived, in that order.
		if late := cmp.Compare(max(a.Position, until), max(b.Position, until)); late != 0 {
			return late
		}
		return 0
	})
	if !slices.Equal(read[:min(len(read), len(want))], want) {
		kept := read[:0]
		for _, e := range read { // entries that are about to be evicted may be among those that arrived
			if has[e.Message] > 0 || e.Position <= until {
				kept = append(kept, e)
			}
		}
		if !slices.Equal(kept, want) {
			t.Errorf("%s: the history up to %d has %d entries, want %d", what, until, len(kept), len(want))
		}
	}
}

// TestManyOrders: however many orders entries arrive in, they are read in the order of publishing.
func TestManyOrders(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server, func(s *Settings) { s.Lines = 8000 })
	var all []sdk.Entry
	appendMore := func(entries []sdk.Entry) {
		for i := range entries {
			entries[i].Message = fmt.Sprint(len(all) + i)
		}
		all = append(all, entries...)
		mustAppend(t, s, sdk.Batch{ID: sdk.BatchID{Writer: "w", Sequence: uint64(len(all))}, Apps: []sdk.AppEntries{{App: "app", Entries: entries}}})
	}
	for i := range 13 { // each older than the one before
		appendMore(numbered(5500-300*i, 5500-300*i+99))
	}
	random := rand.New(rand.NewPCG(1, 1))
	checkWindow(t, s, "thirteen steps back", all, 8000, random)
	appendMore(numbered(1950, 5550)) // spans all of them
	for range 3 {
		checkWindow(t, s, "and through all", all, 8000, random)
	}
}

// TestSince: entries of the last minutes are found without a search, by their own times, however
// fast they were published, and even though one entry states a time far ahead.
func TestSince(t *testing.T) {
	server := redistest.Start(t)
	for name, c := range map[string]struct {
		each time.Duration // between two entries
		sent int           // bytes sent by Redis, which has a block for every two entries each second
	}{
		"published as they were written": {time.Second, 200_000},
		"published at once":              {time.Microsecond, 220_000},
	} {
		t.Run(name, func(t *testing.T) {
			server.MustDo("FLUSHALL")
			s := open(t, server, func(s *Settings) { s.Lines, s.PipelineTimeout = 20_000, 0 })
			b := batch("w", 1, "app", 1, 20_000)
			for i := range b.Apps[0].Entries {
				e := &b.Apps[0].Entries[i]
				e.Published = time.Unix(20_000, 0).Add(time.Duration(i-20_000) * c.each).UTC()
			}
			b.Apps[0].Entries[99].Time = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
			mustAppend(t, s, b)
			since := sdk.Filter{Since: time.Unix(19_001, 0)}
			epoch := readAll(t, s, "app").Epoch
			before := sentBy(t, server)
			newest, _, _ := readOn(t, s, sdk.ReadOptions{App: "app", Limit: -1, Filter: since})
			history, _, _ := readOn(t, s, sdk.ReadOptions{
				App: "app", Limit: -1, Filter: since,
				After: sdk.Cursor{Epoch: epoch, Position: 20_000}.HistoryBegin(),
			})
			if len(newest) != 1001 || newest[0].Message != "100" || newest[1].Message != "19001" || !slices.Equal(newest, history) {
				t.Errorf("%d of the newest, %d of the history, want 1001", len(newest), len(history))
			}
			if sent := sentBy(t, server) - before; sent > c.sent {
				t.Errorf("Redis sent %d bytes for 2 times 1001 short entries, want at most %d", sent, c.sent)
			}
		})
	}
}

// TestSinceAheadOfItsTime: an entry with a time far ahead, or far back, hides no other entry.
func TestSinceAheadOfItsTime(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server)
	b := batch("w", 1, "app", 1, 100)
	b.Apps[0].Entries[10].Time = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	b.Apps[0].Entries[20].Time = time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC)
	mustAppend(t, s, b)
	epoch := readAll(t, s, "app").Epoch
	for _, after := range []sdk.Cursor{{}, sdk.Cursor{Epoch: epoch, Position: 100}.HistoryBegin()} {
		for since, want := range map[time.Time]int{time.Unix(51, 0): 51, time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC): 99, time.Unix(1<<40, 0): 0} {
			entries, _, _ := readOn(t, s, sdk.ReadOptions{App: "app", Limit: -1, After: after, Filter: sdk.Filter{Since: since}})
			if len(entries) != want {
				t.Errorf("after %q, since %s: %d entries, want %d", after, since, len(entries), want)
			}
		}
	}
}

// sentBy returns how many bytes Redis has sent.
func sentBy(t *testing.T, server *redistest.Server) int {
	t.Helper()
	for line := range strings.Lines(server.MustDo("INFO", "stats")) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "total_net_output_bytes:"); ok {
			bytes, err := strconv.Atoi(n)
			if err != nil {
				t.Fatal(err)
			}
			return bytes
		}
	}
	t.Fatal("Redis does not say what it sent")
	return 0
}

// TestNewestBesideAppends: while entries arrive and leave, a read of the newest entries of a full
// log returns as many as are kept, with consecutive positions.
func TestNewestBesideAppends(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for _, each := range []int{1, 25} {
		server.MustDo("FLUSHALL")
		s, writer := open(t, server), open(t, server)
		mustAppend(t, s, batch("w", 1, "app", 1, 1000))
		done, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for i, last := uint64(2), 1000; ; i, last = i+1, last+each {
				select {
				case <-done:
					return
				default:
					if err := writer.Append(context.Background(), batch("w", i, "app", last+1, last+each)); err != nil {
						t.Error(err)
						return
					}
				}
			}
		}()
		for range 25 {
			for _, limit := range []int{1000, -1, 900} {
				page, err := s.Read(t.Context(), sdk.ReadOptions{App: "app", Limit: limit})
				if err != nil {
					t.Fatal(err)
				}
				want := 1000
				if limit > 0 {
					want = limit
				}
				n := len(page.Entries)
				if n != want || page.Entries[n-1].Position != page.Last || page.Entries[0].Position != page.Last-uint64(n)+1 {
					t.Errorf("%d entries, want %d: from %d to %d of %d", n, want, page.Entries[0].Position, page.Entries[n-1].Position, page.Last)
				}
			}
		}
		close(done)
		<-ended
	}
}
