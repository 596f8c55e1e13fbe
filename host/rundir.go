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
	trialPrefix  = "logger-ld-" // short, because socket paths are
	lockFile     = "lock"       // contains the owner's text
	stateFolder  = "state"
	// abandonedAfter bounds how long a killed host's state waits for its next start.
	abandonedAfter = time.Hour
	// maxRunDir leaves room for the folders and names below the run folder: the path of a socket
	// has at most 107 bytes.
	maxRunDir = 50
)

// TrialDir makes a private folder below base for a brief look at plugins. It also removes such
// folders whose process was killed. The caller calls remove.
func TrialDir(base string) (path string, remove func(), err error) {
	sweepTrials(base)
	for range 3 { // another process may sweep the folder before it is locked
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

// runDir holds the host's private folder: sockets, and state that outlives a plugin's process. A
// lock file tells a living host's folder from one left behind.
type runDir struct {
	path  string
	owner string
	lock  *os.File
	// adopted is set if a host of the same owner left the folder behind: its state is still there.
	adopted bool

	mu      sync.Mutex // guards lock and the fields below
	plugins []string   // those with a state folder
}

// openRunDir makes a run folder below base. If a host with the same owner text was killed or
// otherwise did not stop in order, openRunDir takes over its folder, and so the plugins' state in
// it. It removes the folders of other hosts that are gone once they hold nothing, or after
// abandonedAfter.
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

// makeFolders makes the folders that are missing. It fails if something else, or a folder that
// others can change, stands in the place of one: everybody may be able to write to the base folder.
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
			return fmt.Errorf("%s (%s) is not a folder that only this user can change: remove it: %w", path, info.Mode(), fs.ErrExist)
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

// hold makes the lock file, which names the folder's owner, and takes its lock.
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

// stateOf makes the folder for the state of one plugin. makeFolders makes it again if it
// disappears.
func (d *runDir) stateOf(plugin string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.plugins = append(d.plugins, plugin)
	return filepath.Join(d.state(), plugin), d.makeFolders()
}

// Close removes the folder and releases its lock. Unless the stop is orderly, the plugins' state
// stays for the next start: a host that ends because of a mistyped setting must not remove the
// state that a killed one left it.
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

// keepAlive looks after the folder regularly until ctx ends. It marks the folder as in use, because
// the times of a plugin's mapped files do not change while the plugin writes to them. If a program
// that tidies the temporary folder removed it, keepAlive makes it again. It also removes folders
// that other hosts abandoned.
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

// heal makes missing folders again. The next process of a plugin needs them.
func (d *runDir) heal() error { return d.refresh(time.Now()) }

// refresh marks the folder as in use at the given time, and makes what is missing again.
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
		// If a time cannot be set, the folder only looks older.
		_ = os.Chtimes(path, now, now)
	}
	return nil
}

// only removes the state of all plugins but these. A killed host with another configuration may
// have left it.
func (d *runDir) only(plugins ...string) {
	entries, _ := os.ReadDir(d.state())
	for _, entry := range entries {
		if !slices.Contains(plugins, entry.Name()) {
			_ = os.RemoveAll(filepath.Join(d.state(), entry.Name()))
		}
	}
}

// defaultRunBase returns the usual place of a tmpfs, or else the temporary folder.
func defaultRunBase() string {
	const shm = "/dev/shm"
	if unix.Access(shm, unix.W_OK|unix.X_OK) == nil {
		return shm
	}
	return os.TempDir()
}

// errHeld tells that another process holds the lock.
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

// adopt takes over the newest run folder of this owner that no process holds. It removes the
// owner's other ones, those that other hosts abandoned, and those of killed doctors.
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

// leftBehind returns our folders below base with that prefix, the newest first.
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
		// A folder without a lock file was only just made by its host.
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

// abandoned reports that a gone host's folder holds nothing, or has not been in use for so long
// that its owner will not come back.
func abandoned(lock *os.File, state string) bool {
	info, err := lock.Stat()
	return !holdsFiles(state) || err == nil && time.Since(info.ModTime()) > abandonedAfter
}

// holdsFiles reports whether there is a file anywhere below the folder.
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
