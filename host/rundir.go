package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

const (
	runDirPrefix = "logger-run-"
	trialPrefix  = "logger-ld-" // short, for sockets
	lockFile     = "lock"       // holds the owner's text too
	stateFolder  = "state"
	// abandonedAfter is how long a killed host's state waits for its next start.
	abandonedAfter = time.Hour
	// maxRunDir leaves room in a socket's path, which is limited to 107 bytes, for
	// the folders and names below the run folder.
	maxRunDir = 50
)

// TrialDir makes a private folder below base for a look at plugins that takes a moment, and
// removes those whose process was killed. The caller removes it.
func TrialDir(base string) (path string, remove func(), err error) {
	sweepTrials(base)
	for range 3 { // another process may sweep it before it is locked
		if path, err = os.MkdirTemp(base, trialPrefix); err != nil {
			return "", nil, err
		}
		held, lockErr := lock(path)
		if lockErr == nil {
			return path, func() { _ = os.RemoveAll(path); _ = held.Close() }, nil
		}
		_ = os.RemoveAll(path)
		err = lockErr
	}
	return "", nil, err
}

// sweepTrials removes the folders of [TrialDir] that no process holds.
func sweepTrials(base string) {
	for _, path := range leftBehind(base, trialPrefix) {
		if held, err := lock(path); err == nil {
			_ = os.RemoveAll(path)
			_ = held.Close()
		}
	}
}

// runDir is the host's private folder: sockets, and state that outlives a plugin's
// process. A lock file tells a living host's folder from one left behind.
type runDir struct {
	path  string
	owner string
	lock  *os.File
	// adopted is set for a folder that a host of the same owner left behind: its
	// state is still there.
	adopted bool

	mu      sync.Mutex // of the lock, and of what is below
	plugins []string   // that have a folder for their state
}

// openRunDir makes a run folder below base. If a host with the same owner text did not
// stop in order (it was killed, say), its folder is taken over, so that what a
// plugin keeps there outlives that too. Folders that others left behind are removed
// once they hold nothing, or nobody came for them in abandonedAfter.
func openRunDir(base, owner string, logger hclog.Logger) (_ *runDir, err error) {
	if base == "" {
		base = defaultRunBase()
	}
	d := adopt(base, owner, logger)
	if d != nil {
		d.owner = owner
	} else {
		if d, err = makeRunDir(base, owner); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			d.Close(false)
		}
	}()
	if len(d.path) > maxRunDir {
		return nil, fmt.Errorf("LOGGER_RUN_DIR=%q: too long a path for sockets: want at most %d bytes", base, maxRunDir-len(d.path)+len(base))
	}
	if err := os.RemoveAll(d.sockets()); err != nil {
		return nil, err
	}
	return d, d.makeFolders()
}

// makeFolders makes what is not there of the folders. It fails if something else, or a folder
// that others can change, has come in the place of one: the folder's own may be one that
// everybody may write to.
func (d *runDir) makeFolders() error {
	if err := os.MkdirAll(filepath.Dir(d.path), 0o700); err != nil {
		return err
	}
	folders := []string{d.path, d.sockets(), d.state()}
	for _, plugin := range d.plugins {
		folders = append(folders, filepath.Join(d.state(), plugin))
	}
	for _, path := range folders {
		if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); !info.IsDir() || ok && int(stat.Uid) != os.Getuid() || info.Mode().Perm()&0o022 != 0 {
			return fmt.Errorf("%s (%s) is not a folder of this user's alone, and has to be removed: %w", path, info.Mode(), fs.ErrExist)
		}
	}
	return nil
}

func makeRunDir(base, owner string) (*runDir, error) {
	path, err := os.MkdirTemp(base, runDirPrefix)
	if err != nil {
		return nil, fmt.Errorf("run folder in LOGGER_RUN_DIR=%q: %w", base, err)
	}
	d := &runDir{path: path, owner: owner}
	if err := d.hold(); err != nil {
		d.Close(false)
		return nil, fmt.Errorf("run folder in LOGGER_RUN_DIR=%q: %w", base, err)
	}
	return d, nil
}

// hold makes the lock file, which says whose the folder is, and takes its lock.
func (d *runDir) hold() error {
	f, err := lock(d.path)
	if err != nil {
		return err
	}
	if d.lock != nil {
		_ = d.lock.Close()
	}
	d.lock = f
	_, err = f.WriteString(d.owner)
	return err
}

func (d *runDir) sockets() string { return filepath.Join(d.path, "s") }
func (d *runDir) state() string   { return filepath.Join(d.path, stateFolder) }

// stateOf makes the folder for the state of one plugin. It is made again if something takes it.
func (d *runDir) stateOf(plugin string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.plugins = append(d.plugins, plugin)
	return filepath.Join(d.state(), plugin), d.makeFolders()
}

