package storagetest

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/deis/logger/sdk"
)

// fault names one way to break the contract; the empty one keeps it.
type fault string

// reference keeps the contract in the plainest way: slices under one lock. The suite must find its
// fault.
type reference struct {
	fault fault
	lines int
	over  <-chan struct{} // closed at the end of the test, when even faulty calls that ignore their context have to end

	mu     lock
	epochs uint64
	count  uint64 // of changes: each log's version is the count at its last change
	apps   map[string]*referenceLog
	wake   map[chan struct{}]bool // all followers, of any app
	totals sdk.Totals             // evicted and deleted
}

// lock works like a mutex, but a test's clock moves on while a goroutine waits for it: waiting for
// a [sync.Mutex] counts as running.
type lock chan struct{}

func (l lock) Lock()   { l <- struct{}{} }
func (l lock) Unlock() { <-l }

type referenceLog struct {
	epoch, last, version uint64
	entries              []sdk.Entry // in the order of arrival
	highest              map[string]uint64
}

func newReference(lines int, f fault) *reference {
	return &reference{
		fault: f, lines: lines, mu: make(lock, 1), epochs: 1 << 60,
		apps: map[string]*referenceLog{}, wake: map[chan struct{}]bool{},
	}
}

// Reopen implements [Reopener].
func (r *reference) Reopen(_ *testing.T, lines int) sdk.Storage {
	r.lines = lines
	if r.fault != "lowered lines count from the next append" {
		for _, log := range r.apps {
			r.trim(log)
		}
	}
	return r
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
			log = &referenceLog{epoch: r.epochs, highest: map[string]uint64{}}
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
	r.tell()
	if r.fault == "half-cancelled" {
		return ctx.Err()
	}
	return nil
}

