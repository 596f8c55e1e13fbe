package plugin

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/deis/logger/sdk"
)

func TestCatalog(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	for path, mode := range map[string]os.FileMode{
		filepath.Join(first, "logger-storage-memory"):  0o755,
		filepath.Join(first, "logger-storage-notes"):   0o644, // not executable
		filepath.Join(first, "logger-storage-.hidden"): 0o755,
		filepath.Join(first, "logger-storage-"):        0o755,
		filepath.Join(first, "logger-aggregator-nsq"):  0o755,
		filepath.Join(second, "logger-storage-memory"): 0o755, // shadowed
		filepath.Join(second, "logger-storage-redis"):  0o755,
		filepath.Join(second, "something-else"):        0o755,
	} {
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(second, "logger-storage-folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	c := NewCatalog("", first, filepath.Join(first, "absent"), second)
	e, err := c.Find(sdk.StorageKind, "memory")
	if want := filepath.Join(first, "logger-storage-memory"); err != nil || e.Path != want {
		t.Errorf("got %+v, %v, want %s", e, err, want)
	}
	for _, name := range []string{"notes", "folder", "", "../x", "Memory", "nsq"} {
		_, err := c.Find(sdk.StorageKind, name)
		if !errors.Is(err, ErrNotInstalled) {
			t.Errorf("%q: %v", name, err)
		}
	}
	_, err = c.Find(sdk.StorageKind, "pg")
	want := `no storage plugin "pg": installed: memory, redis (looked for executables logger-storage-NAME in LOGGER_PLUGIN_PATH: ` +
		first + ", " + filepath.Join(first, "absent") + ", " + second + "): plugin not installed"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	_, err = NewCatalog(filepath.Join(first, "absent")).Find(sdk.AggregatorKind, "nsq")
	if err == nil || !errors.Is(err, ErrNotInstalled) {
		t.Errorf("got %v", err)
	}
}
