package memory

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// allocate makes room for the bytes [from, to) at the end of the file.
func allocate(f *os.File, from, to int64) error {
	err := fallocate(f, from, to)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		err = writeZeros(f, from, to)
	}
	if err != nil {
		return fmt.Errorf("make room for %d bytes in %s: %w", to-from, f.Name(), err)
	}
	return nil
}

// fillHoles makes room for what the file has of holes up to the size. A file system
// without the call for it is trusted to have none.
func fillHoles(f *os.File, size int64) error {
	if size == 0 {
		return nil
	}
	err := fallocate(f, 0, size)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return nil
	}
	return err
}

func fallocate(f *os.File, from, to int64) error {
	for {
		if err := unix.Fallocate(int(f.Fd()), 0, from, to-from); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// populate maps pages that have room already, all at once: touching one page after the other
// would be an exception each. It fails where a touch would be the end of the process (madvise(2),
// MADV_POPULATE_WRITE). Where the system refuses for another reason, like one before Linux
// 5.14, a page is mapped when it is touched.
func populate(data []byte) error {
	err := unix.Madvise(data, unix.MADV_POPULATE_WRITE)
	if errors.Is(err, unix.EFAULT) || errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.EHWPOISON) {
		return err
	}
	return nil
}