// Close removes the folder and lets go of its lock. Unless the stop is orderly, state
// that a plugin keeps stays for the next start: a host that ends over a mistyped
// setting must not take along what a killed one left it.
func (d *runDir) Close(orderly bool) {
	if orderly || !holdsFiles(d.state()) {
		_ = os.RemoveAll(d.path)
	} else {
		_ = os.RemoveAll(d.sockets())
	}
	if d.lock != nil {
		_ = d.lock.Close()
	}
}

// keepAlive looks after the folder once in a while until ctx ends. It marks it as in
// use: the times of a plugin's mapped files stand still while it writes to them. It
// makes it again if something that tidies up the temporary folder took it. And it
// removes what other hosts left behind and nobody came back for.
func (d *runDir) keepAlive(ctx context.Context, logger hclog.Logger) error {
	ticker := time.NewTicker(abandonedAfter / 60)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			if err := d.refresh(now); err != nil {
				logger.Warn("the run folder is gone and cannot be made again", "folder", d.path, "error", err)
			}
			adopt(filepath.Dir(d.path), "", logger)
		}
	}
}

// heal makes again what is gone of the folder. The next process of a plugin needs it.
func (d *runDir) heal() error { return d.refresh(time.Now()) }

// refresh marks the folder as in use at a time, and makes again what is gone of it.
func (d *runDir) refresh(now time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.makeFolders(); err != nil {
		return err
	}
	held, err := d.lock.Stat()
	if err != nil {
		return err
	}
	if there, err := os.Lstat(d.lock.Name()); err != nil || !os.SameFile(held, there) {
		if err := d.hold(); err != nil {
			return err
		}
	}
	for _, path := range []string{d.lock.Name(), d.path, d.sockets(), d.state()} {
		// A clock that cannot be set makes the folder look older, no more.
		_ = os.Chtimes(path, now, now)
	}
	return nil
}

// only removes what plugins other than these keep: those of a killed host that was
// configured otherwise.
func (d *runDir) only(plugins ...string) {
	entries, _ := os.ReadDir(d.state())
	for _, entry := range entries {
		if !slices.Contains(plugins, entry.Name()) {
			_ = os.RemoveAll(filepath.Join(d.state(), entry.Name()))
		}
	}
}

// defaultRunBase returns where a tmpfs usually is, else the temporary folder.
func defaultRunBase() string {
	const shm = "/dev/shm"
	if unix.Access(shm, unix.W_OK|unix.X_OK) == nil {
		return shm
	}
	return os.TempDir()
}

// errHeld is the error of a lock that another process holds.
var errHeld = errors.New("held by another process")

func lock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errHeld
		}
		return nil, err
	}
	return f, nil
}

// adopt goes through the run folders of ours that no process holds: the newest of the
// same owner is taken over, the others of that owner and the abandoned are removed, and
// so are those of a killed doctor.
func adopt(base, owner string, logger hclog.Logger) (adopted *runDir) {
	sweepTrials(base)
	for _, path := range leftBehind(base, runDirPrefix) {
		f, err := lock(path)
		if err != nil {
			continue // a living host's
		}
		content, err := io.ReadAll(io.LimitReader(f, 1<<10))
		mine := err == nil && owner != "" && string(content) == owner
		if mine && adopted == nil {
			logger.Info("taking over the run folder of a host that did not stop in order", "folder", path)
			adopted = &runDir{path: path, lock: f, adopted: true}
			continue
		}
		if mine || abandoned(f, filepath.Join(path, stateFolder)) {
			logger.Info("removing the run folder of a host that did not stop in order", "folder", path)
			_ = os.RemoveAll(path)
		}
		_ = f.Close()
	}
	return adopted
}

// leftBehind returns our folders of that prefix below base, the newest first.
func leftBehind(base, prefix string) []string {
	type candidate struct {
		path string
		made time.Time
	}
	paths, err := filepath.Glob(filepath.Join(base, prefix+"*"))
	if err != nil {
		return nil
	}
	var found []candidate
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() {
			continue
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != os.Getuid() {
			continue
		}
		// A folder without a lock file is one that its host is just making.
		if lock, err := os.Lstat(filepath.Join(path, lockFile)); err == nil {
			found = append(found, candidate{path, lock.ModTime()})
		}
	}
	slices.SortFunc(found, func(a, b candidate) int { return b.made.Compare(a.made) })
	out := make([]string, len(found))
	for i, c := range found {
		out[i] = c.path
	}
	return out
}

// abandoned says that the folder of a host that is gone holds nothing, or was not in
// use for so long that its owner would have come back for it.
func abandoned(lock *os.File, state string) bool {
	info, err := lock.Stat()
	return !holdsFiles(state) || err == nil && time.Since(info.ModTime()) > abandonedAfter
}

// holdsFiles says that there is a file anywhere below the folder.
func holdsFiles(dir string) bool {
	found := false
	_ = filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			found = true
			return fs.SkipAll
		}
		return nil
	})
	return found
}
