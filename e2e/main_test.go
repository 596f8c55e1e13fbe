package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// binaries is the folder that the programs under test were built into.
var binaries string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "e2e")
	if err == nil {
		binaries = dir
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the programs under test:", err)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

func build(dir string) error {
	host := append(append([]string{"build"}, raceFlags...), "-o", filepath.Join(dir, "logger"), "../cmd/logger")
	for _, args := range [][]string{
		host,
		{
			"build", "-o", filepath.Join(dir, "plugins") + "/",
			"../cmd/logger-storage-memory", "../cmd/logger-storage-redis", "../cmd/logger-aggregator-nsq",
		},
	} {
		if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("go %q: %w\n%s", args, err, out)
		}
	}
	return nil
}
