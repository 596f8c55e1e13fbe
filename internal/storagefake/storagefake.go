// Package storagefake keeps lines in memory for tests. It is simple enough to be obviously right,
// and a test can make it slow, unavailable or forgetful.
package storagefake

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/deis/logger/sdk"
)

// Storage keeps the newest lines of each app. Set its exported fields before using it.
type Storage struct {
	// Lines bounds the entries that are kept of an app; 0 for no bound.
	Lines int
	// Page bounds the entries of a page; 0 for no bound.
	Page int
	// PageBytes roughly bounds the bytes of a page's messages; 0 for no bound.
	PageBytes int
	// AppsPage bounds the apps that one call of Apps lists; 0 for no bound.
	AppsPage int
	// Polled removes Follow.
	Polled bool
	// NoVersions removes Versions. NoApps removes Apps, App and Totals.
	NoVersions, NoApps bool
	// Before, if not nil, runs before each call of a method, which fails with Before's error.
	Before func(ctx context.Context, call Call) error
	// After, if not nil, runs after each Append and Read that did its work, which fails with
	// After's error all the same. It may change the page of a Read; an Append has none.
	After func(call Call, page *sdk.Page) error

	mu      sync.Mutex
	logs    map[string]*log
	stored  map[part]bool
	epochs  uint64
	version uint64
	calls   []Call
	err     error
	changed chan struct{} // closed at any change
	open    int
	opened  int
	gone    struct{ stored, evicted, deleted uint64 }
}

// Call records one call of a method.
type Call struct {
	Method string
	Batch  sdk.Batch       // of Append
	Opts   sdk.ReadOptions // of Read
	Apps   []string        // of Versions
	App    string          // of App, Delete and Follow
}

// Laborious serves as a storage's After. Each page reports 200 ms of processor time.
func Laborious(_ Call, page *sdk.Page) error {
	if page != nil {
		page.Work = 200 * time.Millisecond
	}
	return nil
}

// part names an app's part of a batch.
type part struct {
	batch sdk.BatchID
	app   string
}

type log struct {
	epoch, last uint64
	version     uint64
	entries     []sdk.Entry // in the order of publishing
}

var (
	_ sdk.Follower  = (*Storage)(nil)
	_ sdk.Versioner = (*Storage)(nil)
	_ sdk.AppLister = (*Storage)(nil)
)

// change calls f with the app's log, and wakes its followers.
func (s *Storage) change(app string, f func(l *log)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.logs == nil {
		s.logs = map[string]*log{}
	}
	l := s.logs[app]
	if l == nil {
		l = &log{}
	}
	f(l)
	s.logs[app] = l
	if l.epoch == 0 {
		delete(s.logs, app)
	}
	s.version++
	l.version = s.version
	s.wake()
}

func (s *Storage) wake() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// Add appends entries in order, and evicts what exceeds Lines. An entry without a publish time is
// published after all before it.
func (s *Storage) Add(app string, entries ...sdk.Entry) {
	s.change(app, func(l *log) {
		if l.epoch == 0 {
			s.epochs++
			l.epoch, l.last = 6+s.epochs, 0
		}
		for _, e := range entries {
			l.last++
			e.Position = l.last
			if n := len(l.entries); e.Published.IsZero() {
				e.Published = time.Unix(0, int64(l.last))
				if n > 0 && !l.entries[n-1].Published.Before(e.Published) {
					e.Published = l.entries[n-1].Published.Add(1)
				}
			}
			l.entries = append(l.entries, e)
		}
		s.gone.stored += uint64(len(entries))
		slices.SortStableFunc(l.entries, func(a, b sdk.Entry) int { return a.Published.Compare(b.Published) })
		if s.Lines > 0 {
			l.keep(s, s.Lines)
		}
	})
}

func (l *log) keep(s *Storage, n int) {
	if over := len(l.entries) - n; over > 0 {
		l.entries = slices.Clone(l.entries[over:])
		s.gone.evicted += uint64(over)
	}
}

// Keep evicts all but the newest n.
func (s *Storage) Keep(app string, n int) { s.change(app, func(l *log) { l.keep(s, n) }) }

