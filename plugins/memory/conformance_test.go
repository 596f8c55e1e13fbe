package memory

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/storagetest"
)

func TestConformance(t *testing.T) {
	const budget = 32 << 20
	for _, c := range []struct {
		name string
		open func(t *testing.T, lines int) (sdk.Storage, error)
	}{
		{"Anonymous", func(t *testing.T, lines int) (sdk.Storage, error) {
			return Open(t.Context(), Settings{Lines: lines, Budget: budget}, sdk.Host{})
		}},
		{"File", func(t *testing.T, lines int) (sdk.Storage, error) {
			return Open(t.Context(), Settings{Lines: lines, Budget: budget}, sdk.Host{StateDir: t.TempDir()})
		}},
		// The race detector only watches memory on the heap.
		{"Heap", func(_ *testing.T, lines int) (sdk.Storage, error) {
			return newStorage(onHeap(make([]byte, budget), 0), lines, hclog.NewNullLogger())
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			storagetest.Run(t, func(t *testing.T, lines int) sdk.Storage {
				t.Helper()
				s, err := c.open(t, lines)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if problem := s.(*storage).audit(); problem != "" {
						t.Error(problem)
					}
					if err := s.(*storage).Close(); err != nil {
						t.Error(err)
					}
				})
				return s
			})
		})
	}
}

func TestConformanceRemote(t *testing.T) {
	storagetest.RunRemote(t, func(t *testing.T, lines int) sdk.Storage {
		s, err := Open(t.Context(), Settings{Lines: lines, Budget: 32 << 20}, sdk.Host{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.(*storage).Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	})
}

func TestConformanceExecutable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logger-storage-memory")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "github.com/deis/logger/cmd/logger-storage-memory")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	storagetest.RunExecutable(t, path, func(*testing.T) map[string]string {
		return map[string]string{"LOGGER_MEMORY_MAX_BYTES": "32MiB"}
	})
}
