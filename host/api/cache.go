package api

import (
	"container/list"
	"context"
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/deis/logger/sdk"
)

const (
	// cacheBytes is what the runs of all apps take, and as much again may be held by
	// clients that are slow to take what was a run once. A run of more than runBytes
	// is not kept: it would push out many others, to save little of what it costs.
	cacheBytes, runBytes = 32 << 20, 2 << 20
	// leastAsked is how many entries are asked for at least. Without new ones it is one
	// that comes; with it, a client that asks for one line does not end a run that
	// another client needs whenever two arrive.
	leastAsked = 64
)

// cache has the rendered newest lines of apps that were asked for of late. Nothing is
// answered from it before the storage was asked, after the request arrived, what the
// log is like at that moment: one small read brings what is new and says what is still
// kept. Only where it is known that nothing changed since the last one, it is not asked.
// So an answer is always what reading all of it at that moment would have given.
type cache struct {
	read func(ctx context.Context, opts sdk.ReadOptions, page *sdk.Page) error
	// version numbers what the storage keeps; 0 if that is not known.
	version func() uint64
	limit   int // bytes

	mu        sync.Mutex // held for moments: never during a read or a write
	runs      map[string]*list.Element
	order     *list.List // of *run, the one that was asked for last in front
	bytes     int        // of the runs
	lingering int        // of texts that are no run's any more and are still being sent
}

func newCache(limit int, read func(context.Context, sdk.ReadOptions, *sdk.Page) error, version func() uint64) *cache {
	return &cache{read: read, version: version, limit: limit, runs: make(map[string]*list.Element), order: list.New()}
}

// known is what the cache had of an app when a read began.
type known struct {
	run   *run
	end   sdk.Cursor
	print uint64 // of the entry there
	// same are the newest lines, if nothing changed since they were read.
	same *excerpt
}

// answer is the newest lines of the app, or nil if they have to be read whole. The
// caller releases it.
func (c *cache) answer(ctx context.Context, app string, limit int) (*excerpt, error) {
	version := c.version() // before the read: what changes after it is another's to find
	has, ok := c.known(app, limit, version)
	if !ok || has.same != nil {
		return has.same, nil
	}
	page := pages.Get().(*sdk.Page)
	defer putPage(page)
	ask := limit
	if limit >= 0 && limit < math.MaxInt {
		ask = max(limit+1, leastAsked)
	}
	// The last entry that is known comes again, to be compared: a backend that went back
	// to an older state may have given its position to another.
	from := sdk.Cursor{Epoch: has.end.Epoch, Position: has.end.Position - 1}
	if err := c.read(ctx, sdk.ReadOptions{App: app, Limit: ask, Known: from}, page); err != nil {
		return nil, err
	}
	switch {
	case page.More:
	case page.Epoch == 0 || len(page.Entries) == 0 && covers(page, limit):
		c.drop(app, has.run)
		return &excerpt{}, nil
	case page.Epoch == has.end.Epoch && page.First == has.end.Position && len(page.Entries) > 0:
		if fingerprint(&page.Entries[0]) == has.print {
			return c.join(has.run, limit, page, version), nil
		}
	case covers(page, limit):
		return c.keep(app, limit, page, version, true), nil
	}
	c.drop(app, has.run)
	return nil, nil
}

// covers says that the page has all of the newest entries, so many or all.
func covers(page *sdk.Page, limit int) bool {
	return page.Oldest > 0 && !page.More && page.First <= oldestOf(page, limit)
}

// oldestOf is the position of the oldest of the newest entries, so many or all, when
// the page was read.
func oldestOf(page *sdk.Page, limit int) uint64 {
	next := page.First + uint64(len(page.Entries))
	if limit < 0 || next <= uint64(limit) {
		return page.Oldest
	}
	return max(page.Oldest, next-uint64(limit))
}

// known is what the cache has of the app, if that is enough. It is not more enough at a
// later time: the log's newest entries are later ones then.
func (c *cache) known(app string, limit int, version uint64) (known, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element := c.runs[app]
	if element == nil || c.lingering > c.limit {
		return known{}, false
	}
	r := element.Value.(*run)
	if r.first > r.oldest && (limit < 0 || limit > len(r.starts)) {
		return known{}, false
	}
	r.ask(limit)
	c.order.MoveToFront(element)
	has := known{run: r, end: r.end(), print: r.print}
	if version != 0 && r.version == version {
		has.same = r.excerpt(c, r.oldestOf(limit), has.end.Position)
	}
	return has, true
}

