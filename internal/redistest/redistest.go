// Package redistest runs a real redis-server for tests.
//
// A fake would behave as we believe Redis does. The faults that matter are those of the real
// program: a reply gets lost, or a server freezes, fills up or starts empty.
package redistest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is looked up in PATH. If it is missing, the test fails: a skipped test would look like a
// passed one.
const binary = "redis-server"

const (
	// startTimeout is generous: the machine may be busy with other tests.
	startTimeout = 15 * time.Second
	pollInterval = 5 * time.Millisecond
	// attempts bounds how often another process may take the free port that we found.
	attempts = 5
)

// Server runs one redis-server process on the loopback interface.
type Server struct {
	// Host and Port say where the server listens; Addr joins them. They stay the same after a
	// Restart.
	Host string
	Port int
	Addr string

	tb   testing.TB
	dir  string
	args []string
	// conf makes a Sentinel's configuration file; nil for a redis-server.
	conf func() error
	// tls is the configuration of Do's connections, or nil without TLS. With TLS, the server has no
	// other port.
	tls *tls.Config

	mu      sync.Mutex
	process *process // nil while stopped
}

// Start runs a redis-server on a free loopback port, waits until it answers, and stops it when the
// test ends. The args are options of redis-server, such as "--requirepass", "secret". The server
// persists nothing unless they say so.
func Start(tb testing.TB, args ...string) *Server {
	tb.Helper()
	return StartAt(tb, 0, args...)
}

// StartAt does what Start does, on the given port; 0 means any free one.
func StartAt(tb testing.TB, port int, args ...string) *Server {
	tb.Helper()
	return (&Server{args: args}).open(tb, port)
}

// open starts the server on the port, or on any free one for 0, until the end of the test.
func (s *Server) open(tb testing.TB, port int) *Server {
	tb.Helper()
	s.Host, s.tb, s.dir = "127.0.0.1", tb, tb.TempDir()
	tb.Cleanup(s.Stop)
	var err error
	for range attempts {
		if err = s.setPort(port); err != nil {
			break
		}
		if err = s.start(); err == nil || port != 0 {
			break
		}
	}
	if err != nil {
		tb.Fatalf("start %s on %s: %v\n%s", binary, s.Addr, err, s.log())
	}
	return s
}

// Stop ends the process at once, as a crash would, and waits for its end. Stopping twice is no
// error.
func (s *Server) Stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.process.kill()
		s.process = nil
	}
}

// Restart stops the server if it runs, and starts it on the same port with the data that it
// persisted: by default, none.
func (s *Server) Restart() {
	s.tb.Helper()
	s.Stop()
	if err := s.start(); err != nil {
		s.tb.Fatalf("restart %s on %s: %v\n%s", binary, s.Addr, err, s.log())
	}
}

// Signal sends a signal to the process: SIGSTOP freezes it, SIGCONT lets it continue.
func (s *Server) Signal(sig syscall.Signal) {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		s.tb.Fatalf("signal %s: %s is stopped", sig, binary)
	}
	if err := s.process.cmd.Process.Signal(sig); err != nil {
		s.tb.Fatalf("signal %s: %v", sig, err)
	}
}

func (s *Server) setPort(port int) error {
	if port == 0 {
		var err error
		if port, err = freePort(); err != nil {
			return err
		}
	}
	s.Port = port
	s.Addr = net.JoinHostPort(s.Host, strconv.Itoa(port))
	return nil
}

// freePort returns a port of the loopback interface that is free now.
func freePort() (int, error) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// command returns the command that starts the server.
func (s *Server) command() []string {
	if s.conf != nil {
		return []string{s.confFile(), "--sentinel"}
	}
	port := "--port"
	args := []string{
		"--bind", s.Host,
		"--dir", s.dir,
		"--logfile", s.logFile(),
		"--daemonize", "no",
		"--save", "",
		"--appendonly", "no",
		// Otherwise a replica would sync only after five seconds.
		"--repl-diskless-sync-delay", "0",
	}
	if s.tls != nil {
		port = "--tls-port"
		args = append(args, "--port", "0")
	}
	return append(append(args, port, strconv.Itoa(s.Port)), s.args...)
}

func (s *Server) start() error {
	if s.conf != nil {
		if err := s.conf(); err != nil {
			return err
		}
	}
	p, err := launch(s.logFile(), s.command())
	if err != nil {
		return err
	}
	if err := s.await(p); err != nil {
		p.kill()
		return err
	}
	s.mu.Lock()
	s.process = p
	s.mu.Unlock()
	return nil
}

// await returns nil once our own process answers.
func (s *Server) await(p *process) error {
	deadline := time.Now().Add(startTimeout)
	for {
		select {
		case <-p.exited:
			return errors.New("it exited")
		default:
		}
		pid, err := s.answers()
		if err == nil && (pid == 0 || pid == p.cmd.Process.Pid) {
			return nil
		}
		if err == nil {
			return fmt.Errorf("process %d has the port", pid)
		}
		if time.Now().After(deadline) {
			return err
		}
		select {
		case <-p.exited:
		case <-time.After(pollInterval):
		}
	}
}

// answers returns the process id that the server on our port states. It returns 0 if the server
// wants a password first, which shows that it answers.
func (s *Server) answers() (pid int, err error) {
	reply, err := s.Do("INFO", "server")
	if err != nil {
		var refused *ReplyError
		if errors.As(err, &refused) && refused.Code() == "NOAUTH" {
			return 0, nil
		}
		return 0, err
	}
	for line := range bytes.Lines([]byte(reply)) {
		if id, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("process_id:")); ok {
			if pid, err = strconv.Atoi(string(id)); err == nil {
				_, err = s.Do("PING") // INFO answers even while Redis loads its data
			}
			return pid, err
		}
	}
	return 0, errors.New("its INFO names no process")
}

func (s *Server) logFile() string { return filepath.Join(s.dir, "redis.log") }

// log returns the server's output, for a test's failure message.
func (s *Server) log() string {
	b, _ := os.ReadFile(s.logFile())
	return string(b)
}

// process holds a child, which is reaped as soon as it ends.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed by the goroutine that waits for the child
}

// launch starts the child. Where the kernel can, the child also dies with the thread that started
// it: a killed test binary must not leave servers behind. So the goroutine keeps its thread while
// the child lives.
func launch(logFile string, args []string) (*process, error) {
	out, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(context.Background(), binary, args...), exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = procAttr()
	started := make(chan error, 1)
	go func() { // ends with the child
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.exited)
		defer func() { _ = out.Close() }()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			_ = p.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// kill ends the child, even if it is frozen, and waits until it has ended.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}
