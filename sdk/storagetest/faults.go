package storagetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/plugintest"
)

// Backend controls what a storage keeps its lines in, for checks that take it away.
type Backend interface {
	// Break takes the backend away, as a crash does, and returns once it is away.
	Break() error
	// Mend brings it back, with all that it had accepted.
	Mend() error
}

// Freezer is a [Backend] that can be made to stand still: it is still there, but does not answer.
type Freezer interface {
	Backend
	Freeze() error
	// Thaw lets it go on from where it stood.
	Thaw() error
}

// Faults checks what storages do while their backend is away (AwayErrors and so on) and while it
// stands still (FrozenErrors and so on, which are left out unless the backend is a [Freezer]). It
// also checks that nothing that they acknowledged is missing once the backend is back. Each subtest
// opens its own storage, as for [Run], and handles the backend that open returns with it.
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

// FaultsExecutable does what [Faults] does, for a storage plugin's executable. Open returns the
// settings of a process, as for [RunExecutable], and the backend that they lead to.
func FaultsExecutable(t *testing.T, path string, open func(t *testing.T) (settings map[string]string, backend Backend), opts ...plugintest.Option) {
	t.Helper()
	plugintest.Run(t, executableFaults(path, func(t plugintest.T) (map[string]string, Backend) { return open(t.(*testing.T)) },
		func(_ plugintest.T, s sdk.Storage, _ *waits) sdk.Storage { return s }), opts...)
}

// CheckWithBackend does what [Check] and [FaultsExecutable] do, without go test and in apps of its
// own. Without a backend (nil) each check of FaultsExecutable is reported as left out. The backend
// is mended again whatever a check finds.
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
	// callTime is the deadline of calls while the backend is away, and callSlack is how much longer
	// a call may take on a busy machine.
	callTime  = 2500 * time.Millisecond
	callSlack = 1500 * time.Millisecond
	// checkTime is how long a host waits for Check.
	checkTime = 1500 * time.Millisecond
	// noticeTime bounds how long a storage may take until Check says that the backend is away.
	noticeTime = 10 * time.Second
	// shutdownTime bounds how long Shutdown may take while the backend is away. A host kills the
	// process sooner; a Shutdown that takes longer hangs.
	shutdownTime = 5 * time.Second
	// awayTime is how long the backend is away while lines are appended and followed.
	awayTime = 1500 * time.Millisecond
)

// patient holds a storage under test and its backend.
type patient struct {
	*subject
	backend Backend
	// check is the storage's Check, nil if it has none.
	check func(context.Context) error
	// another starts another process on the backend, and returns its storage and its Shutdown. It
	// is nil for a storage that runs in no process of its own.
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

// away takes the backend away. The backend comes back at the end of the check at the latest. Back
// returns once the storage says that it is ready again.
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

// bounded calls f with a context that has a deadline, and returns f's error. The check fails if f
// does not end in time.
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
