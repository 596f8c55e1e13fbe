package memory

import (
	"errors"
	"fmt"
	"os"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"github.com/deis/logger/sdk"
)

// mapping holds the memory of an arena.
type mapping struct {
	// data is as long as the arena can ever be.
	data []byte
	// existing is the length of the data that an earlier process left.
	existing int64
	// extend makes the bytes [from, to) of data safe to touch, or fails. They are
	// zero if nobody touched them before.
	extend func(from, to int64) error
	// release ends the mapping; data is not to be touched after it.
	release func() error
	// step, in tests, is called before each change of data that a crash may follow; see touch.
	step func()
}

// touch tells a test that data is about to change.
func (m *mapping) touch() {
	if m.step != nil {
		m.step()
	}
}

// mapAnonymous returns memory that goes with the process. The system gives a page when
// it is touched first.
func mapAnonymous(size int64) (*mapping, error) {
	data, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes of memory: %w", size, err)
	}
	return &mapping{
		data:    data,
		extend:  func(_, _ int64) error { return nil },
		release: func() error { return unix.Munmap(data) },
	}, nil
}

// mapFile returns memory that outlives the process in a file. The process locks the file, so that
// no other can map it. The mapping may be longer than the file: nothing beyond what extend made
// may be touched, or the system kills the process.
func mapFile(path string, size int64, logger hclog.Logger) (*mapping, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	m, err := mapOpen(f, size, logger)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return m, nil
}

// mapOpen locks and maps an open file. If what an earlier process left is larger than size, or has
// no room, mapOpen drops it.
func mapOpen(f *os.File, size int64, logger hclog.Logger) (*mapping, error) {
	fd := int(f.Fd())
	switch err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, fmt.Errorf("%s is in use by another process: %w", f.Name(), sdk.ErrUnavailable)
	case err != nil:
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	existing := info.Size() / pageSize * pageSize
	if existing > size {
		logger.Warn("the budget is less than what an earlier process used: its lines are dropped", "file", f.Name())
		existing = 0
	}
	if err := fillHoles(f, existing); err != nil {
		logger.Warn("no room for what an earlier process left: its lines are dropped", "file", f.Name(), "error", err)
		existing = 0
	}
	if err := f.Truncate(existing); err != nil {
		return nil, err
	}
	data, err := unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes of %s: %w", size, f.Name(), err)
	}
	return &mapping{
		data:     data,
		existing: existing,
		extend: func(from, to int64) error {
			if err := allocate(f, from, to); err != nil {
				return err
			}
			if err := populate(data[from:to]); err != nil {
				return errors.Join(fmt.Errorf("map %d bytes more of %s: %w", to-from, f.Name(), err), f.Truncate(from))
			}
			return nil
		},
		release: func() error { return errors.Join(unix.Munmap(data), f.Close()) },
	}, nil
}

// writeZeros makes room by writing, for a file system that has no call for it.
func writeZeros(f *os.File, from, to int64) error {
	zeros := make([]byte, 64<<10)
	for at := from; at < to; {
		n, err := f.WriteAt(zeros[:min(int64(len(zeros)), to-at)], at)
		if err != nil {
			return errors.Join(err, f.Truncate(from))
		}
		at += int64(n)
	}
	return nil
}
