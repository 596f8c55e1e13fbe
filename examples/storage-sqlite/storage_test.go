package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/storagetest"
)

// openTemp opens an empty storage for one check.
func openTemp(t *testing.T, lines int) sdk.Storage {
	path := filepath.Join(t.TempDir(), "log ü?#%.db") // a path is no URL
	s, err := open(t.Context(), settings{Lines: lines, Path: path, Synchronous: "normal"}, sdk.Host{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.(*storage).Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestConformance(t *testing.T)       { storagetest.Run(t, openTemp) }
func TestConformanceRemote(t *testing.T) { storagetest.RunRemote(t, openTemp) }

func TestConformanceExecutable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logger-storage-sqlite")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	storagetest.RunExecutable(t, path, func(t *testing.T) map[string]string {
		return map[string]string{"SQLITE_PATH": filepath.Join(t.TempDir(), "logs.db")}
	})
}

// TestFewerLines: a setting that is lowered counts from the next start on.
func TestFewerLines(t *testing.T) {
	set := settings{Lines: 10, Path: filepath.Join(t.TempDir(), "logs.db"), Synchronous: "full"}
	batch := sdk.Batch{ID: sdk.BatchID{Writer: "w", Sequence: 1}, Apps: []sdk.AppEntries{{App: "foo", Entries: make([]sdk.Entry, 10)}}}
	for _, lines := range []int{10, 3} {
		set.Lines = lines
		s, err := open(t.Context(), set, sdk.Host{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Append(t.Context(), batch); err != nil { // the second time it is known
			t.Error(err)
		}
		page, err := s.Read(t.Context(), sdk.ReadOptions{App: "foo", Limit: -1})
		if err != nil || len(page.Entries) != lines || page.First != uint64(11-lines) {
			t.Errorf("%d entries from %d (%v), want %d", len(page.Entries), page.First, err, lines)
		}
		apps, err := s.(*storage).Apps(t.Context())
		if err != nil || len(apps) != 1 || apps[0].Entries != uint64(lines) || apps[0].Bytes != uint64(lines*rowBytes) {
			t.Errorf("apps: %+v, %v", apps, err)
		}
		if err := s.(*storage).Close(); err != nil {
			t.Error(err)
		}
	}
}