// tell wakes all followers. The caller holds the lock.
func (r *reference) tell() {
	for wake := range r.wake {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
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
	r.count++
	if r.fault != "versions do not change" || log.version == 0 {
		log.version = r.count
	}
	if r.fault == "a version for all logs" {
		for _, other := range r.apps {
			other.version = r.count
		}
	}
	entries = slices.Clone(entries)
	switch {
	case r.fault == "loses a line" && len(entries) > 2:
		entries = slices.Delete(entries, 1, 2)
	case r.fault == "swaps two lines" && len(entries) > 2:
		entries[1].Message, entries[2].Message = entries[2].Message, entries[1].Message
	case r.fault == "loses batches of busy writers" && id.Sequence%17 == 0 && id.Writer != "suite":
		return
	case r.fault == "new epoch at each append":
		r.epochs++
		log.epoch = r.epochs
	case r.fault == "drops late lines" && len(log.entries) > 0:
		newest := slices.MaxFunc(log.entries, func(a, b sdk.Entry) int { return a.Published.Compare(b.Published) })
		entries = slices.DeleteFunc(entries, func(e sdk.Entry) bool { return e.Published.Before(newest.Published) })
	}
	for i := range entries {
		log.last++
		entries[i].Position = log.last
	}
	if r.fault == "positions restart" {
		for i := range entries {
			entries[i].Position = uint64(i + 1)
		}
	}
	log.entries = append(log.entries, entries...)
	r.trim(log)
}

// trim keeps only the newest entries.
func (r *reference) trim(log *referenceLog) {
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
	over := len(log.entries) - lines
	if over <= 0 {
		return
	}
	r.totals.Evicted += uint64(over)
	if r.fault == "forgets what was evicted" {
		r.totals.Evicted--
	}
	if r.fault == "a late line pushes out a newer one" {
		log.entries = slices.Clone(log.entries[over:])
		return
	}
	order := slices.Clone(log.entries)
	slices.SortFunc(order, func(a, b sdk.Entry) int { return byPublishing(&a, &b) })
	gone := map[uint64]bool{}
	for _, e := range order[:over] {
		gone[e.Position] = true
	}
	log.entries = slices.DeleteFunc(log.entries, func(e sdk.Entry) bool { return gone[e.Position] })
	if r.fault == "holes are closed" { // the remaining positions become consecutive
		for i := range log.entries {
			log.entries[i].Position = log.last - uint64(len(log.entries)-1-i)
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
		return sdk.Page{}, nil
	}
	if r.fault == "sized by the limit" && opts.Limit > 0 {
		_ = make([]sdk.Entry, opts.Limit)
	}
	if r.fault == "shares its slice" && opts.After.IsZero() && opts.Limit < 0 {
		return sdk.Page{Epoch: log.epoch, Last: log.last, Entries: log.entries}, nil
	}
	asked := r.spoilOptions(opts, log)
	page := sdk.Answer(log.epoch, log.last, slices.Clone(log.entries), asked)
	page.Version = log.version
	r.spoilPage(&page, opts, log)
	for i := range page.Entries {
		r.spoil(&page.Entries[i])
	}
	return page, nil
}

// spoilOptions turns a request into what a faulty storage understands.
func (r *reference) spoilOptions(opts sdk.ReadOptions, log *referenceLog) sdk.ReadOptions {
	inHistory := opts.After.InHistory()
	switch {
	case r.fault == "limit off by one" && opts.Limit > 1 && opts.Limit < 1000:
		opts.Limit--
	case r.fault == "ignores cursors":
		opts.After = sdk.Cursor{}
	case r.fault == "any epoch" && !opts.After.IsZero():
		opts.After.Epoch = log.epoch
	case r.fault == "repeats the cursor's entry" && !inHistory && opts.After.Position > 0:
		opts.After.Position--
	case r.fault == "skips an entry" && !opts.After.IsZero() && !inHistory && opts.After.Epoch == log.epoch:
		opts.After.Position++
	case r.fault == "a history repeats at a cut" && inHistory && opts.After.Entry > 0:
		opts.After.Entry--
		opts.After.Published--
	case r.fault == "a history skips at a cut" && inHistory && opts.After.Entry > 0:
		opts.After.Published += 1e9
	case r.fault == "a history ends where it is cut":
		opts.After = opts.After.Plain()
	case r.fault == "a history of all that there is" && inHistory:
		opts.After.Position = log.last
	case r.fault == "ignores before":
		opts.Before = sdk.Cursor{}
	case r.fault == "before counts what arrived since" && !opts.Before.IsZero():
		opts.Before.Position = log.last
	}
	return opts
}

// spoilPage turns a correct page into a faulty storage's answer.
func (r *reference) spoilPage(page *sdk.Page, opts sdk.ReadOptions, log *referenceLog) {
	n := len(page.Entries)
	newest, plain := opts.After.IsZero(), !opts.After.IsZero() && !opts.After.InHistory()
	filtered := !opts.Filter.IsZero()
	switch {
	case r.fault == "order of arrival" && newest:
		slices.SortFunc(page.Entries, func(a, b sdk.Entry) int { return cmp.Compare(a.Position, b.Position) })
	case r.fault == "order of publishing after a cursor" && plain:
		slices.SortFunc(page.Entries, func(a, b sdk.Entry) int { return byPublishing(&a, &b) })
	case r.fault == "newest after" && plain && opts.Limit >= 0:
		page.Entries = sdk.Answer(log.epoch, log.last, log.entries, sdk.ReadOptions{Limit: -1, After: opts.After}).Entries
		page.Entries = page.Entries[max(0, len(page.Entries)-opts.Limit):]
	case r.fault == "cut at 2,000 without more" && n > 2000 && newest:
		page.Entries = page.Entries[n-2000:]
	case r.fault == "cut at 2,000 after a cursor without more" && n > 2000 && plain:
		page.Entries = page.Entries[:2000]
	case r.fault == "small pages" && n > 3: // is allowed
		small := 3 + n/5
		if page.More = true; newest {
			page.Entries = page.Entries[n-small:]
		} else {
			page.Entries = page.Entries[:small]
		}
	case r.fault == "a filter drops a match" && filtered && n > 50:
		page.Entries = slices.Delete(page.Entries, n/2, n/2+1)
	case r.fault == "a filter makes gaps" && filtered && plain && n > 1:
		page.Entries = page.Entries[1:]
	case r.fault == "a filter of one value" && filtered && len(opts.Filter.Process) > 0:
		page.Entries = slices.DeleteFunc(page.Entries, func(e sdk.Entry) bool { return e.Process != opts.Filter.Process[0] })
	case r.fault == "since without the moment itself" && !opts.Filter.Since.IsZero() && !plain:
		page.Entries = slices.DeleteFunc(page.Entries, func(e sdk.Entry) bool { return !e.Time.After(opts.Filter.Since) })
	case r.fault == "a filter fast by dropping" && filtered && newest: // is allowed: see TestMayFilter
		m, err := opts.Filter.Compile()
		page.Entries = slices.DeleteFunc(page.Entries, func(e sdk.Entry) bool {
			ok, _ := m.Match(context.Background(), &e)
			return err == nil && !ok
		})
	case r.fault == "omits messages" && opts.OmitMessages: // which it may
		for i := range page.Entries {
			page.Entries[i].Message = ""
		}
	case r.fault == "omits fields, too" && opts.OmitMessages:
		for i := range page.Entries {
			page.Entries[i].Message, page.Entries[i].Level = "", sdk.LevelUnknown
		}
	case r.fault == "omits messages for good" && opts.OmitMessages:
		for i := range log.entries {
			log.entries[i].Message = ""
		}
	case r.fault == "omits entries of long messages" && opts.OmitMessages:
		page.Entries = slices.DeleteFunc(page.Entries, func(e sdk.Entry) bool { return len(e.Message) > 12 })
	case r.fault == "no last position":
		page.Last = 0
	case r.fault == "last is kept" && n > 0:
		page.Last = uint64(len(log.entries))
	case r.fault == "no positions":
		for i := range page.Entries {
			page.Entries[i].Position = 0
		}
	case r.fault == "answers what has just left" && plain: // is allowed
		page.Entries = slices.Clone(page.Entries)
	}
}

// spoil loses part of an entry, as a storage's encoding might.
func (r *reference) spoil(e *sdk.Entry) {
	switch r.fault {
	case "utc":
		e.Time = e.Time.UTC()
	case "nanoseconds since 1970":
		e.Time = sdk.At(0, e.Time.UnixNano(), 0).In(e.Time.Location())
	case "c strings":
		e.Message, _, _ = strings.Cut(e.Message, "\x00")
	case "whole lines":
		e.Partial = false
	case "no level":
		e.Level = sdk.LevelUnknown
	case "floats":
		e.CutBytes = uint64(float64(e.CutBytes))
	case "long lines":
		e.Message = e.Message[:min(len(e.Message), 1<<16)]
	case "no host":
		e.Host = ""
	case "no container":
		e.Container = ""
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
	log := r.apps[r.key(app)]
	if log == nil {
		if r.fault == "delete absent is an error" {
			return sdk.ErrInvalid
		}
		return nil
	}
	r.totals.Deleted += uint64(len(log.entries))
	delete(r.apps, r.key(app))
	if r.fault != "delete wakes no follower" {
		r.tell()
	}
	return nil
}

func (r *reference) Versions(_ context.Context, apps []string) ([]uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	versions := make([]uint64, len(apps))
	for i, app := range apps {
		if log := r.apps[r.key(app)]; log != nil {
			versions[i] = log.version
			if r.fault == "versions count entries" {
				versions[i] = log.last
			}
		}
	}
	return versions, nil
}

func (r *reference) Apps(ctx context.Context, after string, limit int) ([]sdk.AppInfo, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	infos := []sdk.AppInfo{}
	names := slices.Sorted(maps.Keys(r.apps))
	if r.fault == "apps in no order" {
		slices.SortFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	}
	for _, app := range names {
		if app <= after && r.fault != "apps from the beginning" || len(r.apps[app].entries) == 0 {
			continue
		}
		if limit > 0 && len(infos) == limit && r.fault != "apps without a limit" {
			break
		}
		infos = append(infos, r.info(app))
	}
	return infos, nil
}

func (r *reference) info(app string) sdk.AppInfo {
	log := r.apps[app]
	if log == nil {
		return sdk.AppInfo{App: app}
	}
	order := slices.Clone(log.entries)
	slices.SortFunc(order, func(a, b sdk.Entry) int { return byPublishing(&a, &b) })
	if r.fault == "the oldest is the first" {
		order = log.entries
	}
	info := sdk.AppInfo{
		App: app, Entries: uint64(len(order)), Last: log.last, Bytes: 1,
		Oldest: order[0].Published, Newest: order[len(order)-1].Published,
	}
	if r.fault == "last is the number of entries" {
		info.Last = info.Entries
	}
	return info
}

func (r *reference) App(_ context.Context, app string) (sdk.AppInfo, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.info(app), nil
}

func (r *reference) Totals(context.Context) (sdk.Totals, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.totals
	for _, log := range r.apps {
		t.Apps++
		t.Entries += uint64(len(log.entries))
		t.Bytes += uint64(len(log.entries))
	}
	t.Stored = t.Entries + t.Evicted + t.Deleted
	return t, nil
}

// Follow reads after each append or delete.
func (r *reference) Follow(ctx context.Context, app string, after sdk.Cursor, yield func(sdk.Page) error) error {
	switch {
	case r.fault == "follow yields nothing":
		<-ctx.Done()
		return ctx.Err()
	case r.fault == "follow yields once":
		page, err := r.Read(ctx, sdk.ReadOptions{App: app, Limit: -1, After: after})
		if err == nil {
			err = yield(page)
		}
		if err == nil {
			<-ctx.Done()
			err = ctx.Err()
		}
		return err
	case r.fault == "follow keeps the lock":
		r.mu.Lock()
		defer r.mu.Unlock()
		<-ctx.Done()
		return ctx.Err()
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
	if err := r.beginBadly(ctx, app, &after, wake, yield); err != nil {
		return err
	}
	if r.fault == "follow cannot be cancelled" {
		var end context.CancelFunc
		ctx, end = context.WithCancel(context.WithoutCancel(ctx))
		go func() {
			defer end()
			<-r.over
		}()
	}
	epoch, again := after.Epoch, r.fault == "follow doubles"
	return sdk.FollowByReading(ctx, r, app, after, wake, func(page sdk.Page) error {
		if r.fault == "follow ends with the epoch" && epoch != sdk.Beginning().Epoch && page.Epoch != epoch {
			<-ctx.Done()
		}
		epoch = page.Epoch
		if r.fault == "follow says nothing of what is gone at once" && len(page.Entries) == 0 && page.Epoch != 0 {
			return nil
		}
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

// beginBadly implements the faults at the beginning of a follow.
func (r *reference) beginBadly(ctx context.Context, app string, after *sdk.Cursor, wake chan struct{}, yield func(sdk.Page) error) error {
	switch r.fault {
	case "follow subscribes late":
		page, err := r.Read(ctx, sdk.ReadOptions{App: app, Limit: -1, After: *after})
		if err == nil {
			err = yield(page)
		}
		if err != nil {
			return err
		}
		select {
		case <-wake: // there was an append in between
		case <-ctx.Done():
			return ctx.Err()
		}
		*after = sdk.Cursor{}
	case "follow keeps a cursor beyond the end":
		page, err := r.Read(ctx, sdk.ReadOptions{App: app, After: *after})
		if err == nil && page.Epoch == after.Epoch && page.Last < after.Position {
			<-ctx.Done()
			err = ctx.Err()
		}
		return err
	}
	return nil
}
