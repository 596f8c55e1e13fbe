package storagetest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/deis/logger/sdk"
)

// seedEnv is the variable that gives random checks their seed.
const seedEnv = "STORAGETEST_SEED"

// random makes the check's random numbers. It prints the seed, and takes it.
func (s *subject) random() *rand.Rand {
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv(seedEnv); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			s.Fatalf("%s=%q: want a whole number", seedEnv, text)
		}
		seed = n
	}
	s.Logf("%s=%d", seedEnv, seed)
	return rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // G404: a test that can be repeated
}

// exact is the least time between two entries for a storage to tell which is newer.
const exact = 100 * time.Millisecond

// randomReader reads a history and what arrives after it, page by page beside the appends.
type randomReader struct {
	walked
	begun   sdk.Cursor
	wanted  map[string]bool // of the history, as long as they are kept
	started []sdk.Entry
}

// randomArrivals compares a log with the list of all that was appended to it: three sources
// that lag behind each other, batches of all sizes, some twice; and readers that began at
// some time and go on from cursor to cursor.
func randomArrivals(s *subject) {
	const lines, rounds = 40, 80
	r := s.random()
	arrived := make([]sdk.Entry, 0, rounds*10) // each with its position, if it was kept once
	var end sdk.Cursor
	var readers []*randomReader
	clock := [3]int{0, -20_000 - r.IntN(20_000), -60_000 + r.IntN(30_000)} // in milliseconds
	for round := range rounds {
		batch := s.randomBatch(r, &clock, len(arrived)+1)
		id := s.next()
		for range 1 + r.IntN(4)/3 {
			s.appendBatch(one(id, "foo", batch))
		}
		after := end
		if after.IsZero() {
			after = sdk.Beginning()
		}
		w := s.walk(sdk.ReadOptions{App: "foo", Limit: 1 + r.IntN(20), After: after})
		if n := uint64(len(w.arrived)); n+w.gone != uint64(len(batch)) {
			s.Fatalf("round %d: of %d that arrived after %q, %d are there and %d are gone", round, len(batch), after, n, w.gone)
		}
		arrived = append(arrived, arrivedAs(batch, w.arrived)...)
		end = w.at

		kept := s.all("foo")
		if err := keptAre(kept.Entries, arrived, lines); err != nil {
			s.Fatalf("round %d: %v", round, err)
		}
		s.randomReads(r, kept, arrived)
		if r.IntN(3) == 0 {
			page := s.newest(sdk.ReadOptions{App: "foo", Limit: 1 + r.IntN(lines)})
			reader := &randomReader{begun: page.End(), started: page.Entries, wanted: map[string]bool{}}
			reader.at = page.End().At(&page.Entries[0])
			for i := range page.Entries[1:] {
				reader.wanted[page.Entries[1+i].Message] = true
			}
			readers = append(readers, reader)
		}
		for _, reader := range readers {
			s.readOn(reader, 1+r.IntN(8))
		}
	}
	last := s.all("foo").Entries
	for _, reader := range readers {
		for reader.at != end {
			s.readOn(reader, 1000)
		}
		if err := reader.check(end, last); err != nil {
			s.Fatal(err)
		}
	}
}

// randomBatch makes a batch of entries of some of the sources.
func (s *subject) randomBatch(r *rand.Rand, clock *[3]int, number int) (batch []sdk.Entry) {
	for source := range clock {
		if source > 0 && r.IntN(3) > 0 {
			continue
		}
		for range 1 + r.IntN(1+r.IntN(12)) {
			clock[source] += 1 + r.IntN(400)
			e := line(number)
			e.Published = line(0).Published.Add(time.Duration(clock[source]) * time.Millisecond)
			e.Pod = fmt.Sprintf("source-%d", source)
			number++
			batch = append(batch, e)
		}
	}
	if r.IntN(10) == 0 { // this source was away
		clock[1+r.IntN(2)] += 5000
	}
	return published(batch)
}

// arrivedAs gives the entries of a batch the positions at which they were read.
func arrivedAs(batch, read []sdk.Entry) []sdk.Entry {
	out := slices.Clone(batch)
	for i := range out {
		for j := range read {
			if differ(out[i], read[j]) == "" {
				out[i].Position = read[j].Position
			}
		}
	}
	return out
}

