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

// binaries holds the path of the folder with the programs under test.
var binaries string

// Binary returns the path of a built program. Its name is "logger", or "plugins/" and a plugin's
// file.
func Binary(name string) string { return filepath.Join(binaries, name) }

// Main runs the tests of a package, as its TestMain. It calls [DefaultSignals], builds the
// programs, runs the tests, checks that no goroutine is left, and exits.
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

// build builds the programs into dir. If the tests run under the race detector, so does the host.
// The plugins never do: the tests of their own packages look for races. All else is built as `make
// binaries` builds it, so that nothing is compiled twice.
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
