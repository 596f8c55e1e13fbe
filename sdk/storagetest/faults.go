package storagetest

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/plugintest"
)

// Backend is what a storage keeps its lines in, for checks that take it away.
type Backend interface {
	// Break takes the backend away, as a crash does, and returns once it is away.
	Break() error
	// Mend brings it back, with all that it had accepted.
	Mend() error
}

// Freezer is a [Backend] that can be made to stand still: it is there, and does not answer.
type Freezer interface {
	Backend
	Freeze() error
	// Thaw lets it go on from where it stood.
	Thaw() error
}

// Faults checks what storages do while their backend is away (AwayErrors and so on) and while it
// stands still (FrozenErrors and so on, which are left out unless the backend is a [Freezer]), and
// that nothing which they acknowledged is missing once it is back. Each subtest opens its own
// storage, as for [Run], and handles the backend that open gives with it.
func Faults(t *testing.T, open func(t *testing.T, lines int) (sdk.Storage, Backend), opts ...plugintest.Option) {
	t.Helper()
	plugintest.Run(t, faultChecks(func(t plugintest.T) *patient {
		storage, backend := open(t.(*testing.T), faultLines)
		p := &patient{subject: &subject{T: t, storage: storage, direct: true, writer: "suite", waits: &waits{}}, backend: backend}
		if c, ok := storage.(sdk.Checker); ok {
			p.check = c.Check
		}
		return p
	}), opts...)
}

// FaultsExecutable does what [Faults] does, for a storage plugin's executable. Open gives the
// settings of a process, as for [RunExecutable], and the backend that these lead to.
func FaultsExecutable(t *testing.T, path string, open func(t *testing.T) (settings map[string]string, backend Backend), opts ...plugintest.Option) {
	t.Helper()
	plugintest.Run(t, executableFaults(path, func(t plugintest.T) (map[string]string, Backend) { return open(t.(*testing.T)) },
		func(_ plugintest.T, s sdk.Storage, _ *waits) sdk.Storage { return s }), opts...)
}

// CheckWithBackend does what [Check] and [FaultsExecutable] do, without go test and in apps of its
// own. Without a backend (nil) each of the latter's checks is reported as left out. The backend is
// mended again whatever a check finds.
func CheckWithBackend(ctx context.Context, path string, settings map[string]string, backend Backend, warn func(string), observe func(plugintest.Result), opts ...plugintest.Option) (ok bool, err error) {
	if err := warnIfOccupied(ctx, path, settings, warn); err != nil {
		return false, err
	}
	faults := executableFaults(path, func(plugintest.T) (map[string]string, Backend) { return settings, backend }, private)
	if backend == nil {
		for _, c := range faults { // what the caller says of one counts
			opts = append([]plugintest.Option{plugintest.Without(c.Name, "it needs a backend that can be taken away")}, opts...)
		}
	}
	all := executableChecks(path, func(plugintest.T) map[string]string { return settings }, private)
	return plugintest.Report(ctx, append(all, faults...), observe, opts...)
}

func executableFaults(path string, open func(plugintest.T) (map[string]string, Backend), wrap wrapper) []plugintest.Check {
	return faultChecks(func(t plugintest.T) *patient {
		settings, backend := open(t)
		e := storageExecutable{wrap: wrap, waits: &waits{}, Executable: plugintest.Executable{
			Path: path, Kind: sdk.StorageKind, Settings: func(plugintest.T) map[string]string { return settings },
		}}
		storage, process := e.open(t, faultLines, stateDir(t))
		return &patient{
			subject: &subject{T: t, storage: storage, writer: "suite", waits: e.waits}, backend: backend, check: process.Calls.Check,
			another: func() (sdk.Storage, func(context.Context) error) {
				e.wrap = func(_ plugintest.T, s sdk.Storage, _ *waits) sdk.Storage { return s }
				next, process := e.open(t, faultLines, stateDir(t))
				if p, ok := storage.(*privateStorage); ok { // which deletes what this one stores, too
					next = &privateStorage{prefix: p.prefix, storage: next, used: p.used}
				}
				return next, process.Calls.Shutdown
			},
		}
	})
}

// faultLines is how many entries the storages keep: more than a check appends.
const faultLines = 100_000

