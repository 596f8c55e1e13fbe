package cli

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/deis/logger/client/clienttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// printed collects what a command prints, and may act on it.
type printed struct {
	mu  sync.Mutex
	buf bytes.Buffer
	on  func(all string)
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	p.buf.Write(b)
	all := p.buf.String()
	p.mu.Unlock()
	if p.on != nil {
		p.on(all)
	}
	return len(b), nil
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.buf.String()
}

// shell runs commands against a fake logger.
type shell struct {
	t              *testing.T
	name           string
	env            map[string]string
	stdin          io.Reader
	terminal       bool
	stdout, stderr *printed
	ctx            context.Context
	stop           context.CancelCauseFunc
}

func newShell(t *testing.T, s *clienttest.Server) *shell {
	t.Helper()
	ctx, stop := context.WithCancelCause(t.Context())
	t.Cleanup(func() { stop(nil) })
	sh := &shell{
		t: t, env: map[string]string{}, stdin: strings.NewReader(""), ctx: ctx, stop: stop,
		stdout: &printed{}, stderr: &printed{},
	}
	if s != nil {
		sh.env["LOGGER_URL"] = s.URL
	}
	return sh
}

// run runs one command and returns its exit code. stdout and stderr hold what it prints.
func (sh *shell) run(args ...string) int {
	sh.t.Helper()
	sh.stdout.buf.Reset()
	sh.stderr.buf.Reset()
	return Run(sh.ctx, &System{
		Stdin: sh.stdin, Stdout: sh.stdout, Stderr: sh.stderr, Name: sh.name, Version: "test",
		InTerminal: sh.terminal, OutTerminal: sh.terminal, ErrTerminal: sh.terminal,
		Env: func(name string) string { return sh.env[name] },
	}, args[0], args[1:])
}

// want runs a command and checks its exit code and all of its output.
func (sh *shell) want(code int, stdout, stderr string, args ...string) {
	sh.t.Helper()
	if got := sh.run(args...); got != code || sh.stdout.String() != stdout || !strings.Contains(sh.stderr.String(), stderr) || stderr == "" && sh.stderr.String() != "" {
		sh.t.Errorf("%q: exit code %d, want %d\nstdout %q, want %q\nstderr %q, want %q", args, got, code, sh.stdout, stdout, sh.stderr, stderr)
	}
	if n := strings.Count(sh.stderr.String(), "\n"); n > 1 && code != 0 {
		sh.t.Errorf("%q: %d lines on stderr: %s", args, n, sh.stderr)
	}
}

