package api

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/deis/logger/sdk"
)

const (
	// A page is about pageBytes when it is rendered; a large entry makes it more.
	pageBytes = 5 << 18
	// fewLines is how many lines may be read without waiting for long logs: as a rule
	// they are one page.
	fewLines = 1000
	// smallBytes and largeBytes bound what answers of one page hold, and larger ones.
	// Such a one can be as large as all that is kept of an app.
	smallBytes, largeBytes = 16 << 20, 32 << 20
	// gatherTries is how often an answer is begun again because the log changed
	// under it.
	gatherTries = 5
)

// readers bounds what all readers together take of the host and of its storage.
type readers struct {
	smallTurns, largeTurns *turns // to read from the storage
	pageTurns              *turns // ... a further page
	smallBytes, largeBytes *ledger
}

func newReaders() *readers {
	processors := runtime.GOMAXPROCS(0)
	return &readers{
		smallTurns: &turns{places: max(16, 2*processors)}, smallBytes: newLedger(smallBytes),
		// One page is read and rendered at a time for each: more would not be faster.
		largeTurns: &turns{places: max(2, processors/2)}, largeBytes: newLedger(largeBytes),
		pageTurns: &turns{places: max(2, processors/2)},
	}
}

// errMoved is the error of an answer whose pages do not fit together: entries that
// belong between them were pushed out, or the log was deleted.
var errMoved = errors.New("the log changed while it was read")

// gather reads and renders the newest entries of an app, whole: nothing is sent before
// all is here, so that an answer has no hole and a failure has a status. The caller
// releases the answer.
func (a *API) gather(ctx context.Context, app string, limit int) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, a.opts.StorageTimeout)
	defer cancel()
	text, err := a.small(ctx, app, limit)
	if text != nil || err != nil {
		return text, err
	}
	return a.large(ctx, app, limit)
}

// small is gather for what is one page. It gives nothing if it is not, or if too much
// is being sent already.
func (a *API) small(ctx context.Context, app string, limit int) (_ *answer, err error) {
	end, err := a.readers.smallTurns.take(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { end(err == nil) }()
	if limit < 0 || limit > fewLines {
		if few, err := a.few(ctx, app); !few || err != nil {
			return nil, err
		}
	}
	page := pages.Get().(*sdk.Page)
	defer putPage(page)
	version := a.version()
	if err := a.read(ctx, sdk.ReadOptions{App: app, Limit: limit}, page); err != nil || page.More {
		return nil, err
	}
	text := &answer{}
	text.add(app, page)
	a.cache.keep(app, limit, page, version, false)
	var ok bool
	if text.hold, ok = a.readers.smallBytes.try(text.held); !ok {
		text.release()
		return nil, nil
	}
	return text, nil
}

// few says that the app has no more than a few lines.
func (a *API) few(ctx context.Context, app string) (bool, error) {
	end, err := a.end(ctx, app)
	if err != nil || end.Position <= fewLines {
		return err == nil, err
	}
	// The oldest entry, which follows the beginning of any other epoch.
	oldest, err := a.opts.Storage.Read(ctx, sdk.ReadOptions{App: app, Limit: 1, After: sdk.Cursor{Epoch: end.Epoch}})
	return err == nil && (len(oldest.Entries) == 0 || end.Position-oldest.First < fewLines), err
}

// large is gather for any number of pages.
func (a *API) large(ctx context.Context, app string, limit int) (_ *answer, err error) {
	end, err := a.readers.largeTurns.take(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { end(err == nil) }()
	page := pages.Get().(*sdk.Page)
	defer putPage(page)
	text := &answer{hold: a.readers.largeBytes.open()}
	for range gatherTries {
		if err = a.pages(ctx, app, limit, page, text); err == nil {
			text.hold.gathered()
			return text, nil
		}
		text.clear()
		text.hold.set(0)
		if !errors.Is(err, errMoved) {
			break
		}
		err = fmt.Errorf("%w, again and again: %w", errMoved, sdk.ErrUnavailable)
	}
	text.release()
	return nil, err
}

// pages renders all pages.
func (a *API) pages(ctx context.Context, app string, limit int, page *sdk.Page, text *answer) error {
	err := a.next(ctx, sdk.ReadOptions{App: app, Limit: limit}, page, text)
	if err != nil {
		return err
	}
	text.add(app, page)
	text.hold.set(text.held)
	if !page.More {
		return nil
	}
	return a.rest(ctx, app, limit, page, text)
}

// next reads a page once there is room for it.
func (a *API) next(ctx context.Context, opts sdk.ReadOptions, page *sdk.Page, text *answer) error {
	if err := text.hold.grow(ctx, pageBytes); err != nil {
		return err
	}
	return a.read(ctx, opts, page)
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
		err := a.next(ctx, sdk.ReadOptions{App: app, Limit: int(left), After: after}, page, text)
		switch {
		case err != nil:
			return err
		case page.Epoch != after.Epoch || page.Epoch != end.Epoch || page.First != after.Position+1 || len(page.Entries) == 0:
			return errMoved
		}
		text.add(app, page)
		text.hold.set(text.held)
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

// version numbers what the storage keeps, if it can tell: as long as it is the same and
// not 0, nothing has changed.
func (a *API) version() uint64 {
	if v, ok := a.opts.Storage.(interface{ Version() uint64 }); ok {
		return v.Version()
	}
	return 0
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
