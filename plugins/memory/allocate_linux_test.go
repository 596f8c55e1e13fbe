package memory

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"
)

// TestPopulate: populate returns an error where touching the memory would kill the process. Memory
// that got its room stays usable.
func TestPopulate(t *testing.T) {
	m, err := mapFile(filepath.Join(t.TempDir(), fileName), 2*extentBytes, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.release() }()
	if err := m.extend(0, extentBytes); err != nil {
		t.Fatal(err)
	}
	if err := populate(m.data[:extentBytes]); err != nil {
		t.Error(err)
	}
	knows := !errors.Is(unix.Madvise(m.data[:extentBytes], unix.MADV_POPULATE_WRITE), unix.EINVAL) // since Linux 5.14
	if err := populate(m.data[extentBytes:]); errors.Is(err, unix.EFAULT) != knows {
		t.Errorf("beyond the file's end: error %v; does the system know how? %t", err, knows)
	}
}
