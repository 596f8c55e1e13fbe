package many

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// Lister has the calls of a storage that [Histories] needs.
type Lister interface {
	Apps(ctx context.Context, after string, limit int) ([]sdk.AppInfo, error)
	Totals(ctx context.Context) (sdk.Totals, error)
}

// Histories opens the history that several apps have together. Make it with [NewHistories].
type Histories struct {
	storage Lister
	logs    *read.Logs
	timeout time.Duration
	listing *semaphore.Weighted
}

const (
	// atOnce bounds how many apps of one request are read at once, and how many lists of apps the
	// storage makes at once.
	atOnce = 4
	// listPage bounds the apps that one call lists.
	listPage = 1000
	// mostLines is the most lines that a request may ask for, unless it asks for all: the place of
	// each is looked up first.
	mostLines = 100_000
	// lineBytes is the memory that is held for each line that is about to be sent.
	lineBytes = 4 << 10
	// allBytes is the most memory that is held for a history: about what one of any length takes.
	allBytes = 4 << 20
	// searching bounds how much longer a request with a filter may take.
	searching = 6 * time.Second
)

// NewHistories makes [Histories] that reads by logs. timeout bounds what a request needs before its
// first line.
func NewHistories(storage Lister, logs *read.Logs, timeout time.Duration) *Histories {
	return &Histories{storage: storage, logs: logs, timeout: timeout, listing: semaphore.NewWeighted(atOnce)}
}

// Query asks for lines of several apps.
type Query struct {
	Selection Selection
	// Lines bounds the lines of all apps together: the newest, or, behind After, the oldest. A
	// negative value means all.
	Lines int
	// After is where a client stopped; nil if it begins.
	After  *Cursor
	Filter sdk.Filter
	// Floor has the place in each app before which nothing is shown; nil for none.
	Floor *Cursor
}

// List returns the selected apps that have a log now, sorted. It fails with [ErrTooMany].
func (hs *Histories) List(ctx context.Context, s *Selection) ([]string, error) {
	if !s.Patterns() {
		return slices.Clone(s.Names()), nil
	}
	if err := hs.listing.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer hs.listing.Release(1)
	var apps []string
	err := walk(ctx, hs.storage, func(app string) bool {
		if s.Match(app) {
			apps = append(apps, app)
		}
		return len(apps) <= MaxApps
	})
	if err != nil {
		return nil, err
	}
	apps = append(apps, s.Names()...)
	slices.Sort(apps)
	if apps = slices.Compact(apps); len(apps) > MaxApps {
		return nil, ErrTooMany
	}
	return apps, nil
}

// Open begins the history of the selected apps: the newest lines, or what follows the cursor, up to
// the ends that the logs have now. The caller closes it.
func (hs *Histories) Open(ctx context.Context, q Query) (_ *History, err error) {
	if q.Lines > mostLines {
		return nil, sdk.Refusef("lines=%d: want at most %d of several apps, or -1 for all", q.Lines, mostLines)
	}
	within := hs.timeout
	if !q.Filter.IsZero() {
		within += searching
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	apps, err := hs.List(ctx, &q.Selection)
	if err != nil {
		return nil, err
	}
	h := &History{left: -1}
	defer func() {
		if err != nil {
			h.Close()
		}
	}()
	var search *read.Search // shared by all apps; nil without a filter
	if !q.Filter.IsZero() {
		search = new(read.Search)
	}
	if q.After == nil {
		err = hs.begin(ctx, h, apps, q, search)
	} else {
		for _, app := range q.After.Apps() { // it may have no log any more
			if i, found := slices.BinarySearch(apps, app); !found && q.Selection.Match(app) {
				apps = slices.Insert(apps, i, app)
			}
		}
		h.left = q.Lines
		for _, app := range apps {
			place := q.After.Place(app)
			if place.IsZero() {
				place.Cursor = sdk.Beginning()
			}
			h.sources = append(h.sources, &source{app: app, start: place})
		}
	}
	if err != nil {
		return nil, err
	}
	for _, s := range h.sources {
		h.Cursor.Set(s.app, s.start)
	}
	bytes := allBytes
	if q.After == nil && q.Lines >= 0 {
		bytes = min(bytes, (q.Lines+1)*lineBytes)
	}
	if h.hold, err = hs.logs.Hold(ctx, bytes); err != nil {
		return nil, err
	}
	err = each(ctx, h.sources, func(ctx context.Context, s *source) (err error) {
		if s.log != nil { // nothing is to be read of it
			return nil
		}
		one := read.Query{App: s.app, Lines: -1, After: s.start, Filter: q.Filter, Search: search}
		if q.Floor != nil {
			one.Floor = q.Floor.Place(s.app).Cursor
		}
		s.answer, err = hs.logs.Resume(ctx, one, firstPage)
		if s.gaveUp = q.After != nil && errors.Is(err, read.ErrSearch); s.gaveUp {
			return nil // what was found in other apps comes all the same
		}
		if err != nil {
			return err
		}
		s.exists = s.answer.Exists
		return nil
	})
	if slices.ContainsFunc(h.sources, func(s *source) bool { return s.gaveUp }) {
		h.gaveUp = read.ErrSearch
	}
	h.page = max(firstPage, pageLines/max(1, len(h.sources)))
	h.forget()
	return h, err
}

// each calls f for the sources, for several at once.
func each(ctx context.Context, sources []*source, f func(context.Context, *source) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for _, s := range sources {
		group.Go(func() error { return f(ctx, s) })
	}
	return group.Wait()
}

// begin finds where the newest lines begin in each app.
func (hs *Histories) begin(ctx context.Context, h *History, apps []string, q Query, search *read.Search) error {
	for _, app := range apps {
		h.sources = append(h.sources, &source{app: app})
	}
	all := q.Lines < 0 && q.Filter.IsZero()
	if q.Lines > 0 {
		return hs.newest(ctx, h.sources, q, search)
	}
	return each(ctx, h.sources, func(ctx context.Context, s *source) (err error) {
		if all {
			s.start, s.exists, err = hs.logs.Beginning(ctx, s.app)
			return err
		}
		a, err := hs.logs.Open(ctx, read.Query{App: s.app, Lines: q.Lines, Filter: q.Filter, Search: search})
		if err != nil {
			return err
		}
		defer a.Close()
		if s.start, s.exists = a.Start(), a.Exists; q.Lines == 0 {
			s.log = a.Log()
		}
		return nil
	})
}
