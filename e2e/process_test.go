package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/redistest"
)

// storages are the bundled storages, each with the variables that it needs here.
var storages = map[string]func(t *testing.T) map[string]string{
	"memory": func(*testing.T) map[string]string { return map[string]string{"STORAGE_ADAPTER": "memory"} },
	"redis": func(t *testing.T) map[string]string {
		return redisEnv(redistest.Start(t))
	},
}

func redisEnv(r *redistest.Server) map[string]string {
	return map[string]string{
		"STORAGE_ADAPTER":                "redis",
		"DEIS_LOGGER_REDIS_SERVICE_HOST": r.Host,
		"DEIS_LOGGER_REDIS_SERVICE_PORT": fmt.Sprint(r.Port),
	}
}

func nsqEnv(t *testing.T, addr string) map[string]string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"DEIS_NSQD_SERVICE_HOST": host, "DEIS_NSQD_SERVICE_PORT_TRANSPORT": port}
}

// logger is one running `logger` process.
type logger struct {
	t      *testing.T
	cmd    *exec.Cmd
	url    string
	runDir string
	exited chan struct{}

	mu   sync.Mutex
	logs []string
}

// command makes a logger process with exactly these variables, later maps over
// earlier ones, and a run folder of its own.
func command(t *testing.T, args []string, envs ...map[string]string) (cmd *exec.Cmd, runDir string) {
	t.Helper()
	runDir, err := os.MkdirTemp("", "e2e") // short, for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(runDir) })
	env := map[string]string{
		"LOGGER_LISTEN_ADDR": "127.0.0.1:0", "LOGGER_LOG_FORMAT": "json", "LOGGER_RUN_DIR": runDir,
		"GORACE": "atexit_sleep_ms=0", "PATH": os.Getenv("PATH"),
	}
	for _, e := range envs {
		for k, v := range e {
			env[k] = v
		}
	}
	cmd = exec.Command(filepath.Join(binaries, "logger"), args...)
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	return cmd, runDir
}

// launch starts `logger serve` and waits until it listens.
func launch(t *testing.T, envs ...map[string]string) *logger {
	t.Helper()
	cmd, runDir := command(t, nil, envs...)
	l := &logger{t: t, cmd: cmd, runDir: runDir, exited: make(chan struct{})}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening := make(chan string, 1)
	go func() {
		defer close(l.exited)
		l.readLogs(stderr, listening)
		_ = cmd.Wait()
	}()
	t.Cleanup(l.stop)
	select {
	case addr := <-listening:
		l.url = "http://" + addr
	case <-l.exited:
		t.Fatalf("logger exited: %s", l.log())
	case <-time.After(20 * time.Second):
		t.Fatalf("logger does not listen: %s", l.log())
	}
	return l
}

// start launches a logger and waits until it is ready.
func start(t *testing.T, envs ...map[string]string) *logger {
	t.Helper()
	l := launch(t, envs...)
	l.until("ready", func() bool { return l.status("/readyz") == http.StatusOK })
	return l
}

func (l *logger) readLogs(r io.Reader, listening chan<- string) {
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

// log is the newest part of what the process logged.
func (l *logger) log() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.logs[max(0, len(l.logs)-40):], "\n")
}

// stop ends the process in order and checks that nothing is left of it.
func (l *logger) stop() {
	select {
	case <-l.exited:
		return // the test ended it
	default:
	}
	l.signal(syscall.SIGTERM)
	l.ended(0)
}

func (l *logger) signal(sig syscall.Signal) {
	if err := l.cmd.Process.Signal(sig); err != nil {
		l.t.Errorf("signal: %v", err)
	}
}

// ended waits for the process's end and checks its exit code and what is left.
func (l *logger) ended(code int) {
	l.t.Helper()
	plugins := l.plugins()
	select {
	case <-l.exited:
	case <-time.After(10 * time.Second):
		_ = l.cmd.Process.Kill()
		l.t.Errorf("logger did not stop within 10 s: %s", l.log())
		return
	}
	if got := l.cmd.ProcessState.ExitCode(); got != code {
		l.t.Errorf("exit code %d, want %d: %s", got, code, l.log())
	}
	for _, pid := range plugins {
		if lives(pid) {
			l.t.Errorf("plugin process %d is left", pid)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(l.runDir, "*")); len(left) > 0 {
		l.t.Errorf("left in the run folder: %q", left)
	}
}

// plugins are the pids of the plugins' processes.
func (l *logger) plugins() (pids []int) {
	dir := fmt.Sprintf("/proc/%d/task", l.cmd.Process.Pid)
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

func lives(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, rest, _ := strings.Cut(string(stat), ") ")
	return err == nil && !strings.HasPrefix(rest, "Z")
}

// until polls with a deadline.
func (l *logger) until(what string, ok func() bool) {
	l.t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for !ok() {
		select {
		case <-l.exited:
			l.t.Fatalf("logger exited before: %s\n%s", what, l.log())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("not within 60 s: %s\n%s", what, l.log())
		}
	}
}

func (l *logger) do(method, path string) (status int, header http.Header, body []byte) {
	l.t.Helper()
	req, err := http.NewRequestWithContext(l.t.Context(), method, l.url+path, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	req.Close = true // leaves no idle connection behind
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		l.t.Fatalf("%s %s: %v\n%s", method, path, err, l.log())
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, resp.Header, body
}

func (l *logger) status(path string) int {
	l.t.Helper()
	status, _, _ := l.do(http.MethodGet, path)
	return status
}

// lines are all that is kept of the app.
func (l *logger) lines(app string) string {
	l.t.Helper()
	status, _, body := l.do(http.MethodGet, "/logs/"+app+"?log_lines=-1")
	if status != http.StatusOK && status != http.StatusNoContent {
		l.t.Fatalf("lines of %s: %d %s", app, status, body)
	}
	return string(body)
}

// metrics are the samples of /metrics by name and labels.
func (l *logger) metrics() map[string]float64 {
	l.t.Helper()
	_, _, body := l.do(http.MethodGet, "/metrics")
	out := map[string]float64{}
	for line := range bytes.Lines(body) {
		var value float64
		name, rest, ok := strings.Cut(strings.TrimSpace(string(line)), " ")
		if _, err := fmt.Sscan(rest, &value); ok && err == nil && !strings.HasPrefix(name, "#") {
			out[name] = value
		}
	}
	return out
}

// settled waits until n messages were received and none waits, and checks the books.
func (l *logger) settled(n int) map[string]float64 {
	l.t.Helper()
	var m map[string]float64
	l.until(fmt.Sprintf("%d messages are through", n), func() bool {
		m = l.metrics()
		return m["logger_messages_received_total"] >= float64(n) && m["logger_messages_waiting"] == 0
	})
	sum := m["logger_messages_stored_total"] + m["logger_messages_duplicate_total"]
	for name, value := range m {
		if strings.HasPrefix(name, "logger_messages_rejected_total{") {
			sum += value
		}
	}
	if sum != m["logger_messages_received_total"] {
		l.t.Errorf("the books do not balance: received %v, accounted for %v", m["logger_messages_received_total"], sum)
	}
	return m
}

// newQueue is an nsqd that keeps what the tests publish in memory.
func newQueue(t *testing.T) *nsqtest.Server {
	t.Helper()
	return nsqtest.Start(t, inMemory)
}
