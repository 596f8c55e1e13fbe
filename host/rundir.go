package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

const (
	runDirPrefix = "logger-run-"
	lockFile     = "lock"
	// maxRunDir leaves room in a socket's path, which is limited to 107 bytes, for
	// the folders and names below the run folder.
	maxRunDir = 50
)

// runDir is the host's private folder: sockets, and state that outlives a plugin's
// process. A lock file tells a living host's folder from one left behind.
type runDir struct {
	path string
	lock *os.File
}

// openRunDir makes a run folder below base, and removes those that hosts which did
// not stop in order left behind there.
func openRunDir(base string, logger hclog.Logger) (*runDir, error) {
	if base == "" {
		base = defaultRunBase()
	}
	removeStale(base, logger)
	path, err := os.MkdirTemp(base, runDirPrefix)
	if err != nil {
		return nil, fmt.Errorf("run folder in LOGGER_RUN_DIR=%q: %w", base, err)
	}
	d := &runDir{path: path}
	if len(path) > maxRunDir {
		d.Close()
		return nil, fmt.Errorf("LOGGER_RUN_DIR=%q: too long a path for sockets: want at most %d bytes", base, maxRunDir-len(path)+len(base))
	}
	if d.lock, err = lock(path); err != nil {
		d.Close()
		return nil, err
	}
	for _, sub := range []string{d.sockets(), d.state()} {
		if err := os.Mkdir(sub, 0o700); err != nil {
			d.Close()
			return nil, err
		}
	}
	return d, nil
}

func (d *runDir) sockets() string { return filepath.Join(d.path, "s") }
func (d *runDir) state() string   { return filepath.Join(d.path, "state") }

// stateOf makes the folder for the state of one plugin.
func (d *runDir) stateOf(plugin string) (string, error) {
	path := filepath.Join(d.state(), plugin)
	return path, os.MkdirAll(path, 0o700)
}

// Close removes the folder and lets go of its lock.
func (d *runDir) Close() {
	_ = os.RemoveAll(d.path)
	if d.lock != nil {
		_ = d.lock.Close()
	}
}

// defaultRunBase is where a tmpfs usually is, else the temporary folder.
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

// removeStale removes the run folders of ours that no process holds.
func removeStale(base string, logger hclog.Logger) {
	dirs, err := filepath.Glob(filepath.Join(base, runDirPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() {
			continue
		}
		if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != os.Getuid() {
			continue
		}
		// A folder without a lock file is one that its host is just making.
		if _, err := os.Lstat(filepath.Join(dir, lockFile)); err != nil {
			continue
		}
		f, err := lock(dir)
		if err != nil {
			continue
		}
		logger.Info("removing what a host that did not stop in order left behind", "folder", dir)
		_ = os.RemoveAll(dir)
		_ = f.Close()
	}
}