const (
	// callTime is the deadline of calls while the backend is away, and callSlack what a call may
	// take beyond it on a busy machine.
	callTime  = 2500 * time.Millisecond
	callSlack = 1500 * time.Millisecond
	// checkTime is how long a host waits for Check.
	checkTime = 1500 * time.Millisecond
	// noticeTime is how long a storage may take until Check says that the backend is away.
	noticeTime = 10 * time.Second
	// shutdownTime is how long Shutdown may take while the backend is away. A host kills the
	// process sooner; what takes longer hangs.
	shutdownTime = 5 * time.Second
	// awayTime is how long the backend is away while lines are appended and followed.
	awayTime = 1500 * time.Millisecond
)

// patient is a storage under test and its backend.
type patient struct {
	*subject
	backend Backend
	// check is the storage's Check, nil if it has none.
	check func(context.Context) error
	// another starts a process of its own on the backend, and gives its Shutdown. It is nil for a
	// storage that is in no process.
	another func() (sdk.Storage, func(context.Context) error)
	// take and back are what the check does to the backend, as adverb says.
	take, back func() error
	adverb     string
}

func faultChecks(open func(plugintest.T) *patient) (all []plugintest.Check) {
	for _, frozen := range []bool{false, true} {
		for _, c := range []struct {
			name  string
			check func(*patient)
		}{
			{"Errors", faultErrors},
			{"Check", faultCheck},
			{"Keeps", faultKeeps},
			{"Follow", faultFollow},
		} {
			name := "Away" + c.name
			if frozen {
				name = "Frozen" + c.name
			}
			all = append(all, plugintest.Check{Name: name, Run: func(t plugintest.T) {
				p := open(t)
				p.take, p.back, p.adverb = p.backend.Break, p.backend.Mend, "away"
				if frozen {
					freezer, ok := p.backend.(Freezer)
					if !ok {
						t.Skipf("left out: the backend cannot be frozen")
					}
					p.take, p.back, p.adverb = freezer.Freeze, freezer.Thaw, "frozen"
				}
				c.check(p)
			}})
		}
	}
	return all
}

// away takes the backend away. It comes back at the latest with the end of the check. Back returns
// once the storage says that it is ready again.
func (p *patient) away() (back func()) {
	p.Helper()
	back = sync.OnceFunc(func() {
		if err := p.back(); err != nil {
			p.Errorf("bring the backend back: %v", err)
			return
		}
		ready := p.waits.patience()
		for end := time.Now().Add(ready); p.check != nil; time.Sleep(20 * time.Millisecond) {
			err := p.bounded("Check", checkTime, p.check)
			if err == nil {
				return
			}
			if time.Now().After(end) {
				p.Errorf("the backend is back, and after %s Check still says: %v", ready, err)
				return
			}
		}
	})
	p.Cleanup(back)
	if err := p.take(); err != nil {
		p.Fatalf("take the backend away: %v", err)
	}
	return back
}

// bounded gives f a context with a deadline, and returns how f ended. It is an error of the check
// if f does not end in time.
func (p *patient) bounded(what string, deadline time.Duration, f func(context.Context) error) error {
	p.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.Context()), deadline) // it may be the end of the check
	ended := make(chan error, 1)
	go func() { // ends with f
		defer cancel()
		ended <- f(ctx)
	}()
	late := time.NewTimer(deadline + callSlack)
	defer late.Stop()
	select {
	case err := <-ended:
		return err
	case <-late.C:
		p.Errorf("%s goes on %s after its deadline of %s, while the backend is %s", what, callSlack, deadline, p.adverb)
		return context.DeadlineExceeded
	}
}

// stored appends the batch as a host does: again and again until it is acknowledged.
func (p *patient) stored(batch sdk.Batch) {
	p.Helper()
	var err error
	for end := time.Now().Add(p.waits.patience()); time.Now().Before(end) && p.Context().Err() == nil; time.Sleep(20 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(p.Context(), callTime)
		err = p.storage.Append(ctx, batch)
		cancel()
		switch {
		case err == nil:
			return
		case errors.Is(err, sdk.ErrInvalid):
			p.Fatalf("Append refuses a batch that is repeated, for good: %v", err)
		}
	}
	p.Fatalf("the backend is back, and a batch is not stored within %s: %v", patience, err)
}

