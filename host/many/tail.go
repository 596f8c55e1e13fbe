package many

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deis/logger/host/follow"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// Tail follows several apps: those of a history, from where it ended, and those that a pattern
// selects later, from the beginning of their logs. It is for one goroutine.
type Tail struct {
	hub       *follow.Hub
	catalog   *Catalog
	selection Selection
	until     bool // Live is kept up to date

	ctx     context.Context // of the members
	stop    context.CancelFunc
	running sync.WaitGroup
	members map[string]*member
	given   chan given
	next    *given  // what comes next, if it is here already
	current *member // whose batch came last
	watch   *watch  // nil without patterns
}

// member follows one app of a tail.
type member struct {
	app      string
	follower *follow.Follower
	stop     context.CancelFunc
	at       read.Place // behind what the tail took of it
	known    bool       // at is a place within a log
	live     atomic.Bool
}

// given holds what a member hands to its tail.
type given struct {
	member *member
	batch  read.Batch
	at     read.Place
	err    error
}

// lookUp is the time between two looks whether a member is live, in a tail that keeps Live up to
// date. A member that is live is not looked at any more.
const lookUp = 250 * time.Millisecond

// Follow begins to follow the apps of the history. Nothing runs before [Tail.Begin]. It fails as
// [follow.Hub.Follow] does. The caller closes the tail. If until is set, [Tail.Live] is kept up to
// date.
func (h *History) Follow(hub *follow.Hub, catalog *Catalog, s Selection, until bool) (*Tail, error) {
	t := &Tail{hub: hub, catalog: catalog, selection: s, until: until, members: make(map[string]*member), given: make(chan given)}
	t.ctx, t.stop = context.WithCancel(context.Background())
	for _, s := range h.sources {
		if err := t.add(s.app, s.start); err != nil {
			t.Close()
			return nil, err
		}
	}
	return t, nil
}

// add makes an app a member.
func (t *Tail) add(app string, at read.Place) error {
	f, err := t.hub.Follow(app, at)
	if err == nil {
		t.members[app] = &member{app: app, follower: f, at: at}
	}
	return err
}

// Begin makes the tail go on where the history ended, of which everything was read.
func (t *Tail) Begin(h *History) {
	for _, s := range h.sources {
		m := t.members[s.app]
		m.follower.Begin(s.log)
		t.took(m, s.log.At())
		t.start(m)
	}
	if t.selection.Patterns() {
		t.watch = t.catalog.watch(&t.selection)
	}
}

// start runs a member, which gives what comes.
func (t *Tail) start(m *member) {
	ctx, stop := context.WithCancel(t.ctx)
	m.stop = stop
	t.running.Go(func() { // ends with the member, and at the latest with the tail
		defer m.follower.Close()
		for ctx.Err() == nil {
			g := t.follow(ctx, m)
			if g.err != nil && (ctx.Err() != nil || errors.Is(g.err, context.DeadlineExceeded)) {
				continue
			}
			select {
			case t.given <- g:
			case <-ctx.Done():
			}
			if g.err != nil {
				return
			}
		}
	})
}

// follow waits for the next batch of a member.
func (t *Tail) follow(ctx context.Context, m *member) given {
	if t.until && !m.live.Load() { // once it is live, it stays so
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, lookUp)
		defer cancel()
	}
	b, err := m.follower.Next(ctx)
	m.live.Store(m.follower.Live())
	return given{m, b, m.follower.At(), err}
}

// Next returns the next batch, as [follow.Follower.Next] does, and its app.
func (t *Tail) Next(ctx context.Context) (app string, b read.Batch, err error) {
	var changed chan struct{}
	if t.watch != nil {
		changed = t.watch.changed
	}
	for {
		g := t.next
		if t.next = nil; g == nil {
			select {
			case one := <-t.given:
				g = &one
			case <-changed:
				if err := t.meet(t.catalog.apps(t.watch)); err != nil {
					return "", b, err
				}
				continue
			case <-t.hub.Stopping():
				return "", b, sdk.ErrStopping
			case <-ctx.Done():
				return "", b, ctx.Err()
			}
		}
		if g.err != nil {
			return "", b, g.err
		}
		if t.members[g.member.app] != g.member { // it left
			continue
		}
		t.current = g.member
		if t.took(g.member, g.at); !g.member.known && t.watch != nil {
			if apps := t.catalog.apps(t.watch); apps != nil {
				t.let(g.member, apps) // the list that the app is not in may be older than its end
			}
		}
		select {
		case one := <-t.given:
			t.next, g.batch.More = &one, true
		default:
		}
		return g.member.app, g.batch, nil
	}
}

// took notes how far the tail is in a member's log.
func (t *Tail) took(m *member, at read.Place) {
	m.at, m.known = at, at.Cursor != sdk.Beginning()
}

// meet calls let for each member, and adds the apps that are selected now.
func (t *Tail) meet(apps []string) error {
	for _, m := range t.members {
		t.let(m, apps)
	}
	for _, app := range apps {
		if t.members[app] != nil {
			continue
		}
		if len(t.members) >= MaxApps {
			return ErrTooMany
		}
		if err := t.add(app, read.Place{Cursor: sdk.Beginning()}); err != nil {
			return err
		}
		t.start(t.members[app])
	}
	return nil
}

// let drops a member that is selected by a pattern only, is not listed, and has no known place. The
// tail has not taken whatever the member has read: it begins again once the app is listed.
func (t *Tail) let(m *member, apps []string) {
	_, named := slices.BinarySearch(t.selection.Names(), m.app)
	if _, found := slices.BinarySearch(apps, m.app); !found && !named && !m.known {
		m.stop()
		delete(t.members, m.app)
	}
}

// At returns the place behind the batch that came last, in its app's log.
func (t *Tail) At() read.Place { return t.current.at }

// Live reports whether what was kept of each app is read.
func (t *Tail) Live() bool {
	for _, m := range t.members {
		if !m.live.Load() {
			return false
		}
	}
	return true
}

// Close ends the tail, and waits until nothing of it runs. It may be called more than once.
func (t *Tail) Close() {
	t.stop()
	t.running.Wait()
	for _, m := range t.members {
		m.follower.Close() // of a member that never ran
	}
	if t.watch != nil {
		t.catalog.leave(t.watch)
		t.watch = nil
	}
}
