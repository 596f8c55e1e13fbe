package plugin

import (
	"errors"

	"golang.org/x/sys/unix"
)

// hasAccessList reports whether the folder has an access list. It returns true if this cannot be
// known. A file system without access lists answers that it does not support them.
func hasAccessList(folder string) bool {
	_, err := unix.Getxattr(folder, "system.posix_acl_access", nil)
	return !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.ENOTSUP)
}
