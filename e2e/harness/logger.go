package harness

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/internal/testwait"
)

// Logger runs one `logger` process. Its methods end the test if they fail, so only the test's own
// goroutine may call them.
type Logger struct {
	// Cmd is the process, RunDir its LOGGER_RUN_DIR, and URL the address where it serves. Exited is
	// closed once the process has ended and Cmd.Wait has returned.
	Cmd    *exec.Cmd
	RunDir string
	URL    string
	Exited chan struct{}

	t    *testing.T
	mu   sync.Mutex
	logs []string
}

// Command returns a command that runs logger with exactly the variables of envs, of which later
// ones replace earlier ones. Unless they name a run folder, it gets its own.
func Command(t *testing.T, args []string, envs ...map[string]string) (cmd *exec.Cmd, runDir string) {
	t.Helper()
	env := map[string]string{
		"LOGGER_LISTEN_ADDR": "127.0.0.1:0", "LOGGER_LOG_FORMAT": "json",
		"GORACE": "atexit_sleep_ms=0", "PATH": os.Getenv("PATH"),
	}
	for _, e := range envs {
		for k, v := range e {
			env[k] = v
		}
	}
	if env["LOGGER_RUN_DIR"] == "" {
		env["LOGGER_RUN_DIR"] = RunDir(t)
	}
	cmd = exec.Command(Binary("logger"), args...) //nolint:noctx // its end is the test's to see
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	return cmd, env["LOGGER_RUN_DIR"]
}

// FreeAddr returns an address that nothing listens at now.
func FreeAddr(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// RunDir makes a folder for LOGGER_RUN_DIR, which the test's end removes. Its path is short enough
// for sockets; the path of t.TempDir may not be.
func RunDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Launch starts `logger serve` and waits until it listens.
func Launch(t *testing.T, envs ...map[string]string) *Logger {
	t.Helper()
	cmd, runDir := Command(t, nil, envs...)
	return Serve(t, cmd, runDir)
}

// Serve starts a command that is, or becomes, `logger serve` with JSON logs. It waits until the
// process listens.
func Serve(t *testing.T, cmd *exec.Cmd, runDir string) *Logger {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l := &Logger{t: t, Cmd: cmd, RunDir: runDir, Exited: make(chan struct{})}
	listening := make(chan string, 1)
	go func() {
		defer close(l.Exited)
		l.readLogs(stderr, listening)
		_ = cmd.Wait()
	}()
	t.Cleanup(l.Stop)
	select {
	case addr := <-listening:
		l.URL = "http://" + addr
	case <-l.Exited:
		t.Fatalf("logger exited: %s", l.Log())
	case <-time.After(20 * time.Second):
		t.Fatalf("logger does not listen: %s", l.Log())
	}
	return l
}

// Attach takes a running logger process that is no server. Of the Logger's methods, Stop, Ended,
// Until and Plugins work for it.
func Attach(t *testing.T, cmd *exec.Cmd, runDir string) *Logger {
	t.Helper()
	l := &Logger{t: t, Cmd: cmd, RunDir: runDir, Exited: make(chan struct{})}
	go func() {
		defer close(l.Exited)
		_ = cmd.Wait()
	}()
	t.Cleanup(l.Stop)
	return l
}

// Start starts `logger serve` and waits until it is ready.
func Start(t *testing.T, envs ...map[string]string) *Logger {
	t.Helper()
	l := Launch(t, envs...)
	l.Until("ready", l.Ready)
	return l
}

func (l *Logger) readLogs(r io.Reader, listening chan<- string) {
	scanner := bufio.NewScanner(r)
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		l.mu.Lock()
		l.logs = append(l.logs, scanner.Text())
		l.mu.Unlock()
		var line struct {
			Message string `json:"@message"`
			Addr    string `json:"addr"`
		}
		if json.Unmarshal(scanner.Bytes(), &line) == nil && line.Message == "serving" {
			listening <- line.Addr
		}
	}
	_, _ = io.Copy(io.Discard, r)
}

// Logs returns the lines that the process logged.
func (l *Logger) Logs() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.logs...)
}

// Log returns the last lines that the process logged.
func (l *Logger) Log() string {
	logs := l.Logs()
	return strings.Join(logs[max(0, len(logs)-40):], "\n")
}

// Stop ends the process by SIGTERM and checks that nothing is left of it. It does nothing if the
// process has ended before.
func (l *Logger) Stop() {
	select {
	case <-l.Exited:
		return // the test ended it
	default:
	}
	l.Signal(syscall.SIGTERM)
	l.Ended(0)
}

// Signal sends a signal to the process.
func (l *Logger) Signal(sig syscall.Signal) {
	if err := l.Cmd.Process.Signal(sig); err != nil {
		l.t.Errorf("signal: %v", err)
	}
}

// Ended waits until the process ends. It checks the exit code, and that no plugin's process and no
// file in the run folder is left.
func (l *Logger) Ended(code int) {
	l.t.Helper()
	plugins := l.Plugins()
	select {
	case <-l.Exited:
	case <-time.After(10 * time.Second):
		_ = l.Cmd.Process.Kill()
		l.t.Errorf("logger did not stop within 10 s: %s", l.Log())
		return
	}
	if got := l.Cmd.ProcessState.ExitCode(); got != code {
		l.t.Errorf("exit code %d, want %d: %s", got, code, l.Log())
	}
	for _, pid := range plugins {
		if Lives(pid) {
			l.t.Errorf("plugin process %d is left", pid)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(l.RunDir, "*")); len(left) > 0 {
		l.t.Errorf("left in the run folder: %q", left)
	}
}

// Kill kills the process by SIGKILL, waits until its plugins have ended too, and returns how long
// they took.
func (l *Logger) Kill() time.Duration {
	l.t.Helper()
	plugins := l.Plugins()
	l.Signal(syscall.SIGKILL)
	<-l.Exited
	died := time.Now()
	for _, pid := range plugins {
		testwait.Within(l.t, 10*time.Second, fmt.Sprintf("plugin process %d has ended too", pid), func() bool { return !Lives(pid) })
	}
	return time.Since(died)
}

// Plugins returns the ids of the process's children, which are its plugins.
func (l *Logger) Plugins() (pids []int) {
	dir := fmt.Sprintf("/proc/%d/task", l.Cmd.Process.Pid)
	tasks, _ := os.ReadDir(dir)
	for _, task := range tasks {
		b, _ := os.ReadFile(filepath.Join(dir, task.Name(), "children"))
		for _, field := range strings.Fields(string(b)) {
			var pid int
			if _, err := fmt.Sscan(field, &pid); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// Lives reports whether the process exists and is no zombie.
func Lives(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

// Until waits until ok returns true, for at most a minute. If the process ends, the test fails.
func (l *Logger) Until(what string, ok func() bool) {
	l.t.Helper()
	testwait.Within(l.t, time.Minute, what, func() bool {
		if ok() {
			return true
		}
		select {
		case <-l.Exited:
			l.t.Fatalf("logger exited before: %s\n%s", what, l.Log())
		default:
		}
		return false
	}, l.Log)
}
