package storagetest

import (
	"context"
	"slices"
	"sync"

	"github.com/deis/logger/sdk"
)

// fault is one way to break the contract; the empty one keeps it.
type fault string

// reference is the contract in its plainest form: slices under one lock. Its fault
// is what the suite must find.
type reference struct {
	fault fault
	lines int

	mu     sync.Mutex
	epochs uint64
	apps   map[string]*referenceLog
	wake   map[chan struct{}]bool // who follows whatever
	gone   sdk.Departed
}

type referenceLog struct {
	epoch   uint64
	first   uint64
	entries []sdk.Entry
	highest map[string]uint64
}

func newReference(lines int, f fault) *reference {
	return &reference{fault: f, lines: lines, epochs: 1 << 60, apps: map[string]*referenceLog{}, wake: map[chan struct{}]bool{}}
}

func (r *reference) key(app string) string {
	if r.fault == "prefix" && len(app) > 3 {
		return app[:3]
	}
	return app
}

func (r *reference) Append(ctx context.Context, batch sdk.Batch) error {
	if err := ctx.Err(); err != nil && r.fault != "half-cancelled" {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, group := range batch.Apps {
		if len(group.Entries) == 0 && r.fault != "empty log" {
			continue
		}
		app := r.key(group.App)
		log := r.apps[app]
		if log == nil {
			r.epochs++
			log = &referenceLog{epoch: r.epochs, first: 1, highest: map[string]uint64{}}
			if r.fault == "one epoch" {
				log.epoch = 1
			}
			r.apps[app] = log
		}
		r.store(log, batch.ID, group.Entries)
		if i == 0 && r.fault == "first app only" {
			break
		}
	}
	for wake := range r.wake {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	if r.fault == "half-cancelled" {
		return ctx.Err()
	}
	return nil
}

// Follow reads whenever there was an append.
func (r *reference) Follow(ctx context.Context, app string, after sdk.Cursor, yield func(sdk.Page) error) error {
	switch {
	case r.fault == "follows the newest only" && after == sdk.Beginning():
		after = sdk.Cursor{}
	case r.fault == "follows a zero cursor from the beginning" && after.IsZero():
		after = sdk.Beginning()
	case r.fault == "follows until the end only":
		page, err := r.Read(ctx, sdk.ReadOptions{App: app, Limit: -1, After: after})
		if err != nil {
			return err
		}
		return yield(page)
	}
	wake := make(chan struct{}, 1)
	r.mu.Lock()
	r.wake[wake] = true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.wake, wake)
	}()
	if r.fault == "follow subscribes late" {
		page, err := r.Read(ctx, sdk.ReadOptions{App: app, Limit: -1, After: after})
		if err == nil {
			err = yield(page)
		}
		if err != nil {
			return err
		}
		select {
		case <-wake: // something was appended in between
		case <-ctx.Done():
			return ctx.Err()
		}
		after = sdk.Cursor{}
	}
	epoch := after.Epoch
	if r.fault == "follow keeps a cursor beyond the end" {
		page, err := r.Read(ctx, sdk.ReadOptions{App: app, After: after})
		if err == nil && page.Before(after) {
			<-ctx.Done()
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
	if r.fault == "follow cannot be cancelled" {
		ctx = context.WithoutCancel(ctx)
	}
	again := r.fault == "follow doubles"
	return sdk.FollowByReading(ctx, r, app, after, wake, func(page sdk.Page) error {
		if r.fault == "follow ends with the epoch" && epoch != sdk.Beginning().Epoch && page.Epoch != epoch {
			<-ctx.Done()
		}
		epoch = page.Epoch
		err := yield(page)
		if again {
			again, err = false, yield(page)
		}
		if r.fault == "follow hides yield's error" {
			return nil
		}
		return err
	})
}

func (r *reference) store(log *referenceLog, id sdk.BatchID, entries []sdk.Entry) {
	highest, seen := log.highest[id.Writer]
	switch r.fault {
	case "stored twice", "half-cancelled":
	case "last writer only":
		if seen && id.Sequence <= highest {
			return
		}
		clear(log.highest)
	case "last sequence only":
		if seen && id.Sequence == highest {
			return
		}
	default:
		if seen && id.Sequence <= highest {
			return
		}
	}
	log.highest[id.Writer] = id.Sequence
	if r.fault == "reversed" {
		entries = slices.Clone(entries)
		slices.Reverse(entries)
	}
	switch {
	case r.fault == "loses a line" && len(entries) > 2:
		entries = slices.Delete(slices.Clone(entries), 1, 2)
	case r.fault == "swaps two lines" && len(entries) > 2:
		entries = slices.Clone(entries)
		entries[1], entries[2] = entries[2], entries[1]
	case r.fault == "loses batches of busy writers" && id.Sequence%17 == 0 && id.Writer != "suite":
		return
	case r.fault == "new epoch at each append":
		r.epochs++
		log.epoch = r.epochs
	}
	log.entries = append(log.entries, entries...)
	lines := r.lines
	switch r.fault {
	case "keeps one too many":
		lines++
	case "keeps one too few":
		lines = max(1, lines-1)
	case "never trims":
		lines = 1 << 40
	case "trims by batches":
		if len(log.entries) < r.lines+5 {
			lines = 1 << 40
		}
	}
	if over := len(log.entries) - lines; over > 0 {
		log.entries = slices.Clone(log.entries[over:])
		if r.fault != "positions restart" {
			log.first += uint64(over)
		}
	}
}

func (r *reference) Read(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	if err := ctx.Err(); err != nil {
		return sdk.Page{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	log := r.apps[r.key(opts.App)]
	if log == nil {
		if r.fault == "absent is an error" {
			return sdk.Page{}, sdk.ErrInvalid
		}
		return sdk.Page{First: 1}, nil
	}
	if r.fault == "sized by the limit" && opts.Limit > 0 {
		_ = make([]sdk.Entry, opts.Limit)
	}
	if r.fault == "limit off by one" && opts.Limit > 1 && opts.Limit < 1000 {
		opts.Limit--
	}
	kept := uint64(len(log.entries))
	limit := kept
	if opts.Limit >= 0 {
		limit = min(kept, uint64(opts.Limit))
	}
	from := kept - limit
	if !opts.After.IsZero() && r.fault != "ignores cursors" {
		from = 0
		if opts.After.Epoch == log.epoch || r.fault == "any epoch" {
			if opts.After.Position >= log.first {
				from = min(kept, opts.After.Position-log.first+1)
			}
			switch {
			case r.fault == "repeats the cursor's entry" && from > 0:
				from--
			case r.fault == "gap too wide" && opts.After.Position+1 < log.first:
				from = min(kept, from+1)
			}
		}
		if r.fault == "newest after" && kept-from > limit {
			from = kept - limit
		}
	}
	if known := opts.Known; opts.After.IsZero() && r.fault != "knows nothing" &&
		(known.Epoch == log.epoch || r.fault == "known of any epoch" && !known.IsZero()) {
		switch position := min(known.Position, log.first+kept-1); {
		case r.fault == "oldest after known":
			from = kept - min(kept, log.first+kept-1-position)
		case r.fault == "leaves out more" && position >= log.first && position < log.first+kept-1:
			from = max(from, position-log.first+2)
		case position >= log.first:
			from = max(from, position-log.first+1)
		}
	}
	to := min(kept, from+limit)
	if limit == 0 {
		from, to = kept, kept
	}
	page := sdk.Page{Epoch: log.epoch, First: log.first + from, Entries: slices.Clone(log.entries[from:to]), Oldest: log.first}
	switch r.fault {
	case "says no oldest":
		page.Oldest = 0
	case "oldest of the page":
		page.Oldest = page.First
	case "oldest is the first ever":
		page.Oldest = 1
	}
	if r.fault == "shares its slice" {
		page.Entries = log.entries[from:to]
	}
	if r.fault == "gap not told" && !opts.After.IsZero() && opts.After.Epoch == log.epoch {
		page.First = opts.After.Position + 1
	}
	if len(page.Entries) > 3 && r.fault == "small pages" {
		page.Entries, page.More = page.Entries[:3], true
	}
	for i := range page.Entries {
		r.spoil(&page.Entries[i])
	}
	return page, nil
}

// spoil loses something of an entry, as a storage's encoding might.
func (r *reference) spoil(e *sdk.Entry) {
	switch r.fault {
	case "utc":
		e.Time = e.Time.UTC()
	case "nanoseconds since 1970":
		e.Time = sdk.At(0, e.Time.UnixNano(), 0).In(e.Time.Location())
	case "c strings":
		if i := slices.Index([]byte(e.Message), 0); i >= 0 {
			e.Message = e.Message[:i]
		}
	case "floats":
		e.CutBytes = uint64(float64(e.CutBytes))
	case "long lines":
		e.Message = e.Message[:min(len(e.Message), 1<<16)]
	case "no host":
		e.Host = ""
	}
}

func (r *reference) Delete(ctx context.Context, app string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault == "delete keeps" {
		return nil
	}
	if r.apps[r.key(app)] == nil && r.fault == "delete absent is an error" {
		return sdk.ErrInvalid
	}
	if log := r.apps[r.key(app)]; log != nil {
		r.gone.Deleted += uint64(len(log.entries))
		if r.fault != "forgets what was evicted" {
			r.gone.Evicted += log.first - 1
		}
	}
	delete(r.apps, r.key(app))
	return nil
}

func (r *reference) Departed(context.Context) (sdk.Departed, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gone, nil
}

func (r *reference) Apps(ctx context.Context) ([]sdk.AppInfo, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var infos []sdk.AppInfo
	for app, log := range r.apps {
		if len(log.entries) == 0 {
			continue
		}
		oldest, newest := log.entries[0], log.entries[len(log.entries)-1]
		info := sdk.AppInfo{
			App: app, Entries: uint64(len(log.entries)), Last: log.first + uint64(len(log.entries)) - 1, Bytes: 1,
			Oldest: oldest.Published, Newest: newest.Published,
		}
		if r.fault == "last is kept" {
			info.Last = info.Entries
		}
		if info.Oldest.IsZero() && r.fault != "published only" {
			info.Oldest, info.Newest = oldest.Time, newest.Time
		}
		infos = append(infos, info)
	}
	return infos, nil
}

func (r *reference) CopiesBatches() bool { return r.fault == "keeps what it copies" }
