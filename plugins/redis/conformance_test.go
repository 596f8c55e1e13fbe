package redis

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/storagetest"
)

func TestConformanceRemote(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	storagetest.RunRemote(t, func(t *testing.T, lines int) sdk.Storage {
		server.MustDo("FLUSHALL")
		return open(t, server, func(s *Settings) { s.Lines = lines })
	})
}

func TestConformanceExecutable(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "logger-storage-redis")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "github.com/deis/logger/cmd/logger-storage-redis")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	server := redistest.Start(t)
	storagetest.RunExecutable(t, path, func(*testing.T) map[string]string {
		server.MustDo("FLUSHALL")
		return map[string]string{
			"DEIS_LOGGER_REDIS_SERVICE_HOST": server.Host,
			"DEIS_LOGGER_REDIS_SERVICE_PORT": fmt.Sprint(server.Port),
		}
	})
}

// failing runs a Redis that can be killed and frozen. It writes everything to its disk.
type failing struct{ server *redistest.Server }

func newFailing(t *testing.T) failing {
	return failing{redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")}
}

func (f failing) Break() error  { f.server.Stop(); return nil }
func (f failing) Mend() error   { f.server.Restart(); return nil }
func (f failing) Freeze() error { f.server.Signal(syscall.SIGSTOP); return nil }
func (f failing) Thaw() error   { f.server.Signal(syscall.SIGCONT); return nil }

func TestConformanceFaults(t *testing.T) {
	t.Parallel()
	storagetest.Faults(t, func(t *testing.T, lines int) (sdk.Storage, storagetest.Backend) {
		f := newFailing(t)
		return open(t, f.server, func(s *Settings) { s.Lines = lines }), f
	})
}
