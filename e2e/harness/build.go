// Package harness runs the built programs for tests: the host and its plugins in
// processes of their own, beside a real nsqd and a real redis-server.
package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"go.uber.org/goleak"
)

// binaries is the folder that the programs under test were built into.
var binaries string

// Binary returns the path of a built program: "logger", or "plugins/" and its name.
func Binary(name string) string { return filepath.Join(binaries, name) }

// Main runs a package's tests as its TestMain: it sees to [DefaultSignals], builds the programs,
// runs the tests, checks that they leave no goroutine behind, and exits.
func Main(m *testing.M) {
	DefaultSignals()
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // else each run of a program takes a second longer
	dir, err := os.MkdirTemp("", "e2e")
	if err == nil {
		binaries = dir
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the programs under test:", err)
		_ = os.RemoveAll(dir)
		os.Exit(1)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// build makes the host with the race detector when the tests have it, and the plugins without:
// their own packages' tests look for races. These are built as `make binaries` builds them, so that
// nothing is compiled a second time.
func build(dir string) error {
	const module = "github.com/deis/logger/"
	plain := []string{"build", "-trimpath"}
	host := plain
	if Race {
		host = []string{"build", "-race"}
	}
	for _, args := range [][]string{
		slices.Concat(host, []string{"-o", filepath.Join(dir, "logger"), module + "cmd/logger"}),
		slices.Concat(plain, []string{"-o", filepath.Join(dir, "logger-nsqd"), module + "cmd/logger-nsqd"}),
		slices.Concat(plain, []string{
			"-o", filepath.Join(dir, "plugins") + "/",
			module + "cmd/logger-storage-memory", module + "cmd/logger-storage-redis", module + "cmd/logger-aggregator-nsq",
		}),
	} {
		cmd := exec.CommandContext(context.Background(), "go", args...)
		if !slices.Contains(args, "-race") { // which needs cgo
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go %q: %w\n%s", args, err, out)
		}
	}
	return nil
}
