package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/testrun"
)

// example matches an indented line of a document that is a command.
var example = regexp.MustCompile(`(?m)^    ((?:curl|logger) .*)$`)

// follows matches a command that runs until it is stopped.
var follows = regexp.MustCompile(`^curl -N|^logger tail .* -f\b`)

// examplesOf returns the commands between a heading of a document and the next one.
func examplesOf(t *testing.T, file, heading string) (commands []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", file))
	if err != nil {
		t.Fatal(err)
	}
	_, part, ok := strings.Cut(string(text), heading)
	if !ok {
		t.Fatalf("%s has no %q", file, heading)
	}
	if heading != "" {
		part, _, _ = strings.Cut(part, "\n## ")
	}
	for _, m := range example.FindAllStringSubmatch(part, -1) {
		commands = append(commands, m[1])
	}
	return commands
}

// TestDocumentedExamples runs the commands of the documents against a logger that has an app foo.
// Each command prints something, and none fails.
func TestDocumentedExamples(t *testing.T) {
	queue := harness.NewQueue(t)
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.MemoryEnv())
	lines := []string{"number 1", "an error", "ERROR: a timeout", "status=500", "java.lang.IllegalStateException: no stock", "\tat shop.Cart.sell(Cart.java:42)"}
	now := time.Now().Format(time.RFC3339Nano)
	for i, stream := range []string{"stdout", "stderr"} {
		for j, line := range lines {
			body := harness.Message("foo", line)
			for from, to := range map[string]string{"2026-01-02T03:04:05+00:00": now, `"stdout"`: `"` + stream + `"`} {
				body = bytes.Replace(body, []byte(from), []byte(to), 1)
			}
			queue.Publish("logs", body)
			l.Settled(i*len(lines) + j + 1)
		}
	}
	c := newCLI(t, l.URL)
	home := t.TempDir()
	c.env["HOME"], c.env["TZ"] = home, "UTC"
	tools := t.TempDir() // stubs: the test is not about jq and less, and does not require them
	c.env["PATH"] = tools + ":" + c.env["PATH"]
	write := func(path, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write(filepath.Join(home, ".curlrc"), "fail\nsilent\nshow-error\n", 0o600) // curl fails if the response is an error
	for _, tool := range []string{"jq", "less"} {
		write(filepath.Join(tools, tool), "#!/bin/sh\nexec cat\n", 0o700)
	}
	var session struct{ URL string }
	out, err := c.command("curl", "-d", "{}", l.URL+"/v1/apps/foo/sessions").Output()
	if err != nil || json.Unmarshal(out, &session) != nil {
		t.Fatalf("a session: %s %v", out, err)
	}
	l.Until("the list of apps is fresh", func() bool {
		_, out, _ := c.run("apps", "-o", "name")
		return out == "foo\n"
	})
	all := append(examplesOf(t, "tail.md", ""), examplesOf(t, "cli.md", "\n## Examples\n")...)
	if len(all) < 25 {
		t.Errorf("there are %d examples", len(all))
	}
	for _, command := range all {
		follow := follows.MatchString(command)
		script := strings.Replace(command, "/v1/sessions/eyJh…/tail", session.URL, 1)
		cmd := c.command("bash", "-c", "set -o pipefail\n"+script)
		cmd.Dir = home
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		stdout, stderr := &testrun.Output{}, &testrun.Output{}
		cmd.Stdout, cmd.Stderr = stdout, stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if !follow {
			err := cmd.Wait()
			if err != nil || stdout.String() == "" && !strings.Contains(command, ">foo") && !absent(stderr.String()) {
				t.Errorf("%s: %v\n%s\n%s", command, err, stdout, stderr)
			}
			continue
		}
		l.Until(command+" prints", func() bool {
			if stdout.String() != "" {
				return true
			}
			queue.Publish("logs", harness.Message("foo", "an error: a timeout, status=500")) // for commands that wait for new lines
			return false
		})
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
		if err := cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
			t.Errorf("%s: %v", command, err)
		}
	}
}

// absent reports whether the command said on stderr that there is nothing to print.
func absent(stderr string) bool { return strings.Contains(stderr, "no line of foo matches") }
