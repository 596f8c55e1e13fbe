package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/internal/testrun"
)

// cli runs commands of the built program against one logger.
type cli struct {
	t   *testing.T
	env map[string]string
}

func newCLI(t *testing.T, url string) *cli {
	t.Helper()
	return &cli{t, map[string]string{"LOGGER_URL": url, "PATH": filepath.Dir(harness.Binary("logger")) + ":" + os.Getenv("PATH"), "GORACE": "atexit_sleep_ms=0"}}
}

// command returns a command that runs to its end within a deadline.
func (c *cli) command(name string, args ...string) *exec.Cmd {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	c.t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, name, args...)
	for k, v := range c.env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	return cmd
}

// run runs a command of the logger, and returns its exit code and what it prints.
func (c *cli) run(args ...string) (code int, stdout, stderr string) {
	c.t.Helper()
	var out, err bytes.Buffer
	cmd := c.command(harness.Binary("logger"), args...)
	cmd.Stdout, cmd.Stderr = &out, &err
	if e := cmd.Run(); e != nil && !errors.As(e, new(*exec.ExitError)) {
		c.t.Fatal(e)
	}
	return cmd.ProcessState.ExitCode(), out.String(), err.String()
}

// want runs a command, and checks its exit code, all of its stdout, and a part of its stderr.
func (c *cli) want(code int, stdout, stderr string, args ...string) {
	c.t.Helper()
	gotCode, gotOut, gotErr := c.run(args...)
	if gotCode != code || gotOut != stdout || !strings.Contains(gotErr, stderr) || stderr == "" && gotErr != "" {
		c.t.Errorf("logger %q: exit code %d, want %d\nstdout %q, want %q\nstderr %q, want %q", args, gotCode, code, gotOut, stdout, gotErr, stderr)
	}
}

// numbered returns the lines of app-0 from first to last, without their times.
func numbered(first, last int) string {
	var b strings.Builder
	for n := first; n <= last; n++ {
		_, line, _ := strings.Cut(harness.NumberedLine(n, 0), " ")
		b.WriteString(line)
	}
	return b.String()
}

// TestCLI: in each state of a logger the commands print the right data and notices, and exit with
// the right code.
func TestCLI(t *testing.T) {
	queue := harness.NewQueue(t)
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.MemoryEnv())
	c := newCLI(t, l.URL)
	c.want(0, "", "no apps yet", "apps")
	c.want(3, "", `no such app yet: nothing is kept of "app-0"`, "tail", "app-0")
	numbers(queue, 2, 1, 200)
	l.Settled(400)

	c.want(0, numbered(101, 200), "", "tail", "app-0")
	c.want(0, l.Lines("app-0"), "", "tail", "app-0", "-t", "-n", "-1") // the controller's own form
	c.want(0, numbered(199, 200), "", "tail", "app-0", "--tail=2")
	c.want(0, "", "", "tail", "app-0", "-n", "0")
	c.want(0, "number 42\nnumber 142\n", "", "tail", "app-0", "-n", "all", "-o", "raw", "-i", "42$", "-i", "^142", "-e", "x")
	c.want(0, numbered(200, 200), "", "tail", "app-0", "-n1", "-p", "web,cron", "--pod", "abcde", "--release", "v1", "--source", "app", "--stream", "stdout", "--since", "2026-01-01T00:00:00Z")
	c.want(0, "", "no line of app-0 matches", "tail", "app-0", "--stream", "stderr")
	c.want(0, "", "no line of app-0 matches", "tail", "app-0", "--until", "2020-01-01")
	c.want(0, "", "", "tail", "app-0", "--until", "2020-01-01", "-f", "-q")
	c.want(3, "", `did you mean "app-0"?`, "tail", "appp-0")
	c.want(2, "", "no flag --folow; did you mean --follow?", "tail", "app-0", "--folow")
	c.want(2, "", "after: ", "tail", "app-0", "--resume", "nonsense")
	c.want(2, "", `no command "tial"; did you mean tail?`, "tial")
	c.want(4, "", "cannot reach the logger at http://127.0.0.1:1: ", "tail", "app-0", "--server", "127.0.0.1:1")
	_, first, _ := c.run("tail", "app-0", "-n", "3", "-o", "json")
	_, rest, _ := strings.Cut(first, `"cursor":"`)
	cursor, _, _ := strings.Cut(rest, `"`)
	c.want(0, numbered(199, 200), "", "tail", "app-0", "--resume", cursor)

	l.Until("the list of apps is fresh", func() bool {
		_, out, _ := c.run("apps", "-o", "name")
		return out == "app-0\napp-1\n"
	})
	c.want(2, "", "--yes deletes without asking", "delete", "app-1")
	c.want(0, "", "deleted the log of app-1: 200 lines, ", "delete", "app-1", "--yes")
	c.want(3, "", "no such app yet", "tail", "app-1")
	c.want(0, numbered(200, 200), "", "tail", "app-0", "-n", "1")
}

