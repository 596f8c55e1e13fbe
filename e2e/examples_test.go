package e2e

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
)

// examples is the path of the examples' sources.
const examples = "../examples"

// in runs a program in a folder and returns its output. If the program fails, so does the test.
func in(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%v: make test-deps installs it", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// pluginDir returns a folder with the permissions that a host requires.
func pluginDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func buildSQLite(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "logger-storage-sqlite")
	in(t, filepath.Join(examples, "storage-sqlite"), "go", "build", "-o", path, ".")
	return path
}

func buildHTTP(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "logger-aggregator-http")
	in(t, filepath.Join(examples, "aggregator-http"), "go", "build", "-o", path, ".")
	return path
}

// buildNode makes the plugin's one file, and installs nothing of node_modules.
func buildNode(t *testing.T, dir string) string {
	t.Helper()
	source := filepath.Join(examples, "storage-node")
	in(t, source, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	in(t, source, "npm", "run", "build")
	b, err := os.ReadFile(filepath.Join(source, "dist", "logger-storage-node"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "logger-storage-node")
	if err := os.WriteFile(path, b, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// buildPython makes the plugin's one file.
func buildPython(t *testing.T, dir string) string {
	t.Helper()
	source := filepath.Join(examples, "storage-python")
	in(t, source, "make")
	b, err := os.ReadFile(filepath.Join(source, "dist", "logger-storage-python"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "logger-storage-python")
	if err := os.WriteFile(path, b, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// checked runs `logger plugins check`, expects the report to contain want, and returns the report.
func checked(t *testing.T, want string, args ...string) string {
	t.Helper()
	code, out, stderr := command(t, nil, append([]string{"plugins", "check"}, args...)...)
	if code != 0 || stderr != "" || !strings.Contains(out, want) {
		t.Errorf("logger plugins check %s: exit code %d: %s%s", strings.Join(args, " "), code, out, stderr)
	}
	t.Log(out)
	return out
}

// reported matches the line of each check in a report.
var reported = regexp.MustCompile(`(?m)^(?:pass|fail|opt-out) +(\w+) `)

// inConformance expects docs/plugins/conformance.md to have a row for each check of the report
// under that title, and no other row. It ignores the row of Check, which the suite runs only on
// storages in the test's own process.
func inConformance(t *testing.T, title, report string) {
	t.Helper()
	text, err := os.ReadFile("../docs/plugins/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	_, part, _ := strings.Cut(string(text), "\n## "+title+"\n")
	part, _, _ = strings.Cut(part, "\n## ")
	var rows, checks []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(part, -1) {
		if title == "Aggregators" || m[1] != "Check" {
			rows = append(rows, m[1])
		}
	}
	for _, m := range reported.FindAllStringSubmatch(report, -1) {
		checks = append(checks, m[1])
	}
	slices.Sort(rows)
	slices.Sort(checks)
	if len(checks) == 0 || !slices.Equal(rows, checks) {
		t.Errorf("docs/plugins/conformance.md lists under %s the checks %q, want %q: run make conformance-report", title, rows, checks)
	}
}

// TestExamples builds the examples from what is public, checks each, and runs them together:
// messages posted over HTTP can be read from SQLite, from Node and from Python.
//
// Four whole suites run elsewhere: of aggregator-http in its own package, of storage-sqlite in
// TestTutorial, of storage-postgres in TestTutorialPostgres, of aggregator-syslog in
// TestTutorialOfAggregators. TestPluginsNew checks the examples in Node and Python, which "logger
// plugins new" writes.
func TestExamples(t *testing.T) {
	t.Parallel() // it mostly waits
	dir := pluginDir(t)
	sqlite, aggregator := buildSQLite(t, dir), buildHTTP(t, dir)
	node, postgres := buildNode(t, dir), harness.BuildExample(t, "storage-postgres", dir)
	python, syslog := buildPython(t, dir), harness.BuildExample(t, "aggregator-syslog", dir)
	var storage, collector string // reports
	t.Run("checks", func(t *testing.T) {
		// Left out are the checks of Follow, of versions, of metrics, and of a backend that goes
		// away.
		t.Run("storage-sqlite", func(t *testing.T) {
			t.Parallel()
			db := filepath.Join(t.TempDir(), "logs.db")
			checked(t, " 0 failed, 21 left out", sqlite, "--setting", "SQLITE_PATH="+db, "--setting", "SQLITE_SYNCHRONOUS=normal")
		})
		t.Run("storage-postgres", func(t *testing.T) {
			t.Parallel()
			args := []string{postgres}
			for name, value := range harness.StartPostgres(t).Settings("logger") {
				args = append(args, "--setting", name+"="+value) // a password of the test, so no secret
			}
			storage = checked(t, " 0 failed, 8 left out", args...)
		})
		t.Run("aggregator-syslog", func(t *testing.T) {
			t.Parallel()
			checked(t, "4 passed, 0 failed", syslog, "--setting", "SYSLOG_LISTEN=udp://127.0.0.1:0,tcp://127.0.0.1:0")
			in(t, filepath.Join(examples, "aggregator-syslog"), "go", "test", "-skip", "^TestConformance", ".")
		})
		t.Run("aggregator-http", func(t *testing.T) {
			t.Parallel()
			collector = checked(t, "4 passed, 0 failed", aggregator, "--setting", "HTTP_LISTEN_ADDR=127.0.0.1:0")
		})
	})
	t.Run("conformance.md", func(t *testing.T) {
		inConformance(t, "Storages", storage)
		inConformance(t, "Aggregators", collector)
	})
	for storage, env := range map[string]map[string]string{
		"sqlite": {"SQLITE_PATH": filepath.Join(t.TempDir(), "logs.db")},
		"node":   {},
		"python": {},
	} {
		t.Run("together with "+storage, func(t *testing.T) {
			addr := harness.FreeAddr(t)
			l := harness.Start(t, map[string]string{
				"AGGREGATOR_TYPE": "http", "STORAGE_ADAPTER": storage, "LOGGER_PLUGIN_PATH": dir, "HTTP_LISTEN_ADDR": addr,
			}, env)
			// A host is ready once the aggregator's process runs, maybe before it listens.
			l.Until("the aggregator listens", func() bool {
				conn, err := net.DialTimeout("tcp", addr, time.Second)
				if err == nil {
					_ = conn.Close()
				}
				return err == nil
			})
			for i := range 3 {
				if status := postMessage(t, addr, harness.Numbered(i, 1)); status != http.StatusOK {
					t.Fatalf("POST: %d", status)
				}
			}
			want := harness.NumberedLine(0, 1) + harness.NumberedLine(1, 1) + harness.NumberedLine(2, 1)
			if got := l.Lines("app-1"); got != want { // the aggregator answers 200 once a message is stored
				t.Errorf("got %q, want %q", got, want)
			}
			l.Stop() // checks that nothing is left behind
		})
	}
	for storage, path := range map[string]string{"node": node, "python": python} {
		t.Run(storage+" refuses strangers", func(t *testing.T) { refusesStrangers(t, path) })
		// With checksums the host runs a private copy of the file. If the host is killed, the copy
		// ends too.
		t.Run(storage+" under checksums", func(t *testing.T) {
			sums := filepath.Join(t.TempDir(), "SHA256SUMS")
			text := sha256sum(t, path) + "  " + filepath.Base(path) + "\n" + sha256sum(t, aggregator) + "  logger-aggregator-http\n"
			if err := os.WriteFile(sums, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			l := harness.Start(t, map[string]string{
				"AGGREGATOR_TYPE": "http", "STORAGE_ADAPTER": storage, "LOGGER_PLUGIN_PATH": dir, "HTTP_LISTEN_ADDR": harness.FreeAddr(t),
				"LOGGER_PLUGIN_CHECKSUMS": sums,
			})
			if took := l.Kill(); took > 2*time.Second {
				t.Errorf("its plugins lived on for %s", took)
			}
		})
	}
}

func postMessage(t *testing.T, addr string, message []byte) (status int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+addr+"/messages", strings.NewReader(string(message)))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
