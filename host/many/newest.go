package many

import (
	"cmp"
	"context"
	"errors"
	"io"
	"slices"

	"github.com/deis/logger/host/read"
)

// newest finds the places where the newest lines of all apps together begin. It is not known
// beforehand how many of those an app has. So newest first looks at few lines of each app, and then
// at more lines of those apps whose lines are all among the newest.
func (hs *Histories) newest(ctx context.Context, sources []*source, q Query, search *read.Search) error {
	found := make([]edge, len(sources))
	for i := range found {
		found[i].wanted = min(q.Lines, max(fewest, 4*q.Lines/len(sources)))
	}
	for short := sources; len(short) > 0; {
		err := each(ctx, short, func(ctx context.Context, s *source) error {
			i, _ := slices.BinarySearchFunc(sources, s.app, func(s *source, app string) int { return cmp.Compare(s.app, app) })
			return found[i].look(ctx, hs.logs, s, read.Query{App: s.app, Lines: found[i].wanted + 1, Filter: q.Filter, Search: search})
		})
		if err != nil {
			return err
		}
		chosen := choose(found, q.Lines)
		short = nil
		for i, s := range sources {
			if e := &found[i]; chosen[i] > e.wanted {
				e.wanted = min(4*e.wanted, q.Lines)
				short = append(short, s)
				continue
			}
			found[i].begin(s, chosen[i])
		}
	}
	return nil
}

// fewest is the least number of lines of an app to look at first.
const fewest = 16

// edge holds the newest lines of one app: one more than wanted, unless there are no more.
type edge struct {
	wanted int
	lines  []line
	log    *read.Log // behind them
}

// line holds a line's time and place, which alone count here.
type line struct {
	published int64
	before    read.Place // just before it
}

// look reads the app's newest lines.
func (e *edge) look(ctx context.Context, logs *read.Logs, s *source, q read.Query) error {
	a, err := logs.Open(ctx, q)
	if err != nil {
		return err
	}
	defer a.Close()
	s.exists, e.lines = a.Exists, e.lines[:0]
	for before := a.Start(); ; {
		b, err := a.Next(ctx)
		if errors.Is(err, io.EOF) {
			e.log = a.Log()
			return nil
		}
		if err != nil {
			return err
		}
		for i := range b.Entries {
			e.lines = append(e.lines, line{published(&b.Entries[i]), before})
			before = b.Place(i)
		}
	}
}

// choose returns how many of each app's lines are among the newest n of all.
func choose(found []edge, n int) []int {
	chosen := make([]int, len(found))
	for ; n > 0; n-- {
		newest := -1
		for i := range found {
			left := len(found[i].lines) - chosen[i]
			if left == 0 {
				continue
			}
			// Of lines of the same time, those of the app with the last name come last.
			if newest < 0 || found[i].lines[left-1].published >= found[newest].lines[len(found[newest].lines)-chosen[newest]-1].published {
				newest = i
			}
		}
		if newest < 0 {
			break
		}
		chosen[newest]++
	}
	return chosen
}

// begin makes the source begin before its last n lines.
func (e *edge) begin(s *source, n int) {
	if n == 0 {
		s.log, s.start = e.log, e.log.At()
		return
	}
	s.start = e.lines[len(e.lines)-n].before
}