func TestCLINotReady(t *testing.T) {
	l := harness.Launch(t, harness.NSQEnv("127.0.0.1:1"), harness.RedisEnv("127.0.0.1:1"))
	c := newCLI(t, l.URL)
	for _, args := range [][]string{{"tail", "foo"}, {"tail", "foo", "-f", "--no-reconnect"}, {"apps"}, {"delete", "foo", "--yes"}} {
		c.want(4, "", "the logger is not ready: ", args...)
	}
}

func TestCLIToken(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"tokens": "first-token-of-some-length\nsecond-token-of-some-length\n", "token": "second-token-of-some-length\n", "wrong": "another-token-of-some-length"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	queue := harness.NewQueue(t)
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.MemoryEnv(), map[string]string{"LOGGER_API_TOKENS_FILE": filepath.Join(dir, "tokens")})
	numbers(queue, 1, 1, 3)
	l.Settled(3)
	c := newCLI(t, l.URL)
	c.want(1, "", "(--token-file or LOGGER_TOKEN_FILE names a file with a token)", "tail", "app-0")
	c.want(1, "", "the logger refuses: ", "tail", "app-0", "-f", "--token-file", filepath.Join(dir, "wrong"))
	c.want(0, numbered(1, 3), "", "tail", "app-0", "--token-file", filepath.Join(dir, "token"))
	c.env["LOGGER_TOKEN_FILE"] = filepath.Join(dir, "token")
	c.want(0, numbered(1, 3), "", "tail", "app-0")
}

// TestCLIFollows: a tail goes on after the storage plugin dies and after another host takes over.
func TestCLIFollows(t *testing.T) {
	queue, redis := harness.NewQueue(t), redistest.Start(t)
	address := map[string]string{"LOGGER_LISTEN_ADDR": harness.FreeAddr(t)}
	start := func() *harness.Logger {
		return harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.RedisEnv(redis.Addr), address)
	}
	l := start()
	stdout, stderr := &testrun.Output{}, &testrun.Output{}
	c := newCLI(t, l.URL)
	cmd := c.command(harness.Binary("logger"), "tail", "app-0", "-f")
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	says := func(what string) {
		t.Helper()
		l.Until("the tail says: "+what, func() bool { return strings.Contains(stderr.String(), what) })
	}
	has := func(last int) {
		t.Helper()
		l.Until(fmt.Sprintf("the tail has %d lines", last), func() bool { return len(stdout.String()) >= len(numbered(1, last)) })
		if stdout.String() != numbered(1, last) {
			t.Fatalf("up to %d: %s\n%s", last, stdout, stderr)
		}
	}
	says(`no such app yet: nothing is kept of "app-0"`)
	numbers(queue, 1, 1, 150)
	has(150)
	if err := syscall.Kill(l.Plugin("storage").PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	numbers(queue, 1, 151, 200)
	has(200)
	l.Signal(syscall.SIGTERM)
	<-l.Exited
	l.Ended(0)
	numbers(queue, 1, 201, 250) // published while there is no host
	l = start()
	says("--- connected again after ")
	numbers(queue, 1, 251, 300)
	has(300)
	if !strings.Contains(stderr.String(), "--- the logger is stopping; connecting again\n") && !strings.Contains(stderr.String(), "connection lost") {
		t.Errorf("stderr %s", stderr)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("Ctrl-C: exit code %d", code)
	}
	_, resume, ok := strings.Cut(stderr.String(), "to go on from here: logger ")
	if !ok {
		t.Fatalf("stderr %s", stderr)
	}
	numbers(queue, 1, 301, 302)
	l.Until("the last line is kept", func() bool { return strings.HasSuffix(l.Lines("app-0"), "number 302\n") })
	args := strings.Fields(strings.ReplaceAll(resume, " -f", "")) // the command that the tail suggested, without -f
	c.want(0, numbered(301, 302), "", args...)
}