func TestMistakesAreToldInOneLine(t *testing.T) {
	sh := newShell(t, clienttest.New(t))
	for _, tc := range []struct {
		args string
		want string
	}{
		{"tail", "which app? logger tail APP"},
		{"tail foo b/r", `app "b/r": want letters`},
		{"tail --all foo", `--all is all apps: leave out "foo"`},
		{"delete foo bar --yes", `one app at a time: "foo" "bar"`},
		{"tail ../foo", `app "../foo": want letters`},
		{"tail foo --folow", "no flag --folow; did you mean --follow?"},
		{"tail foo --zzzzz", "no flag --zzzzz (logger tail --help lists all)"},
		{"tail foo -Z", "no flag -Z (logger tail --help lists all)"},
		{"tail foo --previous", "no flag --previous: lines of pods that ended are kept"},
		{"tail foo -c web", "no flag -c: choose a process type with -p"},
		{"tail foo -n", "-n wants a value: number of newest lines"},
		{"tail foo -n ten", `--lines "ten": want a number of lines`},
		{"tail foo -n -7", `--lines "-7": want a number of lines`},
		{"tail foo --max-width -2", "--max-width -2: want a number of columns"},
		{"tail foo --limit-bytes -1", "--limit-bytes -1: want a number of bytes"},
		{"tail foo --since yesterday", `--since "yesterday": want a duration`},
		{"tail foo --since -5m", "it counts back from now"},
		{"tail foo -o jsno", `--output "jsno": want default, pretty, raw, json, logfmt; did you mean json?`},
		{"tail foo --color sometimes", "want auto, always, never"},
		{"tail foo --source stdout", `--source "stdout": want app, controller`},
		{"tail foo --stream stdin", `--stream "stdin": want stdout, stderr`},
		{"tail foo --level warning", `--level "warning": want trace, debug, info, warn, error, fatal`},
		{"tail foo --level ERROR", "did you mean error?"},
		{"tail foo --level=", `--level "": want trace`},
		{"tail foo --severity error", "no flag --severity: it is --level here"},
		{"tail foo --resume=", `--resume "": want a cursor`},
		{"tail foo -H x -o json", "-H, --highlight marks what the default, -o pretty and -o raw print"},
		{"tail foo -H x -o logfmt", "leave out --template, -o json, -o logfmt or --raw"},
		{"tail foo -C 101", "want a number of lines from 0 to 100"},
		{"tail foo bar -C 2", "-C, --context is for one app: leave it out, or name a single app"},
		{"tail shop-* -A 2", "-A, --after-context is for one app"},
		{"tail --all -B 2", "-B, --before-context is for one app"},
		{"tail --all --group", "--group is for one app"},
		{"tail foo bar --fields a", "--fields is for one app"},
		{"tail foo -A -1", "want a number of lines from 0 to 100"},
		{"tail foo --timezone Mars/Olympus", "want UTC, Local or a name such as Europe/Berlin"},
		{"tail foo -H x --template x", "-H, --highlight marks"},
		{"tail foo -H x --raw", "-H, --highlight marks"},
		{"tail foo -i (", `--include "(": error parsing regexp`},
		{"tail foo -e *", `--exclude "*": error parsing regexp`},
		{"tail foo -H [", `--highlight "[": error parsing regexp`},
		{"tail foo --template {{", "--template: "},
		{"tail foo --template {{.Massage}}", "can't evaluate field Massage"},
		{"tail foo --template x -o raw", "one of the two"},
		{"tail foo --server ftp://x", `--server: server "ftp://x": want a URL`},
		{"apps --output yaml", "want default, name, json"},
		{"delete", "which app? logger delete APP"},
		{"delete foo", "there is no terminal to ask on; --yes deletes"},
		{"completion", "which shell? logger completion bash|zsh|fish"},
		{"completion bahs", `shell "bahs": want bash, zsh, fish; did you mean bash?`},
	} {
		args := strings.Fields(tc.args)
		sh.want(ExitUsage, "", tc.want, args...)
		if !strings.HasPrefix(sh.stderr.String(), "logger "+args[0]+": ") {
			t.Errorf("%s: %s", tc.args, sh.stderr)
		}
	}
	sh.env["LOGGER_URL"] = "nonsense://"
	sh.want(ExitUsage, "", "LOGGER_URL: server", "apps")
}

// TestServerWithTheAPIsPath: /v1 at the end of the logger's URL makes no difference.
func TestServerWithTheAPIsPath(t *testing.T) {
	s := clienttest.New(t)
	s.Append("foo", "one")
	sh := newShell(t, nil)
	for _, end := range []string{"", "/", "/v1", "/v1/"} {
		sh.env["LOGGER_URL"] = s.URL + end
		sh.want(ExitOK, "one\n", "", "tail", "foo", "-o", "raw")
		sh.want(ExitOK, "foo\n", "", "apps", "-o", "name", "--server", s.URL+end)
	}
}

// TestStatesOfTheLogger: each state has its message and exit code.
func TestStatesOfTheLogger(t *testing.T) {
	s := clienttest.New(t)
	sh := newShell(t, s)
	sh.want(ExitNoApp, "", `no such app yet: nothing is kept of "foo" (logger apps lists`, "tail", "foo")
	s.Append("food", "x")
	sh.want(ExitNoApp, "", `"foo" (did you mean "food"?)`, "tail", "foo")
	sh.want(ExitNoApp, "", `did you mean "food"?`, "apps", "foo")
	sh.want(ExitNoApp, "", `did you mean "food"?`, "delete", "foo", "--yes")
	s.Create("foo")
	sh.want(ExitOK, "", "no lines yet: foo is known", "tail", "foo")
	sh.want(ExitOK, "", "no line of foo matches", "tail", "foo", "-i", "x")
	sh.want(ExitOK, "", "", "tail", "foo", "-q")
	s.Answer(func(w http.ResponseWriter, _ *http.Request) bool {
		clienttest.Refuse(w, http.StatusServiceUnavailable, "storage_away", "storage plugin redis is starting")
		return true
	})
	sh.want(ExitNotReady, "", "the logger is not ready: storage plugin redis is starting", "tail", "foo")
	sh.want(ExitNotReady, "", "the logger is not ready", "tail", "foo", "-f", "--no-reconnect")
	s.Answer(func(w http.ResponseWriter, _ *http.Request) bool {
		clienttest.Refuse(w, http.StatusUnauthorized, "unauthorized", "a token is needed")
		return true
	})
	sh.want(ExitError, "", "the logger refuses: a token is needed (--token-file or LOGGER_TOKEN_FILE names", "tail", "foo", "-f")
	s.Answer(func(w http.ResponseWriter, _ *http.Request) bool { http.NotFound(w, nil); return true })
	sh.want(ExitError, "", "no logger with a /v1 API: 404 Not Found: 404 page not found (--server", "apps")
	s.Answer(nil)
	s.Cut(func() int { return 100 })
	s.Append("foo", "one", "two")
	sh.want(ExitNotReady, "", "connection lost: unexpected EOF (0 lines came)", "tail", "foo")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	for _, args := range [][]string{{"apps"}, {"tail", "foo"}, {"tail", "foo", "-f"}, {"delete", "foo", "-y"}} {
		sh.want(ExitNotReady, "", "cannot reach the logger at http://"+l.Addr().String()+": ", append(args, "--server", l.Addr().String())...)
		if !strings.Contains(sh.stderr.String(), "(--server or LOGGER_URL says where it is)") {
			t.Error(sh.stderr)
		}
	}
}

