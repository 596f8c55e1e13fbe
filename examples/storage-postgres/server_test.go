package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// server is a PostgreSQL that a test may kill and freeze.
type server struct {
	dir  string
	port int
	pid  int
	gone chan struct{} // closed when the process is
	said *bytes.Buffer // read once it is gone
}

const password = "open-sesame" // as postgres.sh says

// shared is the server of the tests that do it no harm. TestMain ends it.
var shared = sync.OnceValues(launch)

func TestMain(m *testing.M) {
	code := m.Run()
	if s, err := shared(); err == nil {
		s.remove()
	}
	os.Exit(code)
}

func sharedServer(t *testing.T) *server {
	t.Helper()
	s, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ownServer runs one for a test that disturbs it.
func ownServer(t *testing.T) *server {
	t.Helper()
	s, err := launch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	return s
}

// launch runs a server in a folder of its own. It is no t.TempDir, since those are below a folder
// that only root may pass, and the server's user is another.
func launch() (*server, error) {
	dir, err := os.MkdirTemp("", "pg")
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	_ = listener.Close()
	s := &server{dir: dir, port: port}
	return s, s.start()
}

// start returns once the server takes connections.
func (s *server) start() error {
	cmd := exec.Command("./postgres.sh", s.dir, strconv.Itoa(s.port))
	s.said, s.gone = &bytes.Buffer{}, make(chan struct{})
	cmd.Stdout, cmd.Stderr = s.said, s.said
	if err := cmd.Start(); err != nil {
		return err
	}
	s.pid = cmd.Process.Pid
	go func() {
		defer close(s.gone)
		_ = cmd.Wait() // it ends when it is killed
	}()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		conn, err := s.connect()
		if err == nil {
			return conn.Close(bounded(time.Second))
		}
		select {
		case <-s.gone:
			deadline = time.Time{}
		default:
		}
		if time.Now().After(deadline) {
			s.kill()
			return fmt.Errorf("no PostgreSQL: %w: %s", err, s.said.String())
		}
	}
}

func (s *server) url() string {
	return fmt.Sprintf("postgres://logger@127.0.0.1:%d/logger?sslmode=disable", s.port)
}

func (s *server) connect() (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(s.url())
	if err != nil {
		return nil, err
	}
	config.Password = password
	return pgx.ConnectConfig(bounded(5*time.Second), config)
}

// do runs a statement as the superuser.
func (s *server) do(t *testing.T, statement string) {
	t.Helper()
	conn, err := s.connect()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(bounded(time.Second)) }()
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// kill ends the server as a crash does.
func (s *server) kill() {
	s.signal(syscall.SIGKILL)
	<-s.gone
}

func (s *server) remove() {
	s.kill()
	_ = os.RemoveAll(s.dir)
}

func (s *server) freeze() { s.signal(syscall.SIGSTOP) }
func (s *server) thaw()   { s.signal(syscall.SIGCONT) }

// signal reaches the postmaster first, which then begins no other, and then those that it began.
func (s *server) signal(signal syscall.Signal) {
	select {
	case <-s.gone:
		return // its number may be another's
	default:
	}
	pid := s.pid
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, child := range strings.Fields(string(children)) {
		if pid, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(pid, signal)
		}
	}
	_ = syscall.Kill(pid, signal)
}

// schemas counts those that tests have used.
var schemas atomic.Int64

// settings returns those of an empty storage: each has a schema of its own.
func (s *server) settings() settings {
	return settings{
		Lines: 1000, URL: s.url(), Password: password, Connections: 8,
		Schema: fmt.Sprintf(`Test "%d" ü`, schemas.Add(1)), // names that want to be quoted
	}
}