// TestCLIPipes: a command ends once the reader of its pipe has ended.
func TestCLIPipes(t *testing.T) {
	queue := harness.NewQueue(t)
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.MemoryEnv())
	numbers(queue, 1, 1, 1000)
	l.Settled(1000)
	c := newCLI(t, l.URL)
	for script, want := range map[string]string{
		"logger tail app-0 -n -1 | head -1":           numbered(1, 1),
		"logger tail app-0 -f -n 1 | head -1":         numbered(1000, 1000), // no further line comes that a write could fail on
		"logger tail app-0 -f -n -1 | head -2":        numbered(1, 2),
		"logger apps -o name | head -1":               "app-0\n",
		"logger completion bash | head -0":            "",
		"logger tail app-0 -o raw | wc -l":            "100\n",
		"logger tail app-0 --color auto -n1":          numbered(1000, 1000),
		"logger tail app-0 -n1 >/dev/full || echo $?": "1\n",
	} {
		began := time.Now()
		cmd := c.command("bash", "-c", "set -o pipefail; "+script)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil || string(out) != want || stderr.Len() > 0 && !strings.Contains(script, "full") {
			t.Errorf("%s: %q, %v, %s", script, out, err, &stderr)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s took %s", script, took)
		}
	}
}

// TestCLICompletion presses Tab in bash, and in zsh and fish where they are installed.
func TestCLICompletion(t *testing.T) {
	queue := harness.NewQueue(t)
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.MemoryEnv())
	numbers(queue, 2, 1, 1)
	l.Settled(2)
	c := newCLI(t, l.URL)
	c.env["HOME"] = t.TempDir()
	// Each script prints the candidates for the last word of @@, one per line.
	for shell, script := range map[string]string{
		"bash": `source <(logger completion bash); COMP_WORDS=(@@); COMP_CWORD=$((${#COMP_WORDS[@]}-1)); _logger_complete; printf '%s\n' "${COMPREPLY[@]}"`,
		"fish": `logger completion fish | source; complete -C '@@' | cut -f1`,
		// These functions stand in for those that work only in an interactive shell.
		"zsh": `compdef() { : }; _describe() { local name=${@[-1]}; print -l -- ${${(P)name}%%:*} }; ` +
			`source <(logger completion zsh); words=(@@); CURRENT=$#words; _logger`,
	} {
		if _, err := exec.LookPath(shell); err != nil && shell != "bash" {
			t.Logf("there is no %s here to try its completion in", shell)
			continue
		}
		for words, want := range map[string]string{
			"logger tail app":           "app-0 app-1",
			"logger tail app-0 --follo": "--follow",
			"logger compl":              "completion",
		} {
			out, err := c.command(shell, "-c", strings.ReplaceAll(script, "@@", words)).CombinedOutput()
			if got := strings.Join(strings.Fields(string(out)), " "); err != nil || got != want {
				t.Errorf("%s: %s: %q, %v, want %q", shell, words, got, err, want)
			}
		}
	}
}