func TestApps(t *testing.T) {
	s := clienttest.New(t)
	sh := newShell(t, s)
	sh.want(ExitOK, "", "no apps yet", "apps")
	s.Append("bar", "one")
	s.Append("foo", "one", "two")
	sh.want(ExitOK, "bar\nfoo\n", "", "apps", "-o", "name")
	sh.want(ExitOK, "foo\nbar\n", "", "apps", "-o", "name", "--sort", "lines")
	sh.want(ExitOK, "foo\n", "", "apps", "-o", "name", "foo")
	if sh.run("apps"); !strings.HasPrefix(sh.stdout.String(), "APP   LINES   SIZE    OLDEST") || !strings.Contains(sh.stdout.String(), "\nfoo   2       200 B   ") {
		t.Errorf("%s", sh.stdout)
	}
	if sh.run("apps", "--no-headers", "foo"); strings.Contains(sh.stdout.String(), "APP") || strings.Count(sh.stdout.String(), "\n") != 1 {
		t.Errorf("%s", sh.stdout)
	}
	if sh.run("apps", "-o", "json"); !strings.Contains(sh.stdout.String(), `"entries": 2`) {
		t.Errorf("%s", sh.stdout)
	}
}

func TestDelete(t *testing.T) {
	s := clienttest.New(t)
	sh := newShell(t, s)
	s.Append("foo", "one", "two")
	sh.terminal = true
	for _, answer := range []string{"n\n", "", "\n", "maybe\n"} {
		sh.stdin = strings.NewReader(answer)
		sh.want(ExitError, "", "delete the log of foo: 2 lines, 200 B? [y/N] logger delete: nothing was deleted\n", "delete", "foo")
	}
	sh.stdin = strings.NewReader("Yes\n")
	sh.want(ExitOK, "", "deleted the log of foo: 2 lines, 200 B\n", "delete", "foo")
	sh.want(ExitNoApp, "", "no such app yet", "delete", "foo", "--yes")
	s.Append("foo", "one")
	sh.terminal = false
	sh.want(ExitOK, "", "deleted the log of foo", "delete", "foo", "--yes")
	s.Append("foo", "one")
	sh.terminal = true
	reader, writer := io.Pipe()
	defer func() { _ = writer.Close() }()
	sh.stdin = reader
	sh.stderr.on = func(string) { sh.stop(Stopped{syscall.SIGINT}) }
	if code := sh.run("delete", "foo"); code != 130 {
		t.Errorf("Ctrl-C at the question: %d", code)
	}
}

func TestToken(t *testing.T) {
	s := clienttest.New(t)
	s.Append("foo", "one")
	sh := newShell(t, s)
	file := filepath.Join(t.TempDir(), "token")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("secret\n")
	sh.env["LOGGER_TOKEN_FILE"] = file
	sh.want(ExitOK, "foo\n", "", "apps", "-o", "name")
	if got := s.Requests()[0].Header.Get("Authorization"); got != "Bearer secret" {
		t.Errorf("got %q", got)
	}
	for _, text := range []string{"", " \n", "two words", "two\nlines", "bell\x07", strings.Repeat("x", maxToken+1)} {
		write(text)
		if code := sh.run("apps"); code != ExitError || !strings.Contains(sh.stderr.String(), "LOGGER_TOKEN_FILE: ") {
			t.Errorf("%.20q: %d %s", text, code, sh.stderr)
		}
		if text != "" && len(text) > 3 && strings.Contains(sh.stderr.String(), text) {
			t.Errorf("the token is shown: %s", sh.stderr)
		}
	}
	sh.want(ExitError, "", "--token-file: ", "apps", "--token-file", file+"x")
}
