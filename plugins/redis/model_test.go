package redis

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/sdk"
)

// model is what an app's log should be: its messages are the numbers from 1 to last, of which
// the newest are kept.
type model struct{ last, kept int }

// check compares a log with its model: all of it, the newest, and what follows a cursor.
func (m model) check(t *testing.T, s *storage, random *rand.Rand) {
	t.Helper()
	page := readAll(t, s, "app")
	m.wantPage(t, "all", page, m.last-m.kept+1, m.kept)
	for range 4 {
		n := random.IntN(m.kept + 3)
		newest, err := s.Read(t.Context(), sdk.ReadOptions{App: "app", Limit: n})
		if err != nil {
			t.Fatal(err)
		}
		m.wantPage(t, fmt.Sprint("newest ", n), newest, m.last-min(n, m.kept)+1, min(n, m.kept))
		position := random.IntN(m.last + 2)
		at := sdk.Cursor{Epoch: page.Epoch, Position: uint64(position)}
		after, err := s.Read(t.Context(), sdk.ReadOptions{App: "app", Limit: n, After: at})
		if err != nil {
			t.Fatal(err)
		}
		first := min(max(position, m.last-m.kept), m.last) + 1
		if page.Epoch != 0 {
			count := min(n, m.last-first+1)
			if count == 0 {
				first = m.last + 1
			}
			m.wantPage(t, fmt.Sprint(n, " after ", position), after, first, count)
		}
		known, err := s.Read(t.Context(), sdk.ReadOptions{App: "app", Limit: n, Known: at})
		if err != nil {
			t.Fatal(err)
		}
		if page.Epoch != 0 {
			first := max(first, m.last-min(n, m.kept)+1)
			m.wantPage(t, fmt.Sprint("newest ", n, " but ", position), known, first, m.last-first+1)
		}
	}
	infos, err := s.Apps(t.Context())
	if err != nil || len(infos) != min(m.kept, 1) {
		t.Fatalf("apps are %+v (%v), want %+v", infos, err, m)
	}
	if m.kept > 0 {
		i := infos[0]
		if i.Entries != uint64(m.kept) || i.Last != uint64(m.last) || i.Newest.Unix() != int64(m.last) || i.Oldest.Unix() != int64(m.last-m.kept+1) {
			t.Fatalf("app is %+v, want %+v", i, m)
		}
	}
}

func (m model) wantPage(t *testing.T, what string, page sdk.Page, first, count int) {
	t.Helper()
	if page.First != uint64(first) || len(page.Entries) != count || page.More ||
		m.last > 0 && page.Oldest != uint64(m.last-m.kept+1) {
		t.Fatalf("%s: %d entries from %d (oldest %d, more %t), want %d from %d of %+v",
			what, len(page.Entries), page.First, page.Oldest, page.More, count, first, m)
	}
	for i, e := range page.Entries {
		if e.Message != fmt.Sprint(first+i) {
			t.Fatalf("%s: position %d has %q", what, first+i, e.Message)
		}
	}
}

// TestModel does at random what can happen to a log, and compares it with its model.
func TestModel(t *testing.T) {
	server := redistest.Start(t)
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			server.MustDo("FLUSHALL")
			modelRun(t, server, rand.New(rand.NewPCG(seed, 0)), seed%2 == 1)
		})
	}
}

func modelRun(t *testing.T, server *redistest.Server, random *rand.Rand, scripted bool) {
	var m model
	var gone, deleted int
	lines := 0
	opened := func() *storage {
		lines = 1 + random.IntN(60)
		s := open(t, server, func(s *Settings) { s.Lines, s.PipelineLength = lines, 1+random.IntN(40) })
		s.scripted.Store(scripted)
		return s
	}
	s := opened()
	for step := range uint64(120) {
		switch n := random.IntN(20); n {
		case 0:
			gone, deleted = gone+m.last-m.kept, deleted+m.kept
			if err := s.Delete(t.Context(), "app"); err != nil {
				t.Fatal(err)
			}
			m = model{}
		case 1:
			s = opened()
		case 2:
			server.MustDo("DEL", blocksKey("app"))
			m.kept = 0
		case 3:
			if m.kept > 0 {
				server.MustDo(append([]string{"RPUSH", blocksKey("app")}, []string{"a", "b", "c"}[:1+random.IntN(3)]...)...)
			}
		case 4:
			server.MustDo("SCRIPT", "FLUSH")
		default:
			count := 1 + random.IntN(1+random.IntN(90))
			b := batch("w", step+1, "app", m.last+1, m.last+count)
			if n < 8 { // it is stored in part by another plugin, which dies
				if err := s.load(t.Context()); err != nil {
					t.Fatal(err)
				}
				dying := opened()
				w := watch(dying)
				w.after = func(error) error { return errors.New("the plugin dies here") }
				_ = dying.Append(t.Context(), b)
				page, err := dying.Read(t.Context(), sdk.ReadOptions{App: "app"})
				if err != nil {
					t.Fatal(err)
				}
				stored := int(page.First) - 1 - m.last
				m = model{m.last + stored, min(m.kept+stored, lines)}
				m.check(t, dying, random)
				count -= stored
			}
			for range 1 + random.IntN(2) {
				mustAppend(t, s, b)
			}
			if count > 0 { // else all of it was there, and nothing is trimmed
				m = model{m.last + count, min(m.kept+count, s.settings.Lines)}
			}
		}
		m.check(t, s, random)
	}
	departed, err := s.Departed(t.Context())
	if err != nil || departed.Evicted != uint64(gone) || departed.Deleted != uint64(deleted) {
		t.Errorf("%+v (%v), want %d evicted and %d deleted", departed, err, gone, deleted)
	}
}