// join adds what is new in the page, which begins with an entry of the run, and gives
// the newest lines as they were when the page was read.
func (c *cache) join(r *run, limit int, page *sdk.Page, version uint64) *excerpt {
	var more *run
	if len(page.Entries) > 1 {
		more = newRun(r.app, page, 1)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if element := c.runs[r.app]; element == nil || element.Value.(*run) != r {
		return nil // meanwhile it was found to be of no use, or had to go
	}
	r.oldest = max(r.oldest, page.Oldest)
	// Others may have added some of it already.
	if more != nil && more.end().Position > r.end().Position {
		before, old := r.size(), r.text
		ok := r.extend(more, int(r.end().Position+1-more.first))
		c.bytes += r.size() - before
		if old != r.text {
			c.linger(old)
		}
		if !ok {
			c.remove(r)
			return nil
		}
		c.fit()
	}
	if r.end().Position == page.End().Position {
		r.version = version
	}
	return r.excerpt(c, oldestOf(page, limit), page.End().Position)
}

// keep makes a run of a page that has all of the newest entries, so many or all, at the
// version or later. It gives an excerpt if that is wanted.
func (c *cache) keep(app string, limit int, page *sdk.Page, version uint64, wanted bool) *excerpt {
	if !covers(page, limit) || len(page.Entries) == 0 {
		return nil
	}
	r := newRun(app, page, 0)
	r.version = version
	r.ask(limit)
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.size() <= min(runBytes, c.limit) {
		c.put(r)
	} else {
		r.text.gone = true // it lives as long as the excerpt
	}
	if !wanted {
		return nil
	}
	return r.excerpt(c, oldestOf(page, limit), page.End().Position)
}

// put makes the run the app's, unless the one that it has does for all that this would.
func (c *cache) put(r *run) {
	if element := c.runs[r.app]; element != nil {
		has := element.Value.(*run)
		if has.epoch == r.epoch && has.first <= r.first && has.end().Position >= r.end().Position {
			r.text.gone = true
			return
		}
		c.remove(has)
	}
	c.runs[r.app] = c.order.PushFront(r)
	c.bytes += r.size()
	c.fit()
}

// fit forgets the runs that were not asked for the longest.
func (c *cache) fit() {
	for c.bytes > c.limit {
		c.remove(c.order.Back().Value.(*run))
	}
}

func (c *cache) remove(r *run) {
	c.order.Remove(c.runs[r.app])
	delete(c.runs, r.app)
	c.bytes -= r.size()
	c.linger(r.text)
}

// linger takes account of a text that is no run's any more.
func (c *cache) linger(t *text) {
	t.gone = true
	if t.users > 0 {
		c.lingering += cap(t.bytes)
	}
}

// drop forgets the run, if it is still the app's.
func (c *cache) drop(app string, r *run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element := c.runs[app]; element != nil && element.Value.(*run) == r {
		c.remove(r)
	}
}

// forget forgets what there is of the app.
func (c *cache) forget(app string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element := c.runs[app]; element != nil {
		c.remove(element.Value.(*run))
	}
}

// excerpt is a part of a run's text, which does not change.
type excerpt struct {
	cache *cache
	of    *text
	bytes []byte
}

func (e *excerpt) length() int { return len(e.bytes) }

// release ends the use of the excerpt.
func (e *excerpt) release() {
	if e.of == nil {
		return
	}
	e.cache.mu.Lock()
	defer e.cache.mu.Unlock()
	if e.of.users--; e.of.users == 0 && e.of.gone {
		e.cache.lingering -= cap(e.of.bytes)
	}
	e.of = nil
}

// send writes the excerpt, in steps as [answer.send] does.
func (e *excerpt) send(w http.ResponseWriter) {
	control := http.NewResponseController(w)
	for text := e.bytes; len(text) > 0; {
		step := text[:min(len(text), sendBytes)]
		if len(e.bytes) > sendBytes {
			// A writer without deadlines (a test's) has none to extend.
			_ = control.SetWriteDeadline(time.Now().Add(writeTimeout))
		}
		if _, err := w.Write(step); err != nil {
			return // the client left
		}
		text = text[len(step):]
	}
}
