package memory

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

// crash is the value with which a mapping's step panics. The process dies at that step, and only
// what it stored before is left.
type crash struct{}

// dying runs f until its step of that number. It returns false if f ends before.
func dying(m *mapping, steps int, f func()) (died bool) {
	m.step = func() {
		if steps--; steps < 0 {
			panic(crash{})
		}
	}
	defer func() {
		m.step = nil
		if p := recover(); p != nil {
			if p != (crash{}) {
				panic(p)
			}
			died = true
		}
	}()
	f()
	return false
}

// op appends the batch, or deletes the app if the batch has no entries.
type op struct{ batch sdk.Batch }

func (o op) do(s *storage) error {
	if app := o.batch.Apps[0]; len(app.Entries) == 0 {
		return s.Delete(context.Background(), app.App)
	}
	return s.Append(context.Background(), o.batch)
}

// view holds what a reader sees of an app: whether it has an epoch, and its entries, told apart by
// CutBytes.
type view struct {
	begun bool
	last  uint64
	ids   []uint64
}

// look reads the apps, and checks that their entries are in the order of publishing.
func look(t *testing.T, s *storage, apps []string) map[string]view {
	t.Helper()
	views := map[string]view{}
	for _, app := range apps {
		page := readAll(t, s, app)
		v := view{begun: page.Epoch != 0, last: page.Last}
		for _, e := range page.Entries {
			v.ids = append(v.ids, e.CutBytes)
		}
		views[app] = v
		checkOrder(t, page.Entries)
	}
	return views
}

func checkOrder(t *testing.T, entries []sdk.Entry) {
	t.Helper()
	for i := 1; i < len(entries); i++ {
		if p := sortKeyOf(&entries[i-1]); p.compare(sortKeyOf(&entries[i])) >= 0 {
			t.Fatalf("entry %d is at %+v, and the one before it at %+v", i, sortKeyOf(&entries[i]), p)
		}
	}
}

func sortKeyOf(e *sdk.Entry) sortKey { return sortKey{nanos(e.Published), e.Position} }

// scenario holds a script and the store that it runs on.
type scenario struct {
	lines, blocks int
	apps          []string
	// forgets is set if there are so many apps that some lose their slot. Which ones they are
	// depends on what a recovery cannot know.
	forgets bool
	ops     []op
}

// late moves the publish times of the entries back by up to longest, and keeps their order.
func late(r *rand.Rand, entries []sdk.Entry, longest time.Duration) {
	for i := range entries {
		entries[i].Published = entries[i].Published.Add(-time.Duration(r.Int64N(int64(longest))))
	}
	slices.SortFunc(entries, func(a, b sdk.Entry) int { return a.Published.Compare(b.Published) })
}

// mixed returns a script with everything: short and long groups, entries of several blocks, groups
// beyond the number of lines and beyond the room, more writers than are remembered, deletes, and
// late entries, which need several runs. The memory is too small for all of it.
func mixed(seed uint64) scenario {
	r := rand.New(rand.NewPCG(seed, 1))
	sc := scenario{lines: 20, blocks: 160, apps: []string{"a", "b", "c", strings.Repeat("d", shortName+1)}}
	id := 0
	for i := range 45 {
		// One writer's sequences are independent of another's.
		w := i * i % 23
		o := op{batchOf(fmt.Sprint("w", w), uint64(w*7919%1000+i+1), sc.apps[r.IntN(len(sc.apps))])}
		n := []int{1, 1, 2, 5, 12, 12, 30, 60}[r.IntN(8)]
		if i > 10 && r.IntN(8) == 0 {
			n = 0
		}
		for range n {
			id++
			e := small(id, []int{0, 20, 200, 200, 900, 4000, 9000}[r.IntN(min(7, 1+100/n))])
			e.CutBytes = uint64(id)
			e.Published = e.Published.Add(time.Duration(i) * time.Second)
			o.batch.Apps[0].Entries = append(o.batch.Apps[0].Entries, e)
		}
		if r.IntN(2) == 0 {
			late(r, o.batch.Apps[0].Entries, 30*time.Second)
		}
		sc.ops = append(sc.ops, o)
	}
	return sc
}

// crowded returns a script with more apps than blocks.
func crowded(seed uint64) scenario {
	r := rand.New(rand.NewPCG(seed, 2))
	sc := scenario{lines: 20, blocks: 24, forgets: true}
	for i := range 40 {
		sc.apps = append(sc.apps, fmt.Sprint("app-", i))
	}
	for i := range 70 {
		app := sc.apps[min(i, r.IntN(len(sc.apps)))]
		o := op{batchOf("w", uint64(i+1), app)}
		if r.IntN(10) > 0 {
			o.batch.Apps[0].Entries = []sdk.Entry{small(2*i+1, 300), small(2*i+2, 300)}
			for j := range o.batch.Apps[0].Entries {
				o.batch.Apps[0].Entries[j].CutBytes = uint64(2*i + 1 + j)
			}
		}
		sc.ops = append(sc.ops, o)
	}
	return sc
}

// shortSteps makes -short test only every fourth step in TestCrash.
const shortSteps = 4

