package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/sdk"
)

// modeEnv makes the test binary a storage plugin of that kind.
const modeEnv = "LOGGER_TEST_MODE"

// toy wraps a storage whose backend is broken, and which makes a file when it is opened for work.
type toy struct{ storagefake.Storage }

func (*toy) Check(context.Context) error { return errors.New("its tables are gone") }

func actToy(inspectable bool) {
	type settings struct {
		Marker string `env:"TEST_MARKER" doc:"a file that is made when the storage is opened"`
	}
	sdk.ServeStorage(sdk.Info{Name: "toy", Inspectable: inspectable}, func(_ context.Context, s settings, h sdk.Host) (sdk.Storage, error) {
		if h.Inspect {
			return new(toy), nil
		}
		return new(toy), os.WriteFile(s.Marker, nil, 0o600)
	})
}

// TestDoctorDoesNotOpenAStorageForWork: opening a storage may create its tables.
func TestDoctorDoesNotOpenAStorageForWork(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for mode, want := range map[string]Finding{
		"toy":         {Status: Unknown, Seen: "the toy plugin cannot be opened for a look alone, so the running logger's word counts"},
		"inspectable": {Status: Fail, Seen: "its tables are gone"},
	} {
		t.Run(mode, func(t *testing.T) {
			dir, marker := t.TempDir(), filepath.Join(t.TempDir(), "opened")
			if err := os.Chmod(dir, 0o700); err != nil { // whatever the umask is
				t.Fatal(err)
			}
			script := fmt.Sprintf("#!/bin/sh\nexport GORACE=atexit_sleep_ms=0\n%s=%s exec '%s'\n", modeEnv, mode, self)
			if err := os.WriteFile(filepath.Join(dir, "logger-storage-toy"), []byte(script), 0o700); err != nil {
				t.Fatal(err)
			}
			d := examiner(map[string]string{"TEST_MARKER": marker}, map[string]string{})
			d.host.StorageAdapter, d.host.PluginPath, d.host.RunDir = "toy", dir, os.TempDir()
			d.logger.err = errNoLogger
			d.plugins(t.Context())
			i := slices.IndexFunc(d.Findings, func(f Finding) bool { return f.Hop == hopBackend })
			if i < 0 || d.Findings[i].Status != want.Status || !strings.HasPrefix(d.Findings[i].Seen, want.Seen) {
				t.Errorf("got %+v, want %+v", d.Findings, want)
			}
			if d.settings["TEST_MARKER"] != marker {
				t.Errorf("its settings were not looked at: %v", d.settings)
			}
			if _, err := os.Stat(marker); err == nil {
				t.Error("the storage was opened for work")
			}
		})
	}
}
