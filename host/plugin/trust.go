package plugin

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/deis/logger/sdk"
)

// Trust decides which plugin executables may run. Every Trust, even nil, refuses an executable that
// others than root and the host's own user could change. A Trust with checksums also refuses what
// they do not list.
type Trust struct{ sums *checksums }

// NewTrust reads the checksum file once, so that later changes to the file change nothing in a
// running host. An empty name means no checksums. An error is one line and wraps [sdk.ErrInvalid].
func NewTrust(checksumFile string) (*Trust, error) {
	if checksumFile == "" {
		return nil, nil
	}
	sums, err := readChecksums(checksumFile)
	if err != nil {
		return nil, sdk.Refusef("LOGGER_PLUGIN_CHECKSUMS=%.200q: %v", checksumFile, err)
	}
	return &Trust{sums: sums}, nil
}

func (t *Trust) checks() bool { return t != nil && t.sums != nil }

// The states of a plugin's checksum.
const (
	// SumUnchecked: there are no checksums to compare with.
	SumUnchecked = "unchecked"
	// SumMatches: the file is the one that is listed.
	SumMatches = "matches"
	// SumDiffers: another file is listed under this name.
	SumDiffers = "differs"
	// SumUnlisted: the file is not listed.
	SumUnlisted = "not listed"
)

// Inspect reports whether the executable, as it is now, would be run, and the state of its
// checksum. The error is the one line with which it would be refused.
func (t *Trust) Inspect(exe Executable) (sum string, err error) {
	sum = SumUnchecked
	if t.checks() {
		sum = SumUnlisted
		f, openErr := openRegular(exe.Path)
		if openErr != nil {
			return sum, openErr
		}
		defer func() { _ = f.Close() }()
		actual, hashErr := hash(f)
		if hashErr != nil {
			return sum, fmt.Errorf("checksum of %s: %w", exe.Path, hashErr)
		}
		err = t.sums.compare(exe.Path, actual)
		if _, listed := t.sums.of(exe.Path); listed {
			sum = SumDiffers
		}
		if err == nil {
			sum = SumMatches
		}
	}
	if unsafe := checkOwnership(exe.Path); unsafe != nil {
		return sum, unsafe
	}
	return sum, err
}

// program tells which file of an executable is run.
type program struct {
	path string
	// folder has a private copy, and the caller removes it; "" if there is none.
	folder string
	// file is set for a copy in a folder that others can exchange: this file is run, and not what
	// is at the path by then.
	file *os.File
}

// admit returns what to run: the executable itself or, with checksums, a copy of it. The copy is in
// a new folder below dir, or elsewhere if dir allows no execution. The copy is hashed, so that what
// runs is what was hashed.
func (t *Trust) admit(exe Executable, dir string) (p program, err error) {
	if err := checkOwnership(exe.Path); err != nil {
		return program{}, refusal(err)
	}
	if !t.checks() {
		return program{path: exe.Path}, nil
	}
	if p.folder, err = executableDir(dir); err != nil {
		return program{}, err
	}
	defer func() {
		if err != nil {
			_ = p.file.Close()
			_ = os.RemoveAll(p.folder)
		}
	}()
	p.path = filepath.Join(p.folder, filepath.Base(exe.Path))
	if err := copyFile(p.path, exe.Path); err != nil {
		return p, refusal(fmt.Errorf("private copy of %s: %w", exe.Path, err))
	}
	if p.file, err = openOwn(p.path); err != nil {
		return p, fmt.Errorf("private copy of %s: %w", exe.Path, err)
	}
	actual, err := hash(p.file)
	if err != nil {
		return p, fmt.Errorf("checksum of the copy of %s: %w", exe.Path, err)
	}
	if err := t.sums.compare(exe.Path, actual); err != nil {
		return p, refusal(err)
	}
	if !runsFiles || checkOwnership(p.path) == nil {
		_ = p.file.Close()
		p.file = nil
	}
	return p, nil
}

// runsFiles says whether an open file can be run, whatever is at its path.
const runsFiles = runtime.GOOS == "linux"

// openRegular opens a regular file for reading, and refuses everything else with an error that
// wraps [sdk.ErrInvalid]. It never waits for the other end of a FIFO.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = sdk.Refusef("%s: it is no regular file (mode %s)", path, info.Mode())
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// openOwn opens a file that is ours, and that nobody else may write to.
func openOwn(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		uid, _, ok := ownerOf(path, info)
		switch {
		case ok && int64(uid) != int64(os.Geteuid()):
			err = fmt.Errorf("it belongs to user %d: %w", uid, fs.ErrPermission)
		case info.Mode().Perm()&0o022 != 0:
			err = fmt.Errorf("others may write to it (mode %s): %w", info.Mode(), fs.ErrPermission)
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// refusal marks errors that the operator has to mend; an error of the file system may pass.
func refusal(err error) error {
	if errors.Is(err, sdk.ErrInvalid) {
		return &refusedError{err}
	}
	return err
}

// executableDir makes a private folder in which files can be executed: below dir, else
// in the temporary folder. Containers often mount /dev/shm, where dir usually is,
// without execution.
func executableDir(dir string) (string, error) {
	for _, base := range []string{dir, os.TempDir()} {
		folder, err := os.MkdirTemp(base, "x")
		if err != nil {
			return "", fmt.Errorf("private folder for a plugin's copy: %w", err)
		}
		if allowsExecution(folder) {
			return folder, nil
		}
		_ = os.RemoveAll(folder)
	}
	return "", fmt.Errorf("with LOGGER_PLUGIN_CHECKSUMS plugins run from a private copy, and neither LOGGER_RUN_DIR (%s) "+
		"nor the temporary folder (%s) allows execution (mounted noexec): %w", dir, os.TempDir(), sdk.ErrUnavailable)
}

// allowsExecution reports whether files in the folder can be executed. It is a variable so that a
// test need not mount anything.
var allowsExecution = func(folder string) bool {
	probe := filepath.Join(folder, "probe")
	if os.WriteFile(probe, nil, 0o700) != nil { //nolint:gosec // whether it can be executed is the question
		return false
	}
	defer func() { _ = os.Remove(probe) }()
	return unix.Access(probe, unix.X_OK) == nil // EACCES on a noexec mount, for root too
}

// copyFile copies an executable into a folder that is ours alone. No process is
// started meanwhile: a child that inherits the copy's descriptor, until it executes
// its own program, would keep the copy busy (ETXTBSY) when its own turn comes.
func copyFile(to, from string) (err error) {
	in, err := openRegular(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700) //nolint:gosec // it is to be executed
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		_ = out.Close()
		return err
	}
	if err := out.Chmod(0o500); err != nil {
		_ = out.Close()
		return err
	}
	return out.Close()
}

func hash(r io.Reader) (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
