package harness

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/internal/testwait"
)

// Postgres runs a PostgreSQL server for a test, on the loopback interface and as a user without
// privileges.
type Postgres struct {
	Port int

	t    *testing.T
	dir  string
	pid  int
	gone chan struct{} // closed when the process is
	said *bytes.Buffer // read once it is gone
}

// StartPostgres starts a PostgreSQL server by the script of examples/storage-postgres. The test's
// end kills it.
func StartPostgres(t *testing.T) *Postgres {
	t.Helper()
	dir, err := os.MkdirTemp("", "pg") // t.TempDir is where another user may not pass
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Postgres{t: t, dir: dir, Port: listener.Addr().(*net.TCPAddr).Port}
	_ = listener.Close()
	t.Cleanup(func() {
		p.Kill()
		_ = os.RemoveAll(dir)
	})
	p.Start()
	return p
}

// Settings returns the settings of a storage in that schema of the server.
func (p *Postgres) Settings(schema string) map[string]string {
	return map[string]string{
		"POSTGRES_URL":      fmt.Sprintf("postgres://logger@127.0.0.1:%d/logger?sslmode=disable", p.Port),
		"POSTGRES_PASSWORD": "open-sesame",
		"POSTGRES_SCHEMA":   schema,
	}
}

// Start starts the server and returns once it listens. It may follow a Kill.
func (p *Postgres) Start() {
	p.t.Helper()
	cmd := exec.Command(filepath.Join(examples(p.t), "storage-postgres", "postgres.sh"), p.dir, strconv.Itoa(p.Port)) //nolint:noctx // its end is the test's to see
	p.said, p.gone = &bytes.Buffer{}, make(chan struct{})
	cmd.Stdout, cmd.Stderr = p.said, p.said
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.pid = cmd.Process.Pid
	go func() {
		defer close(p.gone)
		_ = cmd.Wait() // it ends when it is killed
	}()
	addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(p.Port))
	testwait.Within(p.t, time.Minute, "PostgreSQL listens", func() bool {
		select {
		case <-p.gone:
			p.t.Fatalf("PostgreSQL ended: %s", p.said)
		default:
		}
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(p.t.Context(), "tcp", addr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

// Kill ends the server as a crash does.
func (p *Postgres) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.gone
}

// Signal sends the signal to all processes of the server. It stops the parent first, so that no
// further child begins.
func (p *Postgres) Signal(signal syscall.Signal) {
	select {
	case <-p.gone:
		return // its number may be another's
	default:
	}
	_ = syscall.Kill(p.pid, syscall.SIGSTOP)
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", p.pid, p.pid))
	for _, child := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(pid, signal)
		}
	}
	_ = syscall.Kill(p.pid, signal)
}

// BuildExample builds examples/NAME, which is a module of its own, as logger-NAME in the folder.
func BuildExample(t *testing.T, name, dir string) (path string) {
	t.Helper()
	path = filepath.Join(dir, "logger-"+name)
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", path, ".")
	cmd.Dir = filepath.Join(examples(t), name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", name, err, out)
	}
	return path
}

// examples returns the folder of the examples' sources. It works for the tests of any package.
func examples(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "examples")
}
