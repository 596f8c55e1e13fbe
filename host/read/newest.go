package read

import (
	"context"
	"fmt"

	"github.com/deis/logger/sdk"
)

// searchPage is the most entries that are asked for at once.
const searchPage = 4000

// newest is what was found of an app's newest lines.
type newest struct {
	end     sdk.Cursor // the plain cursor behind them; zero without a log
	version uint64     // of the log, when the first page was read
	count   int        // of the lines
	// begins is the place just before the oldest of them.
	begins sdk.Cursor
	// large says that they are more than was gathered: nothing of them is kept.
	large bool
}

// errMoved is the error of an answer whose pages do not fit together.
var errMoved = fmt.Errorf("the log changed while it was read: %w", sdk.ErrUnavailable)

// findNewest reads the newest lines, negative for all, that pass the filter, page by page
// from the end. It gives each page to keep, the newest first, which says how many bytes it
// holds then, until they are more than gatherBytes: of what is older it only counts. All
// of a log without a filter it does not count. Reset takes back what was kept.
func (s *share) findNewest(
	ctx context.Context, app string, lines int, filter sdk.Filter, keep func([]sdk.Entry) int, reset func(),
) (n newest, err error) {
	opts := sdk.ReadOptions{App: app, Filter: filter}
	for left := tries; ; {
		opts.Limit = searchPage
		if lines >= 0 {
			opts.Limit = min(opts.Limit, lines-n.count)
		}
		if s.few {
			opts.Limit = min(opts.Limit, fewLines+1)
		}
		p, err := s.Read(ctx, opts)
		switch {
		case err != nil:
			return n, err
		case n.end.IsZero() && p.Epoch == 0:
			return n, nil
		case n.end.IsZero():
			n.end, n.version = p.End(), p.Version
			n.begins = n.end.HistoryBegin()
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
			if n.large = keep(p.Entries) > s.reader.gather; n.large {
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
			return n, nil
		}
		opts.Before = p.Next
	}
}
