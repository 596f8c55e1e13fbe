// Package nsqtest gives tests a real nsqd on free loopback ports, and a way to
// disturb the connection to it.
package nsqtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/nsqio/nsq/nsqd"
)

// stopTimeout bounds how long an nsqd may take to write its queues to disk.
const stopTimeout = 30 * time.Second

// Server runs an nsqd whose queues outlive a Restart. Its methods fail the test by themselves, so
// only the test's own goroutine may call them.
type Server struct {
	t      testing.TB
	opts   *nsqd.Options
	client *http.Client
	child  *child // nil while stopped
}

// Start runs an nsqd until the end of the test. Each tune changes nsqd's options. Timeouts for
// which a test would wait are short unless a tune changes them.
func Start(t testing.TB, tune ...func(*nsqd.Options)) *Server {
	t.Helper()
	o := nsqd.NewOptions()
	o.TCPAddress, o.HTTPAddress, o.HTTPSAddress = "127.0.0.1:0", "127.0.0.1:0", ""
	o.BroadcastAddress = "127.0.0.1"
	o.DataPath = t.TempDir()
	// nsqd requeues timed-out messages only in channels that it knew at its last refresh, by
	// default every 5 s.
	o.QueueScanRefreshInterval = 20 * time.Millisecond
	o.QueueScanInterval = 20 * time.Millisecond
	o.MaxBodySize = 1 << 30 // Publish sends all at once
	for _, f := range tune {
		f(o)
	}
	s := &Server{t: t, opts: o, client: &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}}
	s.start()
	t.Cleanup(s.Stop)
	return s
}

func (s *Server) start() {
	s.t.Helper()
	c, at, err := startChild(s.opts)
	if err != nil {
		s.t.Fatalf("start nsqd: %v", err)
	}
	s.child = c
	s.opts.TCPAddress, s.opts.HTTPAddress = at.TCP, at.HTTP
	s.get("/ping") // waits until nsqd serves
}

// Stop ends nsqd; its queues stay on disk. Stopping twice is no error.
func (s *Server) Stop() {
	s.t.Helper()
	if s.child == nil {
		return
	}
	s.client.CloseIdleConnections()
	if err := s.child.stop(); err != nil {
		s.t.Errorf("stop nsqd: %v", err)
	}
	s.child = nil
}

// Kill ends nsqd as kill -9 does: messages in memory are lost.
func (s *Server) Kill() {
	s.t.Helper()
	if s.child == nil {
		return
	}
	s.client.CloseIdleConnections()
	s.child.kill()
	s.child = nil
}

// Restart starts nsqd again, on the same ports and with its queues. It stops the running one first.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.start()
}

// TCPAddr returns the address for consumers, as host:port; also while stopped.
func (s *Server) TCPAddr() string { return s.opts.TCPAddress }

// HTTPAddr returns the address of nsqd's HTTP API, as host:port; also while stopped.
func (s *Server) HTTPAddr() string { return s.opts.HTTPAddress }

// child runs nsqd in a process.
type child struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr *bytes.Buffer
}

func startChild(o *nsqd.Options) (*child, addresses, error) {
	var at addresses
	options, err := json.Marshal(o)
	if err != nil {
		return nil, at, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, at, err
	}
	cmd := exec.Command(self) //nolint:noctx // ends with its stdin
	// Races inside nsqd itself do not concern the test. Without these options, the race detector
	// would also wait a second at the end of the process.
	cmd.Env = append(os.Environ(), childEnv+"="+string(options), "GORACE=exitcode=0 atexit_sleep_ms=0")
	c := &child{cmd: cmd, stderr: &bytes.Buffer{}}
	cmd.Stderr = c.stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, at, err
	}
	c.stdin = stdin
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, at, err
	}
	if err := cmd.Start(); err != nil {
		return nil, at, err
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &at)
	}
	if err != nil {
		return nil, at, childError{stderr: c.stderr, cause: c.stop()}
	}
	return c, at, nil
}

// stop asks nsqd to end, and kills it if it does not.
func (c *child) stop() error {
	_ = c.stdin.Close() // fails only if the process has ended
	insist := time.AfterFunc(stopTimeout, func() { _ = c.cmd.Process.Kill() })
	defer insist.Stop()
	if err := c.cmd.Wait(); err != nil {
		return childError{stderr: c.stderr, cause: err}
	}
	return nil
}

// kill ends nsqd without asking, and waits until the process has ended.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait() // reports that it was killed
	_ = c.stdin.Close()
}

// childError tells how a child ended, and its last lines.
type childError struct {
	stderr *bytes.Buffer
	cause  error
}

func (e childError) Error() string {
	text := e.stderr.String()
	if e.cause != nil {
		text = e.cause.Error() + ": " + text
	}
	return text
}

func (e childError) Unwrap() error { return e.cause }
