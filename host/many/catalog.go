package many

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

// Catalog tells tails which apps their patterns select, while apps come and go. It looks once for
// all tails, and only while there are tails.
type Catalog struct {
	storage Lister
	logger  hclog.Logger
	every   time.Duration // lookEvery, except in tests

	mu      sync.Mutex
	watches map[*watch]struct{}
	stop    context.CancelFunc // of the run; nil without one
	known   *sdk.Totals        // when the apps were listed last; nil if they have to be listed
}

// watch holds what one tail is told.
type watch struct {
	selection *Selection
	changed   chan struct{} // has a value once apps is a new list; of capacity 1
	apps      []string      // Catalog.mu guards it; nil before the first list
}

const (
	// lookEvery is the time between two looks at the totals. After so many looks the apps are
	// listed even if the totals say that no app came and none went.
	lookEvery = time.Second
	looks     = 10
	// rest makes the catalog wait so many times as long as a list took before it makes the next
	// one, up to longestRest.
	rest, longestRest = 20, 30 * time.Second
	// lookTimeout bounds each question to the storage.
	lookTimeout = 5 * time.Second
)

// NewCatalog makes a catalog. Nothing runs before the first tail comes.
func NewCatalog(storage Lister, logger hclog.Logger) *Catalog {
	return &Catalog{storage: storage, logger: logger, every: lookEvery, watches: make(map[*watch]struct{})}
}

// watch begins to look for the selected apps. The caller ends it with leave.
func (c *Catalog) watch(s *Selection) *watch {
	w := &watch{selection: s, changed: make(chan struct{}, 1)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.watches[w], c.known = struct{}{}, nil
	if c.stop == nil {
		var ctx context.Context
		ctx, c.stop = context.WithCancel(context.Background())
		go c.run(ctx) // ends when the last tail leaves
	}
	return w
}

func (c *Catalog) leave(w *watch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.watches, w)
	if len(c.watches) == 0 && c.stop != nil {
		c.stop()
		c.stop = nil
	}
}

// apps returns the apps that the tail selects, sorted; nil before they are known.
func (c *Catalog) apps(w *watch) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return w.apps
}

func (c *Catalog) run(ctx context.Context) {
	for left := 0; ctx.Err() == nil; left-- {
		wait := c.every
		if changed, totals := c.look(ctx); changed || left <= 0 {
			began := time.Now()
			if err := c.list(ctx, totals); err != nil && ctx.Err() == nil {
				c.logger.Debug("apps are not listed", "error", err)
			}
			left, wait = looks, max(wait, min(rest*time.Since(began), longestRest))
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// look reports whether apps may have come or gone since they were listed.
func (c *Catalog) look(ctx context.Context) (bool, *sdk.Totals) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	totals, err := c.storage.Totals(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	return err != nil || c.known == nil || c.known.Apps != totals.Apps || c.known.Deleted != totals.Deleted, &totals
}

// list lists the apps, and tells each tail which of them it selects.
func (c *Catalog) list(ctx context.Context, totals *sdk.Totals) error {
	c.mu.Lock()
	c.known = totals
	found := make(map[*watch][]string, len(c.watches))
	for w := range c.watches {
		found[w] = []string{}
	}
	c.mu.Unlock()
	err := walk(ctx, c.storage, func(app string) bool {
		for w, apps := range found {
			if w.selection.Match(app) {
				found[w] = append(apps, app)
			}
		}
		return true
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.known = nil
		return err
	}
	for w, apps := range found {
		if w.apps == nil || !slices.Equal(w.apps, apps) {
			w.apps = apps
			select {
			case w.changed <- struct{}{}:
			default: // it has not looked yet
			}
		}
	}
	return nil
}

// walk calls f for each app that has a log, in the order of their names, until f returns false.
func walk(ctx context.Context, storage Lister, f func(app string) bool) error {
	for after := ""; ; {
		page, err := storage.Apps(ctx, after, listPage)
		if err != nil || len(page) == 0 {
			return err
		}
		for i := range page {
			if !f(page[i].App) {
				return nil
			}
		}
		after = page[len(page)-1].App
	}
}
