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

// fillHoles makes room for the holes that the file has up to the size. If the file system lacks the
// call for it, the file is trusted to have none.
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

// populate maps pages that have room already, all at once: touching them one by one would fault at
// each. It fails where a touch would kill the process (madvise(2), MADV_POPULATE_WRITE). If the
// system refuses for another reason, as before Linux 5.14, a page is mapped when it is touched.
func populate(data []byte) error {
	err := unix.Madvise(data, unix.MADV_POPULATE_WRITE)
	if errors.Is(err, unix.EFAULT) || errors.Is(err, unix.ENOMEM) || errors.Is(err, unix.EHWPOISON) {
		return err
	}
	return nil
}
