package storagetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/plugintest"
)

// linesEnv is the setting that every storage declares: how many entries it keeps of an app. The
// platform chose the name; a plugin cannot.
const linesEnv = "NUMBER_OF_LINES"

// RunExecutable checks a storage plugin's executable, in whatever language it is written: each
// subtest starts it as a host does. Beside what [Run] checks, the plugin has to describe itself,
// keep its logs when it crashes, or begin them anew with another epoch, and end with its host.
//
// Settings gives the settings of a process whose storage is empty and has room for at
// least 16 MiB; NUMBER_OF_LINES, which every storage declares, is set by the suite. It
// is called once per subtest, and may be nil.
func RunExecutable(t *testing.T, path string, settings func(t *testing.T) map[string]string, opts ...plugintest.Option) {
	t.Helper()
	plugintest.Run(t, executableChecks(path, func(t plugintest.T) map[string]string {
		if settings == nil {
			return nil
		}
		return settings(t.(*testing.T))
	}, func(_ plugintest.T, s sdk.Storage, _ *waits) sdk.Storage { return s }), opts...)
}

// Check checks a storage plugin's executable without go test. It calls observe with each result as
// the check ends, and reports whether no check failed. It stores only in apps whose names begin
// with a random text, and deletes them again: a storage in use loses none of its lines. If the
// storage seems to be in use, warn gets a line that says so. An error means that nothing was
// checked.
func Check(ctx context.Context, path string, settings map[string]string, warn func(string), observe func(plugintest.Result), opts ...plugintest.Option) (ok bool, err error) {
	if err := warnIfOccupied(ctx, path, settings, warn); err != nil {
		return false, err
	}
	return plugintest.Report(ctx, executableChecks(path, func(plugintest.T) map[string]string { return settings }, private), observe, opts...)
}

func warnIfOccupied(ctx context.Context, path string, settings map[string]string, warn func(string)) error {
	n, err := occupied(ctx, path, settings)
	if n > 0 {
		warn(fmt.Sprintf("the storage holds %d apps already: if others write to it, their lines may be pushed out for want of room", n))
	}
	return err
}

// occupied returns how many apps the storage lists.
func occupied(ctx context.Context, path string, settings map[string]string) (uint64, error) {
	p, err := plugintest.Launch(ctx, path)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	if p.Description.Kind != sdk.StorageKind {
		return 0, sdk.Refusef("%s is %s plugin %q, not a storage", path, p.Description.Kind, p.Description.Name)
	}
	dir, err := os.MkdirTemp("", "ls")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if _, err := p.Configure(ctx, settings, dir); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	for last := error(nil); ; {
		err := p.Calls.Check(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return 0, fmt.Errorf("the storage is not ready: %w", last)
		}
		if last == nil || !errors.Is(err, context.DeadlineExceeded) { // which does not say why
			last = err
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond): // it may be connecting
		}
	}
	totals, err := sdk.NewRemoteStorage(p.Conn).Totals(ctx)
	if err != nil && !errors.Is(err, sdk.ErrUnsupported) {
		return 0, fmt.Errorf("count the apps: %w", err)
	}
	return totals.Apps, nil
}

// readyPatience bounds how long a storage may take to reach its backend.
const readyPatience = 10 * time.Second

// executableChecks returns the suite against an executable. Wrap may put something between
// the checks and the storage.
func executableChecks(path string, settings func(plugintest.T) map[string]string, wrap wrapper) []plugintest.Check {
	e := storageExecutable{wrap: wrap, waits: &waits{}, Executable: plugintest.Executable{Path: path, Kind: sdk.StorageKind, Settings: settings}}
	all := append(e.Checks(),
		plugintest.Check{Name: "NumberOfLines", Run: e.numberOfLines},
		plugintest.Check{Name: "Retention", Run: e.retention},
		plugintest.Check{Name: "Restart", Run: e.restart})
	for _, c := range checks(false, e.waits, func(t plugintest.T, lines int) sdk.Storage {
		storage, _ := e.open(t, lines, stateDir(t))
		return storage
	}) {
		if c.Name == "LoweredLines" {
			c.Run = e.loweredLines
		}
		all = append(all, c)
	}
	return all
}

type storageExecutable struct {
	plugintest.Executable
	wrap  wrapper
	waits *waits
}

// wrapper puts something between a check and the storage.
type wrapper func(plugintest.T, sdk.Storage, *waits) sdk.Storage

// open starts a process and gives its storage.
func (e storageExecutable) open(t plugintest.T, lines int, state string) (sdk.Storage, *plugintest.Plugin) {
	t.Helper()
	p := e.Start(t)
	if p.Declares(linesEnv) {
		given := e.Settings
		e.Settings = func(t plugintest.T) map[string]string {
			all := maps.Clone(given(t))
			if all == nil {
				all = map[string]string{}
			}
			all[linesEnv] = strconv.Itoa(lines)
			return all
		}
	}
	e.Configure(t, p, state)
	e.Ready(t, p)
	return e.wrap(t, sdk.NewRemoteStorage(p.Conn), e.waits), p
}

