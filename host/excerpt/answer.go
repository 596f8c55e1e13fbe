package excerpt

import (
	"context"
	"io"
	"time"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// matchTime bounds how long the filter may take for one batch.
const matchTime = 2 * time.Second

// Answer reads an excerpt of the kept lines. The caller closes it.
type Answer struct {
	*read.Answer
	*Excerpt

	logs   *read.Logs
	search read.Search
	newest *newestMatches // gives the answer, unless it is nil
}

// Open begins the answer to a query. q.Lines counts matches.
func Open(ctx context.Context, logs *read.Logs, q read.Query, opts Options) (_ *Answer, err error) {
	a := &Answer{logs: logs}
	matches, at := q.Lines, q.After
	// How many lines hold that many matches is known only after reading them.
	all := opts.around() || q.Groups
	if opts.Matches = -1; all && !at.IsZero() {
		opts.Matches = matches
	}
	if q.Filter, q.Search = opts.Log(), &a.search; all && matches != 0 {
		q.Lines = -1
	}
	gather := all && matches > 0 && q.After.IsZero()
	q.Gather = gather
	if a.Answer, err = logs.Open(ctx, q); err != nil {
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

// Next does what [read.Answer.Next] does.
func (a *Answer) Next(ctx context.Context) (read.Batch, error) {
	if a.newest != nil {
		return a.newest.next()
	}
	if a.Done() {
		return read.Batch{}, io.EOF
	}
	return a.next(ctx)
}

// next reads on. The filter's time counts as part of the search.
func (a *Answer) next(ctx context.Context) (out read.Batch, err error) {
	b, err := a.Answer.Next(ctx)
	if err != nil {
		return b, err
	}
	err = a.logs.Spend(&a.search, func() error {
		out, err = a.within(ctx, &b, read.ErrSearch)
		return err
	})
	return out, err
}

// within takes a batch, and fails with the error late if that takes too long.
func (a *Answer) within(ctx context.Context, b *read.Batch, late error) (read.Batch, error) {
	limited, cancel := context.WithTimeout(ctx, matchTime)
	defer cancel()
	out, err := a.Take(limited, b)
	if err != nil && ctx.Err() == nil {
		err = late
	}
	return out, err
}

// Live returns the excerpt of a batch that came after the kept lines. It fails with
// [sdk.ErrTooExpensive] if the filter takes too long.
func (a *Answer) Live(ctx context.Context, b *read.Batch) (read.Batch, error) {
	return a.within(ctx, b, sdk.ErrTooExpensive)
}
