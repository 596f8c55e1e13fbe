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
	long   bool       // there is more than few lines; nothing else is said
}

// find looks for the place where the newest lines begin that pass the filter, or takes
// the cursor that the request has, and reads the first page that follows. What there may
// be much of waits for its turn. The caller closes the reading.
func (v *API) find(ctx context.Context, app string, q *query) (s start, r Reading, err error) {
	if q.filter == nil || !q.after.IsZero() {
		if r, err = v.readers.Begin(ctx, true); err != nil {
			return s, nil, err
		}
		s, err = v.look(ctx, app, q, true)
		if err == nil && !s.long && r.Done(s.bytes()) {
			return s, r, nil
		}
		r.Close()
		if err != nil {
			return s, nil, err
		}
	}
	if r, err = v.readers.Begin(ctx, false); err != nil {
		return s, nil, err
	}
	if s, err = v.look(ctx, app, q, false); err != nil {
		r.Close()
		return s, nil, err
	}
	r.Done(s.bytes())
	return s, r, nil
}

// look is find without turns. If it is for few lines only, it may say that it is long.
func (v *API) look(ctx context.Context, app string, q *query, few bool) (s start, err error) {
	log, err := v.opts.Storage.Read(ctx, sdk.ReadOptions{App: app})
	if err != nil {
		return s, err
	}
	s.exists, s.end = log.Epoch != 0, log.End()
	s.after = sdk.Beginning()
	switch {
	case !q.after.IsZero():
		s.after = q.after
		// Of a log that began since, all is newer.
		if q.floor.Epoch == log.Epoch && (q.after.Epoch != log.Epoch || q.after.Position < q.floor.Position) && s.exists {
			s.after = q.floor
		}
		return v.first(ctx, app, q, s, few)
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
		if s, err = v.findMatching(ctx, app, q, s); err != nil {
			return s, err
		}
		return v.first(ctx, app, q, s, few)
	}
	read := limit
	if few && (limit < 0 || limit > fewLines) {
		read = fewLines + 1
	}
	page, err := v.opts.Storage.Read(ctx, sdk.ReadOptions{App: app, Limit: read})
	if err != nil {
		return s, err
	}
	if few && (page.More || len(page.Entries) > fewLines) {
		s.long = true
		return s, nil
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

// fewLines is how many may be read without waiting for long logs.
const fewLines = 1000

// first reads the page after the cursor.
func (v *API) first(ctx context.Context, app string, q *query, s start, few bool) (start, error) {
	// A cursor beyond the end is answered with a gap, and with the end.
	beyond := s.after.Epoch == s.end.Epoch && s.after.Position > s.end.Position
	if q.lines == 0 && q.pages && !beyond {
		return s, nil
	}
	limit := fewLines
	if few {
		limit++ // shows that there are more
	}
	if q.pages && q.filter == nil && q.lines > 0 {
		limit = min(limit, q.lines)
	}
	page, err := v.opts.Storage.Read(ctx, sdk.ReadOptions{App: app, Limit: limit, After: s.after})
	if err != nil {
		return s, err
	}
	if few && (page.More || len(page.Entries) > fewLines) {
		s.long = true
		return s, nil
	}
	s.page = &page
	return s, nil
}

// bytes are about what the page takes, with what is made of it.
func (s *start) bytes() int {
	if s.page == nil {
		return 0
	}
	return batchBytes(s.page.Entries)
}

func batchBytes(entries []sdk.Entry) (n int) {
	for i := range entries {
		n += 512 + 2*len(entries[i].Message)
	}
	return n
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
