package main

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/storagetest"
)

// openEmpty opens an empty storage for one check.
func openEmpty(t *testing.T, lines int) sdk.Storage {
	s, err := open(t.Context(), settings{Lines: lines}, sdk.Host{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T)       { storagetest.Run(t, openEmpty) }
func TestConformanceRemote(t *testing.T) { storagetest.RunRemote(t, openEmpty) }

func TestConformanceExecutable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logger-storage-myplugin")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	storagetest.RunExecutable(t, path, func(*testing.T) map[string]string { return nil })
}
