package memory

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/deis/logger/sdk"
)

func TestTogether(t *testing.T) {
	groups := func(sizes ...int) (groups []sdk.AppEntries) {
		for _, n := range sizes {
			groups = append(groups, sdk.AppEntries{Entries: make([]sdk.Entry, n)})
		}
		return groups
	}
	for name, tc := range map[string]struct {
		groups []sdk.AppEntries
		want   int
	}{
		"a large one goes alone":  {groups(1000, 1), 1},
		"a large one ends it":     {groups(1, 1, 64), 2},
		"few entries":             {groups(32, 32, 1), 2},
		"few apps":                {groups(make([]int, 40)...), fewApps},
		"the last ones":           {groups(0, 1, 2), 3},
		"as many as there may be": {groups(64), 1},
	} {
		if got := together(tc.groups); got != tc.want {
			t.Errorf("%s: %d together, want %d", name, got, tc.want)
		}
	}
}

// TestManyAppsInABatch: new apps, known ones and those without entries are in each batch, in
// any order, few entries of most and many of some; and every other batch comes again, after
// the next.
func TestManyAppsInABatch(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	s := openHeap(t, 100_000, 8192)
	last := map[string]int{}
	var before sdk.Batch
	for sequence := uint64(1); sequence <= 60; sequence++ {
		batch := sdk.Batch{ID: sdk.BatchID{Writer: fmt.Sprint("w", sequence%3), Sequence: sequence}}
		for _, app := range random.Perm(90)[:45] {
			name := fmt.Sprint("app-", app)
			n := random.IntN(4)
			if random.IntN(10) == 0 {
				n = 100
			}
			group := sdk.AppEntries{App: name}
			for range n {
				last[name]++
				group.Entries = append(group.Entries, small(last[name], 200))
			}
			batch.Apps = append(batch.Apps, group)
		}
		for _, b := range []sdk.Batch{batch, before} {
			if err := s.Append(t.Context(), b); err != nil {
				t.Fatal(err)
			}
		}
		if before = batch; sequence%2 == 0 {
			before = sdk.Batch{}
		}
	}
	for name, n := range last {
		if n > 0 {
			wantRun(t, readAll(t, s, name), 1, n)
		}
	}
	if problem := s.audit(); problem != "" {
		t.Error(problem)
	}
}

// TestAppTwiceInABatch: there is one log for a new app that a batch names twice.
func TestAppTwiceInABatch(t *testing.T) {
	s := openHeap(t, 1000, 256)
	batch := batchOf("w", 1, "foo", small(1, 200))
	batch.Apps = append(batch.Apps, sdk.AppEntries{App: "foo", Entries: []sdk.Entry{small(2, 200)}})
	if err := s.Append(t.Context(), batch); err != nil {
		t.Fatal(err)
	}
	fill(t, s, "foo", 2, 3) // sequences 2 and 3
	wantRun(t, readAll(t, s, "foo"), 1, 3)
	if problem := s.audit(); problem != "" {
		t.Error(problem)
	}
}
