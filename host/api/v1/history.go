package v1

import (
	"context"

	"github.com/deis/logger/host/follow"
	"github.com/deis/logger/sdk"
)

// start is where an answer begins.
type start struct {
	exists bool       // the app has a log
	after  sdk.Cursor // what follows it is the answer
	page   *sdk.Page  // the first that follows it, if it is read already
	end    sdk.Cursor // of the log, when it was looked at
}

// find looks for the place where the newest lines begin that pass the filter, or takes
// the cursor that the request has.
func (v *API) find(ctx context.Context, app string, q *query) (s start, err error) {
	log, err := v.opts.Storage.Read(ctx, sdk.ReadOptions{App: app})
	if err != nil {
		return s, err
	}
	s.exists, s.end = log.Epoch != 0, log.End()
	s.after = sdk.Beginning()
	switch {
	case !q.after.IsZero():
		s.after = q.after
		return s, nil
	case !s.exists:
		return s, nil
	case q.lines == 0:
		s.after = s.end
		return s, nil
	}
	limit := q.lines
	if limit < 0 || uint64(limit) >= s.end.Position {
		limit = -1
	} else if q.filter != nil {
		return v.findMatching(ctx, app, q, s)
	}
	page, err := v.opts.Storage.Read(ctx, sdk.ReadOptions{App: app, Limit: limit})
	if err != nil {
		return s, err
	}
	s.exists, s.after, s.page = page.Epoch != 0, page.Cursor(-1), &page
	switch {
	case !page.More:
		s.end = page.End()
	case limit > 0:
		s.end = page.Cursor(limit - 1) // it had that many at least
	}
	if !s.exists {
		s.after = sdk.Beginning()
	}
	return s, nil
}

// window is how many entries are searched at first for one that is wanted.
const window = 4

// findMatching looks for the newest lines that pass the filter in more and more of the
// log's end. What it remembers of an entry is its position.
func (v *API) findMatching(ctx context.Context, app string, q *query, s start) (start, error) {
	for searched := max(uint64(q.lines)*window, 1000); ; searched *= 2 * window {
		limit := -1
		if searched < s.end.Position {
			limit = int(searched)
		}
		page, err := v.opts.Storage.Read(ctx, sdk.ReadOptions{App: app, Limit: limit})
		if err != nil {
			return s, err
		}
		reader := follow.NewReader(v.opts.Storage, app, page.Cursor(-1))
		s.after = page.Cursor(-1)
		b := reader.Take(page)
		var matches []sdk.Cursor // just before each
		whole := limit < 0 || len(page.Entries) < limit && !page.More
		for {
			for i := range b.Entries {
				if q.filter.wants(&b.Entries[i]) {
					matches = append(matches, b.Cursor(i-1))
				}
			}
			s.end = b.End()
			if !b.More {
				break
			}
			if b, err = reader.Next(ctx); err != nil {
				return s, err
			}
		}
		if len(matches) >= q.lines {
			s.after = matches[len(matches)-q.lines]
			return s, nil
		}
		if whole {
			return s, nil
		}
	}
}
