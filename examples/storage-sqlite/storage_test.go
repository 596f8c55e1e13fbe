package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/storagetest"
)

// again is a storage that the suite can open again, with another number of lines.
type again struct{ *storage }

func (a again) Reopen(t *testing.T, lines int) sdk.Storage {
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	set := a.settings
	set.Lines = lines
	return openAt(t, set)
}

func openAt(t *testing.T, set settings) again {
	s, err := open(t.Context(), set, sdk.Host{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.(*storage).Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(set.Path); err != nil {
			t.Error(err)
		}
	})
	return again{s.(*storage)}
}

// openTemp opens an empty storage for one check. A path is no URL.
func openTemp(t *testing.T, lines int) sdk.Storage {
	return openAt(t, settings{Lines: lines, Path: filepath.Join(t.TempDir(), "log ü?#%.db"), Synchronous: "normal"})
}

func TestConformance(t *testing.T)       { storagetest.Run(t, openTemp) }
func TestConformanceRemote(t *testing.T) { storagetest.RunRemote(t, openTemp) }

func TestConformanceExecutable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logger-storage-sqlite")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	storagetest.RunExecutable(t, path, func(t *testing.T) map[string]string {
		return map[string]string{"SQLITE_PATH": filepath.Join(t.TempDir(), "logs.db"), "SQLITE_SYNCHRONOUS": "normal"}
	})
}

// TestRetention: an app that got no line for long is gone, and counted.
func TestRetention(t *testing.T) {
	s := openTemp(t, 10).(again)
	s.Retention = sdk.Duration(time.Hour)
	sequence := uint64(0)
	appendTo := func(app string) {
		sequence++
		entries := []sdk.Entry{{Published: time.Now(), Message: "a line"}, {Published: time.Now(), Message: "another"}}
		batch := sdk.Batch{ID: sdk.BatchID{Writer: "w", Sequence: sequence}, Apps: []sdk.AppEntries{{App: app, Entries: entries}}}
		if err := s.Append(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	appendTo("old")
	appendTo("new")
	if _, err := s.writer.ExecContext(t.Context(), `UPDATE logs SET appended = appended - 3601 WHERE app = 'old'`); err != nil {
		t.Fatal(err)
	}
	appendTo("new")
	apps, err := s.Apps(t.Context(), "", 0)
	if err != nil || len(apps) != 1 || apps[0].App != "new" {
		t.Errorf("apps: %+v, %v", apps, err)
	}
	totals, err := s.Totals(t.Context())
	if err != nil || totals.Apps != 1 || totals.Entries != 4 || totals.Evicted != 2 || totals.Bytes != apps[0].Bytes {
		t.Errorf("totals: %+v, %v", totals, err)
	}
}
