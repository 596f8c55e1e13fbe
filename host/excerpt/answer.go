package excerpt

import (
	"context"
	"io"
	"time"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// matchTime bounds what the filter may take of one batch.
const matchTime = 2 * time.Second

// Answer is what an excerpt has of what is kept. The caller closes it.
type Answer struct {
	*read.Answer
	*Excerpt

	reader *read.Reader
	search read.Search
	newest *newest // the answer, unless it is nil
}

// Open begins the answer to a query: q.Lines counts matches.
func Open(ctx context.Context, reader *read.Reader, q read.Query, opts Options) (_ *Answer, err error) {
	a := &Answer{reader: reader}
	matches, at := q.Lines, q.After
	// How many lines have to be read for so many matches is only known once they are.
	all := opts.around() || q.Groups
	if opts.Matches = -1; all && !at.IsZero() {
		opts.Matches = matches
	}
	if q.Filter, q.Search = opts.Log(), &a.search; all && matches != 0 {
		q.Lines = -1
	}
	gather := all && matches > 0 && q.After.IsZero()
	q.Gather = gather
	if a.Answer, err = reader.Open(ctx, q); err != nil {
		return nil, err
	}
	if at.IsZero() {
		at = read.Place{Cursor: a.Begins}
	}
	a.Excerpt, err = New(opts, at)
	if err == nil && gather {
		if a.newest, err = newestOf(ctx, matches, opts.Before, a.next); err == nil {
			a.Gathered(a.newest.bytes)
		}
	}
	if err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// Next does what it does in [read.Answer].
func (a *Answer) Next(ctx context.Context) (read.Batch, error) {
	if a.newest != nil {
		return a.newest.next()
	}
	if a.Done() {
		return read.Batch{}, io.EOF
	}
	return a.next(ctx)
}

// next reads on. What the filter takes counts as part of the search.
func (a *Answer) next(ctx context.Context) (out read.Batch, err error) {
	b, err := a.Answer.Next(ctx)
	if err != nil {
		return b, err
	}
	err = a.reader.Spend(&a.search, func() error {
		out, err = a.within(ctx, &b, read.ErrSearch)
		return err
	})
	return out, err
}

// within takes a batch, and fails with late if that takes too long.
func (a *Answer) within(ctx context.Context, b *read.Batch, late error) (read.Batch, error) {
	limited, cancel := context.WithTimeout(ctx, matchTime)
	defer cancel()
	out, err := a.Take(limited, b)
	if err != nil && ctx.Err() == nil {
		err = late
	}
	return out, err
}

// Live returns what is in the excerpt of a batch that came behind what was kept. It fails with
// [sdk.ErrTooExpensive] if the filter takes too long.
func (a *Answer) Live(ctx context.Context, b *read.Batch) (read.Batch, error) {
	return a.within(ctx, b, sdk.ErrTooExpensive)
}
