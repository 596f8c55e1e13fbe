package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deis/logger/e2e/harness"
)

// newPlugin runs "logger plugins new" in the folder.
func newPlugin(t *testing.T, dir string, args ...string) (code int, out string) {
	t.Helper()
	cmd, _ := harness.Command(t, append([]string{"plugins", "new"}, args...))
	cmd.Dir = dir
	b, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(b)
}

// TestPluginsNew begins a plugin of each kind in each language, outside of the repository, and
// follows its README. The plugins in Go are copies of examples/start, whose own packages run the
// whole suite.
func TestPluginsNew(t *testing.T) {
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"storage", "aggregator"} {
		for lang, check := range map[string]func(t *testing.T, dir, program string){
			"go": checkNewInGo, "node": checkNew, "python": checkNew,
		} {
			t.Run(kind+" in "+lang, func(t *testing.T) {
				t.Parallel() // it mostly waits
				dir := pluginDir(t)
				args := []string{kind, "my-own", "--lang", lang}
				if lang == "go" {
					args = append(args, "--sdk", root)
				}
				program := "logger-" + kind + "-my-own"
				code, out := newPlugin(t, dir, args...)
				if code != 0 || out != program+" is written. Next:\n  cd "+program+" && make check\n" {
					t.Fatalf("exit code %d: %s", code, out)
				}
				for _, name := range []string{"README.md", "Dockerfile", "Makefile", ".gitignore", ".github/workflows/ci.yml"} {
					if _, err := os.Stat(filepath.Join(dir, program, name)); err != nil {
						t.Error(err)
					}
				}
				check(t, filepath.Join(dir, program), program)
				code, out = newPlugin(t, dir, args...)
				if code != 1 || !strings.Contains(out, program+": file exists") {
					t.Errorf("a second time: exit code %d: %s", code, out)
				}
			})
		}
	}
}

// checkNew builds the plugin and runs the whole suite on the built file.
func checkNew(t *testing.T, dir, program string) {
	t.Helper()
	out := in(t, dir, "make", "check", "LOGGER="+harness.Binary("logger"))
	leftOut := "2" // metrics, and the count of waiting messages
	if strings.Contains(program, "storage") {
		leftOut = "22" // metrics, Follow, Versions, a backend that goes away, lines that outlive the process
	}
	if !strings.Contains(out, " 0 failed, "+leftOut+" left out") {
		t.Errorf("not %s left out", leftOut)
	}
	t.Log(out)
}

// checkNewInGo builds the plugin, checks its formatting, and runs some of its tests.
func checkNewInGo(t *testing.T, dir, program string) {
	t.Helper()
	in(t, dir, "make")
	if out := in(t, dir, "gofmt", "-l", "."); out != "" {
		t.Errorf("gofmt would change %s", out)
	}
	in(t, dir, "go", "vet", "./...")
	in(t, dir, "go", "test", "-run", "^TestConformance(Remote|Executable)?$/^(Describe|Positions|Order|StopIdle)$", ".")
	args := []string{filepath.Join(dir, "dist", program)}
	if strings.Contains(program, "aggregator") {
		args = append(args, "--setting", "MY_OWN_DIR="+t.TempDir())
	}
	checked(t, " 0 failed", args...)
}

// TestPluginsNewRefuses: for wrong arguments the command names the mistake and what is accepted,
// and writes nothing.
func TestPluginsNewRefuses(t *testing.T) {
	dir := t.TempDir()
	for args, want := range map[string]string{
		"":                               "want a kind and a name: logger plugins new storage|aggregator NAME",
		"storage":                        "want a kind and a name",
		"storage a b":                    "want a kind and a name",
		"store x":                        `kind "store": want storage or aggregator`,
		"storage My_Own":                 `name "My_Own": want 1 to 63 of a-z, 0-9, - and _, with a letter or digit at both ends`,
		"storage ../x":                   `name "../x"`,
		"storage -x":                     "-x",
		"storage x --lang rust":          `--lang "rust": want go, python, node`,
		"storage x":                      "this logger is no release (dev): give a checkout of its source with --sdk PATH",
		"storage x --sdk /nowhere":       `--sdk "/nowhere": want a checkout of github.com/deis/logger`,
		"storage x --lang node --sdk ..": "--sdk is for --lang go alone",
	} {
		code, out := newPlugin(t, dir, strings.Fields(args)...)
		if code != 2 || !strings.HasPrefix(out, "logger plugins new: ") || !strings.Contains(out, want) || strings.Count(out, "\n") != 1 {
			t.Errorf("%s: exit code %d: %s", args, code, out)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
