package read

import (
	"context"
	"errors"

	"github.com/deis/logger/sdk"
)

// The functions below serve what shows the logs of several apps as one.

// Start returns the place before the first of the newest lines.
func (a *Answer) Start() Place {
	n := a.found
	switch {
	case n == nil || n.end.IsZero():
		return a.log.at
	case a.share.apart: // how many entries pass is not known
		return Place{Cursor: n.from}
	default:
		return Place{Cursor: n.from, N: n.behind, Of: a.log.of}
	}
}

// Beginning returns the place before everything that is kept of an app, and reports whether there
// is anything.
func (l *Logs) Beginning(ctx context.Context, app string) (at Place, exists bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Timeout)
	defer cancel()
	p, err := l.opts.Storage.Read(ctx, sdk.ReadOptions{App: app})
	if err != nil || p.Epoch == 0 {
		return Place{Cursor: sdk.Beginning()}, false, err
	}
	at, err = l.beginning(ctx, app, p.End())
	return at, true, err
}

// beginning does what Beginning does, for a log whose end is known.
func (l *Logs) beginning(ctx context.Context, app string, end sdk.Cursor) (Place, error) {
	info, err := l.opts.Storage.App(ctx, app)
	if errors.Is(err, sdk.ErrUnsupported) { // nor is it known what becomes missing while it is read
		return Place{Cursor: end.HistoryBegin()}, nil
	}
	end.Position = info.Last
	return Place{Cursor: end.HistoryBegin(), N: info.Entries}, err
}

// Resume begins an answer of everything behind q.After, in pages of at most so many entries. It
// waits for a turn for each page, and takes none of the memory for answers: the caller has a [Hold]
// for that.
func (l *Logs) Resume(ctx context.Context, q Query, page int) (*Answer, error) {
	a, err := l.answer(q, &share{logs: l})
	if err != nil {
		return nil, err
	}
	a.page = page
	return a, a.share.again(ctx, func() error {
		_, err := a.resume(ctx)
		return err
	})
}

// Page sets how many entries the next pages may have.
func (a *Answer) Page(entries int) { a.page = entries }

// Hold waits for so many bytes of the memory for answers, for several that are sent as one. The
// caller closes the hold.
func (l *Logs) Hold(ctx context.Context, bytes int) (*Hold, error) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Timeout)
	defer cancel()
	return l.largeBytes.Hold(ctx, min(bytes, gatherBytes))
}

// Split returns the first n entries of the batch, at least one, and the rest.
func (b *Batch) Split(n int) (first, others Batch) {
	first, others = *b, *b
	first.cut(n)
	others.Entries, others.first = b.Entries[n:], b.first+n
	return first, others
}
