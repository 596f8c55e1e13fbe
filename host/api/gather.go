package api

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/deis/logger/sdk"
)

const (
	// largeAnswers is how many answers of more than one page may be held at once.
	// Such a one can be as large as all that is kept of an app.
	largeAnswers = 4
	// gatherTries is how often an answer is begun again because the log changed
	// under it.
	gatherTries = 5
)

// errMoved is the error of an answer whose pages do not fit together: entries that
// belong between them were pushed out, or the log was deleted.
var errMoved = errors.New("the log changed while it was read")

// gather reads and renders the newest entries of an app, whole: nothing is sent before
// all is here, so that an answer has no hole and a failure has a status. The caller
// releases the answer.
func (a *API) gather(ctx context.Context, app string, limit int) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, a.opts.StorageTimeout)
	defer cancel()
	page := pages.Get().(*sdk.Page)
	defer putPage(page)
	for range gatherTries {
		err := a.read(ctx, sdk.ReadOptions{App: app, Limit: limit}, page)
		if err != nil {
			return nil, err
		}
		text := &answer{}
		text.add(app, page)
		if !page.More {
			a.cache.keep(app, limit, page, false)
			return text, nil
		}
		select {
		case a.large <- struct{}{}:
			text.free = func() { <-a.large }
		case <-ctx.Done():
			text.release()
			return nil, fmt.Errorf("too many large answers at once: %w", sdk.ErrUnavailable)
		}
		err = a.rest(ctx, app, limit, page, text)
		if err == nil {
			return text, nil
		}
		text.release()
		if !errors.Is(err, errMoved) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w, again and again: %w", errMoved, sdk.ErrUnavailable)
}

// rest renders what follows the first page, up to where the log ended when that was
// read.
func (a *API) rest(ctx context.Context, app string, limit int, page *sdk.Page, text *answer) error {
	end, err := a.end(ctx, app)
	if err != nil {
		return err
	}
	if last := page.First + uint64(max(limit, 0)) - 1; limit > 0 && last < end.Position {
		end.Position = last // it had that many at least
	}
	for page.More && page.End().Position < end.Position {
		after := page.End()
		left := end.Position - after.Position
		err := a.read(ctx, sdk.ReadOptions{App: app, Limit: int(left), After: after}, page)
		switch {
		case err != nil:
			return err
		case page.Epoch != after.Epoch || page.Epoch != end.Epoch || page.First != after.Position+1 || len(page.Entries) == 0:
			return errMoved
		}
		text.add(app, page)
	}
	return nil
}

// end is the place after the app's newest entry.
func (a *API) end(ctx context.Context, app string) (sdk.Cursor, error) {
	page, err := a.opts.Storage.Read(ctx, sdk.ReadOptions{App: app})
	return page.End(), err
}

// reader is a [Storage] that can read into a page that was used before.
type reader interface {
	ReadInto(ctx context.Context, opts sdk.ReadOptions, page *sdk.Page) error
}

// read reads into the page, of which nothing stays.
func (a *API) read(ctx context.Context, opts sdk.ReadOptions, page *sdk.Page) error {
	clear(page.Entries)
	if r, ok := a.opts.Storage.(reader); ok {
		return r.ReadInto(ctx, opts, page)
	}
	read, err := a.opts.Storage.Read(ctx, opts)
	read.Entries = append(page.Entries[:0], read.Entries...) // what is used again is ours
	*page = read
	return err
}

// maxPageEntries bounds what of a page is kept to be used again.
const maxPageEntries = 8192

var pages = sync.Pool{New: func() any { return new(sdk.Page) }}

func putPage(page *sdk.Page) {
	if cap(page.Entries) > maxPageEntries {
		return
	}
	clear(page.Entries) // their texts may go
	pages.Put(page)
}
