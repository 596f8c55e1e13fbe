package read

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/deis/logger/sdk"
)

// searchPage is the most entries that are asked for at once.
const searchPage = 4000

// newest is what was found of an app's newest lines.
type newest struct {
	end     sdk.Cursor // the plain cursor behind them; zero without a log
	version uint64     // of the log, when the first page was read
	count   int        // of the lines
	last    sdk.Entry  // the one that arrived last
	// begins is the place just before the oldest of them.
	begins sdk.Cursor
	// pieces says that some of them came in pieces.
	pieces bool
	// large says that they are more than was gathered: nothing of them is kept.
	large bool
}

// errMoved is the error of an answer whose pages do not fit together.
var errMoved = fmt.Errorf("the log changed while it was read: %w", sdk.ErrUnavailable)

// findNewest reads the newest lines, negative for all, that pass the filter, page by page
// from the end. It gives each page to keep, the newest first, which says how many bytes it
// holds then, until they are more than gatherBytes: of what is older it only counts. All
// of a log without a filter it does not count. Reset takes back what was kept.
//
// Newer lines may push out older ones between two pages. Then it ends with as many newer
// ones, which it gives to keep as newer than all before.
func (s *share) findNewest(
	ctx context.Context, app string, lines int, filter sdk.Filter, keep func(page []sdk.Entry, newer bool) int, reset func(),
) (n newest, err error) {
	opts := sdk.ReadOptions{App: app, Filter: filter}
	var published time.Time // of the newest line
	for left := tries; ; {
		opts.Limit = searchPage
		if lines >= 0 {
			opts.Limit = min(opts.Limit, lines-n.count)
		}
		if s.few {
			opts.Limit = min(opts.Limit, fewLines+1)
		}
		most := opts.Limit
		if s.edge && opts.Limit == lines-n.count {
			opts.Limit += joinEdge
		}
		p, err := s.Read(ctx, opts)
		if err == nil && s.edge && p.More && len(p.Entries) >= lines-n.count && len(p.Entries) < opts.Limit && most < opts.Limit {
			// The page ended before all that is to be looked at.
			beyond, fault := s.Read(ctx, sdk.ReadOptions{App: app, Limit: joinEdge, Before: p.Next})
			err, n.pieces = fault, hasPieces(beyond.Entries)
		}
		n.pieces = n.pieces || s.edge && hasPieces(p.Entries)
		if len(p.Entries) > most {
			p.Entries = p.Entries[len(p.Entries)-most:]
		}
		opts.Limit = most
		switch {
		case err != nil || n.pieces:
			return n, err
		case n.end.IsZero() && p.Epoch == 0:
			return n, nil
		case n.end.IsZero():
			n.end, n.version = p.End(), p.Version
			n.begins = n.end.HistoryBegin()
			for i := len(p.Entries) - 1; i >= 0 && n.last.Position != n.end.Position; i-- {
				n.last = p.Entries[i]
			}
			if len(p.Entries) > 0 {
				published = p.Entries[len(p.Entries)-1].Published
			}
		case p.Epoch != n.end.Epoch: // it began anew meanwhile
			if left--; left == 0 {
				return n, errMoved
			}
			reset()
			n, opts.Before = newest{}, sdk.Cursor{}
			continue
		}
		n.count += len(p.Entries)
		if !n.large {
			if n.large = keep(p.Entries, false) > s.reader.gather; n.large {
				reset()
			}
		}
		// All that is asked for may be fewer than there are.
		over := n.count == lines || !p.More && len(p.Entries) < opts.Limit
		switch {
		case s.few && (!over || n.count > fewLines || n.large):
			return n, errLong
		case n.large && lines < 0 && filter.IsZero():
			return n, nil // from the beginning
		case over:
			if n.count == lines && len(p.Entries) > 0 {
				n.begins = begins(n.end, &p.Entries[0])
			}
			if n.count < lines && !n.large && filter.IsZero() && p.Last > n.end.Position {
				found := n
				entries, ok, err := s.arrived(ctx, app, lines-n.count, &n)
				if err == nil && ok && s.edge && hasPieces(entries) {
					found.pieces = true
				}
				if err != nil || !ok || found.pieces || len(entries) > 0 && entries[0].Published.Before(published) {
					return found, err
				}
				keep(entries, true)
				n.count += len(entries)
			}
			return n, nil
		}
		opts.Before = p.Next
	}
}

// arrived reads the entries that arrived behind those that were found, up to a limit, in the
// order of publishing, and puts n behind them. It reports false if the log is not the one of
// which n tells.
func (s *share) arrived(ctx context.Context, app string, limit int, n *newest) (_ []sdk.Entry, ok bool, _ error) {
	if n.last.Position != n.end.Position {
		return nil, false, nil
	}
	// The last of what was found comes again: a storage that went back to an earlier state
	// uses its positions again.
	p, err := s.Read(ctx, sdk.ReadOptions{App: app, Limit: limit + 1, After: sdk.Cursor{Epoch: n.end.Epoch, Position: n.end.Position - 1}})
	if err != nil || p.Epoch != n.end.Epoch || len(p.Entries) == 0 {
		return nil, false, err
	}
	last, entries := &p.Entries[0], p.Entries[1:]
	if last.Position != n.last.Position || !last.Published.Equal(n.last.Published) || last.Message != n.last.Message {
		return nil, false, nil
	}
	n.last, n.version = p.Entries[len(entries)], p.Version
	if p.More {
		n.version = 0
	}
	n.end = p.Next.Plain()
	n.begins = n.end.HistoryBegin()
	slices.SortStableFunc(entries, func(a, b sdk.Entry) int { return a.Published.Compare(b.Published) })
	return entries, true, nil
}