// stateDir returns a folder for what must outlive a process, as a host gives.
func stateDir(t plugintest.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ls")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// numberOfLines: the platform's setting decides how many entries are kept.
func (e storageExecutable) numberOfLines(t plugintest.T) {
	s, ok := e.declared(t, linesEnv)
	switch {
	case !ok:
		t.Errorf("the plugin does not declare %s, and so cannot know how many entries of an app to keep", linesEnv)
	case s.Type != sdk.IntSetting || s.Default != "1000":
		t.Errorf("%s has type %d and default %q, want a whole number and 1000", linesEnv, s.Type, s.Default)
	}
}

// retentionEnv is the setting that says after how long without lines an app is forgotten.
const retentionEnv = "LOGGER_APP_RETENTION"

// retention: a storage that forgets apps does so by the platform's setting. The suite cannot check
// that it does: it takes long, and a forgotten app looks like one that never was.
func (e storageExecutable) retention(t plugintest.T) {
	s, ok := e.declared(t, retentionEnv)
	switch {
	case !ok:
		t.Skipf("left out: no %s", retentionEnv)
	case s.Type != sdk.DurationSetting || s.Default != "720h":
		t.Errorf("%s has type %d and default %q, want a duration and 720h", retentionEnv, s.Type, s.Default)
	case s.Check("0") != nil:
		t.Errorf("%s does not take 0, which is never", retentionEnv)
	}
}

func (e storageExecutable) declared(t plugintest.T, env string) (sdk.Setting, bool) {
	t.Helper()
	for _, s := range e.Start(t).Description.Settings {
		if s.Env == env {
			return s, true
		}
	}
	return sdk.Setting{}, false
}

// restartable runs one storage in several processes, one after the other, over the same backend.
type restartable struct {
	e       storageExecutable
	state   string
	storage sdk.Storage
	process *plugintest.Plugin
}

func (e storageExecutable) restartable(t plugintest.T, lines int) (*restartable, *subject) {
	t.Helper()
	settings := e.Settings(t) // once: asking may empty the backend
	e.Settings = func(plugintest.T) map[string]string { return settings }
	r := &restartable{e: e, state: stateDir(t)}
	r.storage, r.process = e.open(t, lines, r.state)
	return r, &subject{T: t, storage: r.storage, writer: "suite", waits: e.waits}
}

// again starts the next process, once the last one is gone.
func (r *restartable) again(s *subject, lines int) {
	s.Helper()
	next, process := r.e.open(s.T, lines, r.state)
	if p, ok := r.storage.(*privateStorage); ok {
		next.(*privateStorage).takeOver(p)
	}
	r.storage, r.process, s.storage = next, process, next
}

// restart: after a crash of the process the log is as it was, cursors, marks and all,
// or gone, which shows in its epoch.
func (e storageExecutable) restart(t plugintest.T) {
	r, s := e.restartable(t, 100)
	s.append("foo", numbered(1, 10)...)
	s.append("foo", every(2, 12, 20)...)
	s.append("foo", every(2, 11, 19)...)
	last := one(s.next(), "foo", numbered(21, 30))
	s.appendBatch(last)
	before, arrived := s.wantKept("foo", 30, numbered(1, 30)...), s.arrivals("foo")

	r.process.Kill()
	r.again(s, 100)
	after := s.all("foo")
	s.appendBatch(last)
	rest := s.walk(sdk.ReadOptions{App: "foo", Limit: -1, After: before.End()})
	switch {
	case after.Epoch == before.Epoch: // kept
		s.want(after.Entries, before.Entries...)
		s.wantKept("foo", 30, before.Entries...)
		s.want(s.arrivals("foo"), arrived...)
		s.want(rest.arrived)
		s.append("foo", line(31))
		s.wantKept("foo", 31, numbered(1, 31)...)
	case len(after.Entries) > 0:
		t.Errorf("the epoch went from %x to %x, and %d entries are still there", before.Epoch, after.Epoch, len(after.Entries))
	default: // lost
		s.want(published(rest.arrived), numbered(21, 30)...)
		if rest.at.Epoch == before.Epoch {
			t.Errorf("the log is lost, and what is appended later is still of epoch %x", rest.at.Epoch)
		}
	}
}

// loweredLines does what [loweredLines] does, for an executable. It starts the executable again, as
// an operator who changes the setting does.
func (e storageExecutable) loweredLines(t plugintest.T) {
	if _, ok := e.declared(t, linesEnv); !ok {
		t.Skipf("left out: no %s", linesEnv)
	}
	r, s := e.restartable(t, 20)
	s.append("foo", every(2, 1, 39)...)
	s.append("foo", numbered(31, 36)...)
	s.append("short", numbered(1, 3)...)
	kept := published(every(2, 1, 39), numbered(31, 36))
	s.lowered(kept[len(kept)-20:], func(lines int) {
		r.process.Close()
		r.again(s, lines)
		if s.all("foo").Epoch == 0 {
			t.Skipf("left out: what is stored ends with the process")
		}
	})
}