// keptAre returns an error if the kept entries are not the newest of all that arrived. At the old
// end, either of two entries that were published within 100 ms may be kept.
func keptAre(kept, arrived []sdk.Entry, lines int) error {
	want := published(arrived)
	want = want[max(0, len(want)-lines):]
	if len(kept) != len(want) {
		return faulty("%d entries are kept, want %d", len(kept), len(want))
	}
	index := func(in []sdk.Entry) map[string]int {
		m := map[string]int{}
		for i := range in {
			m[in[i].Message] = i
		}
		return m
	}
	all, wanted, is := index(arrived), index(want), index(kept)
	boundary := want[0].Published
	for i := range kept {
		at, ok := all[kept[i].Message]
		if !ok {
			return faulty("%.40q was never appended", kept[i].Message)
		}
		e := arrived[at]
		if diff := differ(kept[i], e); diff != "" {
			return faulty("%s", diff)
		}
		if e.Position != 0 && e.Position != kept[i].Position {
			return faulty("%.40q is at position %d and was at %d", e.Message, kept[i].Position, e.Position)
		}
		if _, ok := wanted[e.Message]; !ok && boundary.Sub(e.Published) > exact {
			return faulty("%.40q is kept, %s older than the oldest of the newest %d", e.Message, boundary.Sub(e.Published), lines)
		}
	}
	for i := range want {
		if _, ok := is[want[i].Message]; !ok && want[i].Published.Sub(boundary) > exact {
			return faulty("%.40q is not kept, and is %s newer than the oldest of the newest %d", want[i].Message, want[i].Published.Sub(boundary), lines)
		}
	}
	return nil
}

// randomReads reads what is kept in some other ways.
func (s *subject) randomReads(r *rand.Rand, kept sdk.Page, arrived []sdk.Entry) {
	s.Helper()
	n := len(kept.Entries)
	limit := r.IntN(n) + 1
	s.want(s.newest(sdk.ReadOptions{App: "foo", Limit: limit}).Entries, kept.Entries[n-limit:]...)
	at := r.IntN(n)
	s.want(s.newest(sdk.ReadOptions{App: "foo", Limit: -1, Before: kept.End().At(&kept.Entries[at])}).Entries, kept.Entries[:at]...)
	w := s.walk(sdk.ReadOptions{App: "foo", Limit: 1 + r.IntN(10), After: kept.End().At(&kept.Entries[at])})
	s.want(w.all(), kept.Entries[at+1:]...)
	position := r.Uint64N(kept.Last + 1)
	var behind []sdk.Entry
	for i := range kept.Entries {
		if kept.Entries[i].Position > position {
			behind = append(behind, kept.Entries[i])
		}
	}
	after := sdk.Cursor{Epoch: kept.Epoch, Position: position}
	w = s.arrivesAfter(sdk.ReadOptions{App: "foo", Limit: 1 + r.IntN(10), After: after}, position, behind)
	for i := range w.arrived {
		e := &w.arrived[i]
		if !slices.ContainsFunc(arrived, func(a sdk.Entry) bool { return a.Message == e.Message && a.Position == e.Position }) {
			s.Fatalf("after %q: %.40q did not arrive at position %d", after, e.Message, e.Position)
		}
	}
}

// readOn reads the reader's next page.
func (s *subject) readOn(reader *randomReader, limit int) {
	s.Helper()
	opts := sdk.ReadOptions{App: "foo", Limit: limit, After: reader.at}
	page, err := s.page(s.Context(), opts)
	if err != nil {
		s.Fatal(err)
	}
	reader.take(&page, opts.After)
}

// check returns an error unless the reader saw the history, as far as it was kept, and then all
// that arrived since, each entry once.
func (r *randomReader) check(end sdk.Cursor, last []sdk.Entry) error {
	if n := uint64(len(r.arrived)); n+r.gone != end.Position-r.begun.Position {
		return faulty("a reader from %q has %d and knows of %d that are gone, want %d together", r.begun, n, r.gone, end.Position-r.begun.Position)
	}
	read := map[string]bool{r.started[0].Message: true}
	for i, e := range r.all() {
		if read[e.Message] {
			return faulty("a reader from %q has %.40q twice", r.begun, e.Message)
		}
		if read[e.Message] = true; i < len(r.history) && !r.wanted[e.Message] {
			return faulty("%.40q is not of the history of %q", e.Message, r.begun)
		}
	}
	for i := range last {
		e := &last[i]
		if !read[e.Message] && (r.wanted[e.Message] || e.Position > r.begun.Position) {
			return faulty("a reader from %q does not have %.40q, which is kept", r.begun, e.Message)
		}
	}
	return nil
}