// faultErrors: while the backend is away each call ends by its deadline, with an error that says to
// try again, or with the truth; and what was stored is there afterwards, once.
func faultErrors(p *patient) {
	p.append("foo", numbered(1, 10)...)
	p.append("bar", numbered(1, 3)...)
	batch := one(p.next(), "foo", numbered(11, 15))
	back := p.away()
	calls := map[string]func(ctx context.Context) error{
		"Append": func(ctx context.Context) error { return p.storage.Append(ctx, batch) },
		"Read": func(ctx context.Context) error {
			page, err := p.page(ctx, sdk.ReadOptions{App: "foo", Limit: -1})
			if err == nil && page.Last < 10 {
				p.Errorf("Read answers %d of 10 entries and no error, while the backend is %s", page.Last, p.adverb)
			}
			return err
		},
		"Delete": func(ctx context.Context) error { return p.storage.Delete(ctx, "bar") },
	}
	if v, ok := p.storage.(sdk.Versioner); ok {
		calls["Versions"] = func(ctx context.Context) error {
			_, err := v.Versions(ctx, []string{"foo"})
			return err
		}
	}
	if l, ok := p.storage.(sdk.AppLister); ok {
		calls["Apps"] = func(ctx context.Context) error {
			_, err := l.Apps(ctx, "", 10)
			return err
		}
		calls["Totals"] = func(ctx context.Context) error {
			_, err := l.Totals(ctx)
			return err
		}
	}
	type outcome struct {
		call string
		err  error
	}
	outcomes := make(chan outcome, len(calls))
	for what, f := range calls {
		go func() { outcomes <- outcome{what, p.bounded(what, callTime, f)} }()
	}
	got := map[string]error{}
	for range calls {
		o := <-outcomes
		got[o.call] = o.err
		if errors.Is(o.err, sdk.ErrInvalid) || errors.Is(o.err, sdk.ErrPanic) || errors.Is(o.err, sdk.ErrContract) ||
			errors.Is(o.err, sdk.ErrUnsupported) && (o.call == "Append" || o.call == "Read" || o.call == "Delete") {
			p.Errorf("%s while the backend is %s: %v: want sdk.ErrUnavailable, after which it is tried again", o.call, p.adverb, o.err)
		}
	}
	back()
	p.stored(one(p.next(), "after", numbered(1, 1))) // it works again
	if got["Append"] == nil {
		p.wantKept("foo", 15, numbered(1, 15)...) // it was acknowledged
	}
	p.stored(batch)
	p.wantKept("foo", 15, numbered(1, 15)...)
	if got["Delete"] == nil {
		p.wantKept("bar", 0)
	}
	p.endsAway()
}

// endsAway: a process whose backend is away finishes its calls when it is told to: none hangs.
func (p *patient) endsAway() {
	p.Helper()
	if p.another == nil {
		return
	}
	storage, shutDown := p.another()
	back := p.away()
	batch := one(p.next(), "foo", numbered(16, 16))
	_ = p.bounded("Append", callTime/5, func(ctx context.Context) error { return storage.Append(ctx, batch) })
	ctx, cancel := context.WithTimeout(p.Context(), shutdownTime)
	defer cancel()
	if err := shutDown(ctx); err != nil {
		p.Errorf("Shutdown while the backend is %s, after all deadlines: %v: a call, or Close, goes on", p.adverb, err)
	}
	back()
}

// faultCheck: Check tells in time that the backend is away, and that it is back.
func faultCheck(p *patient) {
	if p.check == nil {
		p.Skipf("left out: no Check")
	}
	ask := func() error {
		return p.bounded("Check", checkTime, func(ctx context.Context) error {
			err := p.check(ctx)
			if errors.Is(err, context.DeadlineExceeded) {
				p.Fatalf("Check does not answer within %s while the backend is %s: a host would end the process", checkTime, p.adverb)
			}
			return err
		})
	}
	until := func(what string, patience time.Duration, ok func(error) bool) {
		p.Helper()
		var err error
		for end := time.Now().Add(patience); time.Now().Before(end) && !p.Failed(); time.Sleep(20 * time.Millisecond) {
			if err = ask(); ok(err) {
				return
			}
		}
		if !p.Failed() {
			p.Fatalf("%s, and after %s Check still says: %v", what, patience, err)
		}
	}
	until("nothing is wrong", p.waits.patience(), func(err error) bool { return err == nil })
	back := p.away()
	until("the backend is "+p.adverb, noticeTime, func(err error) bool {
		if err != nil && (err.Error() == "" || strings.ContainsAny(err.Error(), "\r\n")) {
			p.Errorf("Check says %q: want one line", err)
		}
		return err != nil
	})
	back() // which waits until Check says so
}