// TestCrash runs a script. At each of its steps, it recovers from what a process would leave if it
// died there. The result must be the state before the current operation or after it. Then it
// repeats the operation, which must take effect exactly once.
func TestCrash(t *testing.T) {
	for name, sc := range map[string]scenario{
		"mixed-1": mixed(1), "mixed-2": mixed(2), "crowded": crowded(1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// The states before each operation and after the last, without a crash.
			s := openHeap(t, sc.lines, sc.blocks)
			states := []map[string]view{look(t, s, sc.apps)}
			runs := 0
			for i, o := range sc.ops {
				if err := o.do(s); err != nil {
					t.Fatal(err)
				}
				for _, l := range s.logs {
					runs = max(runs, len(l.runs))
				}
				states = append(states, look(t, s, sc.apps))
				if problem := s.audit(); problem != "" {
					t.Fatalf("after operation %d: %s", i, problem)
				}
			}

			if !sc.forgets && runs < 3 {
				t.Fatalf("no log had more than %d runs at a time", runs)
			}

			s = openHeap(t, sc.lines, sc.blocks)
			m := s.arena.mapping
			step, at := 0, 0
			m.step = func() {
				if !testing.Short() || step%shortSteps == 0 {
					sc.dieAt(t, states, at, step, slices.Clone(m.data))
				}
				if t.Failed() {
					t.Fatalf("this was step %d, in operation %d", step, at)
				}
				step++
			}
			for at = range sc.ops {
				if err := sc.ops[at].do(s); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// dieAt recovers from the data that a process left when it died in the operation.
func (sc *scenario) dieAt(t *testing.T, states []map[string]view, at, step int, data []byte) {
	t.Helper()
	s := sc.revive(t, onHeap(data, int64(len(data))), step)
	sc.compare(t, sc.ops[at].batch.Apps[0].App, states[at], states[at+1], look(t, s, sc.apps))
	end := at + 1
	if step%10 == 0 {
		end = len(sc.ops) // and all entries after it
	}
	for _, o := range sc.ops[at:end] {
		if err := o.do(s); err != nil {
			t.Fatal(err)
		}
	}
	if problem := s.audit(); problem != "" {
		t.Error(problem)
	}
	got := look(t, s, sc.apps)
	for app, ids := range sc.appended(end) {
		// How much is kept depends on which log was asked to make room, and a recovery may change
		// that. What is kept has its place.
		g, w := got[app], states[end][app]
		if !sc.forgets && (g.last != w.last || g.begun != w.begun || g.last != uint64(len(ids))) {
			t.Errorf("%q ends as %+v, want %+v", app, g, w)
		}
		for _, e := range readAll(t, s, app).Entries {
			if at := len(ids) - 1 - int(g.last-e.Position); at < 0 || ids[at] != e.CutBytes {
				t.Errorf("%q, whose last position is %d, has entry %d at position %d", app, g.last, e.CutBytes, e.Position)
			}
		}
	}
}

// appended returns, by app, what the operations before end appended since the last delete.
func (sc *scenario) appended(end int) map[string][]uint64 {
	ids := map[string][]uint64{}
	for _, o := range sc.ops[:end] {
		group := o.batch.Apps[0]
		if len(group.Entries) == 0 {
			ids[group.App] = nil
		}
		for _, e := range group.Entries {
			ids[group.App] = append(ids[group.App], e.CutBytes)
		}
	}
	return ids
}

// within reports whether b contains all of a.
func within(a, b []uint64) bool {
	return !slices.ContainsFunc(a, func(id uint64) bool { return !slices.Contains(b, id) })
}

// revive recovers, but first dies during that too, at a step that differs from case to case.
func (sc *scenario) revive(t *testing.T, m *mapping, k int) *storage {
	t.Helper()
	var s *storage
	var err error
	open := func() { s, err = newStorage(m, sc.lines, hclog.NewNullLogger()) }
	dying(m, k%37, open)
	open()
	if err != nil {
		t.Fatal(err)
	}
	if problem := s.audit(); problem != "" {
		t.Error("recovered: ", problem)
	}
	return s
}

// compare judges what an interrupted operation left. Of its own app, it may have added or deleted
// everything or nothing. Of all apps, the oldest entries may be missing. The views come from
// different runs of the script, and so do their epochs: only whether there is an epoch is compared.
func (sc *scenario) compare(t *testing.T, target string, before, after, got map[string]view) {
	t.Helper()
	for _, app := range sc.apps {
		b, a, g := before[app], after[app], got[app]
		ok := false
		switch {
		case g.begun == b.begun && g.last == b.last:
			// The operation was not done, but entries that had to make room for it may be gone
			// already.
			ok = within(g.ids, b.ids) && (app == target || a.begun != b.begun || within(a.ids, g.ids))
		case app == target && g.last == a.last && g.begun == a.begun:
			ok = slices.Equal(g.ids, a.ids)
		case sc.forgets && !g.begun && (len(b.ids) == 0 || len(a.ids) == 0 || app == target):
			ok = true // empty before, or now, or in between, and forgotten for its slot
		}
		if !ok {
			t.Errorf("%q was %+v, is %+v, would be %+v", app, b, g, a)
		}
	}
}