// Lose forgets the n entries that arrived last, as a backend does that was restored from a copy.
func (s *Storage) Lose(app string, n int) {
	s.change(app, func(l *log) {
		l.last -= uint64(n)
		l.entries = slices.DeleteFunc(slices.Clone(l.entries), func(e sdk.Entry) bool { return e.Position > l.last })
	})
}

// Begin begins a new log without entries.
func (s *Storage) Begin(app string) {
	s.change(app, func(l *log) {
		s.epochs++
		s.gone.deleted += uint64(len(l.entries))
		*l = log{epoch: 6 + s.epochs}
	})
}

// Fail makes all later calls fail with err, or lets them succeed again if err is nil.
func (s *Storage) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	s.wake()
}

// Calls returns all calls of a method so far, or of all methods for "".
func (s *Storage) Calls(method string) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.calls), func(c Call) bool { return method != "" && c.Method != method })
}

// Follows returns how many Follow calls are open, and how many there ever were.
func (s *Storage) Follows() (open, ever int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open, s.opened
}

// Kept returns the kept entries of an app, in the order of publishing.
func (s *Storage) Kept(app string) (epoch, last uint64, entries []sdk.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.logs[app]; l != nil {
		return l.epoch, l.last, slices.Clone(l.entries)
	}
	return 0, 0, nil
}

func (s *Storage) before(ctx context.Context, call Call) error {
	s.mu.Lock()
	s.calls = append(s.calls, call)
	err := s.err
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if s.Before != nil {
		if err := s.Before(ctx, call); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Append implements [sdk.Storage]. It stores each batch once, by its ID.
func (s *Storage) Append(ctx context.Context, batch sdk.Batch) error {
	call := Call{Method: "Append", Batch: clone(batch)}
	if err := s.before(ctx, call); err != nil {
		return err
	}
	for _, a := range batch.Apps {
		if s.isNew(part{batch.ID, a.App}) {
			s.Add(a.App, a.Entries...)
		}
	}
	return s.after(call, nil)
}

// clone copies a batch, whose memory its writer uses again.
func clone(b sdk.Batch) sdk.Batch {
	b.Apps = slices.Clone(b.Apps)
	for i := range b.Apps {
		b.Apps[i].Entries = slices.Clone(b.Apps[i].Entries)
	}
	return b
}

func (s *Storage) isNew(p part) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stored[p] {
		return false
	}
	if s.stored == nil {
		s.stored = map[part]bool{}
	}
	s.stored[p] = true
	return true
}

func (s *Storage) after(call Call, page *sdk.Page) error {
	if s.After == nil {
		return nil
	}
	return s.After(call, page)
}

// Read implements [sdk.Storage]. It sets all fields of the page. It omits messages where it may.
func (s *Storage) Read(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	call := Call{Method: "Read", Opts: opts, App: opts.App}
	if err := s.before(ctx, call); err != nil {
		return sdk.Page{}, err
	}
	page, err := sdk.ReadFiltered(ctx, unfiltered{s}, opts)
	for i := range page.Entries {
		if opts.OmitMessages {
			page.Entries[i].Message = ""
		}
	}
	if err == nil {
		err = s.after(call, &page)
	}
	return page, err
}

// unfiltered answers without a filter, as a plugin's own code does.
type unfiltered struct{ *Storage }

// Read implements [sdk.Storage].
func (s unfiltered) Read(_ context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logs[opts.App]
	if l == nil {
		return sdk.Page{}, nil
	}
	page := sdk.Answer(l.epoch, l.last, slices.Clone(l.entries), opts)
	page.Version = l.version
	newest, size := opts.After.IsZero(), 0
	for i := range page.Entries {
		e := &page.Entries[i]
		if newest {
			e = &page.Entries[len(page.Entries)-1-i]
		}
		size += len(e.Message)
		if i == 0 || (s.Page == 0 || i < s.Page) && (s.PageBytes == 0 || size <= s.PageBytes) {
			continue
		}
		if page.More = true; newest {
			page.Entries = page.Entries[len(page.Entries)-i:]
		} else {
			page.Entries = page.Entries[:i]
		}
		break
	}
	return page, nil
}

// Delete implements [sdk.Storage].
func (s *Storage) Delete(ctx context.Context, app string) error {
	if err := s.before(ctx, Call{Method: "Delete", App: app}); err != nil {
		return err
	}
	s.change(app, func(l *log) {
		s.gone.deleted += uint64(len(l.entries))
		*l = log{}
	})
	return nil
}

// Follow implements [sdk.Follower].
func (s *Storage) Follow(ctx context.Context, app string, after sdk.Cursor, yield func(sdk.Page) error) error {
	if s.Polled {
		return fmt.Errorf("this storage does not follow: %w", sdk.ErrUnsupported)
	}
	if err := s.before(ctx, Call{Method: "Follow", App: app}); err != nil {
		return err
	}
	s.mu.Lock()
	s.open++
	s.opened++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.open--
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wake := make(chan struct{})
	go func() { // ends with ctx
		for {
			s.mu.Lock()
			if s.changed == nil {
				s.changed = make(chan struct{})
			}
			changed := s.changed
			s.mu.Unlock()
			select {
			case wake <- struct{}{}:
			case <-ctx.Done():
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				return
			}
		}
	}()
	return sdk.FollowByReading(ctx, followed{s}, app, after, wake, yield)
}

// followed fails as the storage does.
type followed struct{ *Storage }

// Read implements [sdk.Storage].
func (s followed) Read(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	if err != nil {
		return sdk.Page{}, err
	}
	return unfiltered(s).Read(ctx, opts)
}

// Versions implements [sdk.Versioner].
func (s *Storage) Versions(ctx context.Context, apps []string) ([]uint64, error) {
	if s.NoVersions {
		return nil, sdk.ErrUnsupported
	}
	if err := s.before(ctx, Call{Method: "Versions", Apps: slices.Clone(apps)}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]uint64, len(apps))
	for i, app := range apps {
		if l := s.logs[app]; l != nil {
			all[i] = l.version
		}
	}
	return all, nil
}