// faultKeeps: what is acknowledged before, while and after the backend goes away is read once, in
// its order; at no moment does a read answer less.
func faultKeeps(p *patient) {
	const perBatch, before, after = 3, 20, 20
	apps := []string{"one", "two"}
	number := 0 // of the last line of each app that is acknowledged
	appendOn := func(batches int) {
		for range batches {
			batch := sdk.Batch{ID: p.next()}
			for _, app := range apps {
				batch.Apps = append(batch.Apps, sdk.AppEntries{App: app, Entries: numbered(number+1, number+perBatch)})
			}
			p.stored(batch)
			number += perBatch
			for _, app := range apps {
				ctx, cancel := context.WithTimeout(p.Context(), callTime)
				page, err := p.page(ctx, sdk.ReadOptions{App: app, Limit: 1})
				cancel()
				if err == nil && page.Last < uint64(number) {
					p.Fatalf("%q has %d lines that were acknowledged, and a read answers %d", app, number, page.Last)
				}
			}
		}
	}
	appendOn(before)
	back := p.away()
	mended := make(chan struct{})
	time.AfterFunc(awayTime, func() {
		defer close(mended)
		back()
	})
	defer func() { <-mended }()
	appendOn(after)
	<-mended
	appendOn(1)
	for _, app := range apps {
		p.wantKept(app, number, numbered(1, number)...)
		p.want(p.arrivals(app), numbered(1, number)...)
	}
}

// faultFollow: a follower that is begun again where it ended, as a host does, gets what comes once
// the backend is back, each line once.
func faultFollow(p *patient) {
	p.without(p.follows(), "Follow")
	p.append("foo", numbered(1, 5)...)
	ctx, cancel := context.WithCancel(p.Context())
	seen, ended := make(chan sdk.Entry, 100), make(chan error, 1)
	go func() { // ends with ctx
		at, gone := sdk.Beginning(), uint64(0)
		for ctx.Err() == nil {
			_ = p.storage.(sdk.Follower).Follow(ctx, "foo", at, func(page sdk.Page) error {
				opts := sdk.ReadOptions{App: "foo", Limit: -1, After: at}
				if p.direct {
					page, _ = sdk.ReadFiltered(ctx, fixed(page), opts)
				}
				gone += page.Gone
				for _, e := range page.Entries {
					select {
					case seen <- e:
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				if at = page.Next; at.IsZero() {
					at = sdk.Beginning()
				}
				return nil
			})
			time.Sleep(50 * time.Millisecond)
		}
		if gone > 0 {
			ended <- sdk.Breach("it is told that %d lines are gone", gone)
		}
		close(ended)
	}()
	defer func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				p.Errorf("the follower: %v", err)
			}
		case <-time.After(callSlack):
			p.Errorf("Follow does not end within %s of its context", callSlack)
		}
	}()
	var got []sdk.Entry
	reaches := func(n int) {
		p.Helper()
		late := time.NewTimer(p.waits.patience())
		defer late.Stop()
		for len(got) < n {
			select {
			case e := <-seen:
				got = append(got, e)
			case <-late.C:
				p.Fatalf("the backend is back, and the follower has seen %d of %d lines: %s", len(got), n, gist(got))
			}
		}
	}
	reaches(5)
	back := p.away()
	time.Sleep(awayTime)
	back()
	p.stored(one(p.next(), "foo", numbered(6, 8)))
	reaches(8)
	p.append("foo", numbered(9, 10)...)
	reaches(10)
	p.want(got, numbered(1, 10)...)
}
