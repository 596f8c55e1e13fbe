package plugin

import (
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/deis/logger/sdk"
)

// TestFolderAboveWithAnAccessList: with an access list, the group's bits tell that somebody may
// write, but not who.
func TestFolderAboveWithAnAccessList(t *testing.T) {
	exe := install(t, sdk.StorageKind, "toy", "toy")
	above := t.TempDir()
	exe.Path = moveBelow(t, exe.Path, above)
	chmod(t, above, 0o770)
	if err := checkOwnership(exe.Path); err != nil {
		t.Fatal(err)
	}
	const none = ^uint32(0)
	list := binary.LittleEndian.AppendUint32(nil, 2) // version
	for _, entry := range []struct {
		tag, perm uint16
		id        uint32
	}{{0x01, 7, none}, {0x02, 7, somebody}, {0x04, 0, none}, {0x10, 7, none}, {0x20, 0, none}} {
		list = binary.LittleEndian.AppendUint16(list, entry.tag)
		list = binary.LittleEndian.AppendUint16(list, entry.perm)
		list = binary.LittleEndian.AppendUint32(list, entry.id)
	}
	err := unix.Setxattr(above, "system.posix_acl_access", list, 0)
	refused := checkOwnership(exe.Path)
	switch {
	case errors.Is(err, unix.ENOTSUP): // this file system has no access lists
		if refused != nil {
			t.Errorf("without access lists: %v", refused)
		}
	case err != nil:
		t.Fatal(err)
	case !errors.Is(refused, sdk.ErrInvalid):
		t.Errorf("user %d may write to the folder above: %v", somebody, refused)
	}
}