// Apps implements [sdk.AppLister].
func (s *Storage) Apps(ctx context.Context, after string, limit int) ([]sdk.AppInfo, error) {
	if s.NoApps {
		return nil, sdk.ErrUnsupported
	}
	if err := s.before(ctx, Call{Method: "Apps"}); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var infos []sdk.AppInfo
	for app := range s.logs {
		if info := s.info(app); app > after && info.Entries > 0 {
			infos = append(infos, info)
		}
	}
	slices.SortFunc(infos, func(a, b sdk.AppInfo) int { return cmp.Compare(a.App, b.App) })
	if s.AppsPage > 0 && (limit <= 0 || limit > s.AppsPage) {
		limit = s.AppsPage
	}
	if limit > 0 && len(infos) > limit {
		infos = infos[:limit]
	}
	return infos, nil
}

func (s *Storage) info(app string) sdk.AppInfo {
	info := sdk.AppInfo{App: app}
	if l := s.logs[app]; l != nil && len(l.entries) > 0 {
		n := len(l.entries)
		info.Entries, info.Last, info.Bytes = uint64(n), l.last, 100*uint64(n)
		info.Oldest, info.Newest = l.entries[0].Published, l.entries[n-1].Published
	}
	return info
}

// App implements [sdk.AppLister].
func (s *Storage) App(ctx context.Context, app string) (sdk.AppInfo, error) {
	if s.NoApps {
		return sdk.AppInfo{}, sdk.ErrUnsupported
	}
	if err := s.before(ctx, Call{Method: "App", App: app}); err != nil {
		return sdk.AppInfo{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.info(app), nil
}

// Totals implements [sdk.AppLister].
func (s *Storage) Totals(ctx context.Context) (sdk.Totals, error) {
	if s.NoApps {
		return sdk.Totals{}, sdk.ErrUnsupported
	}
	if err := s.before(ctx, Call{Method: "Totals"}); err != nil {
		return sdk.Totals{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := sdk.Totals{Stored: s.gone.stored, Evicted: s.gone.evicted, Deleted: s.gone.deleted}
	for app := range s.logs {
		info := s.info(app)
		t.Apps++
		t.Entries += info.Entries
		t.Bytes += info.Bytes
	}
	return t, nil
}
