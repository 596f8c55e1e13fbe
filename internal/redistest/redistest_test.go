package redistest_test

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/deis/logger/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServerAnswersAndForgets(t *testing.T) {
	s := redistest.Start(t)
	s.MustDo("SET", "key", "value")
	if got := s.MustDo("GET", "key"); got != "value" {
		t.Fatalf("GET is %q, want value", got)
	}
	if got := s.MustDo("MGET", "key", "none"); got != "value\n" {
		t.Fatalf("MGET is %q", got)
	}
	addr := s.Addr
	s.Restart()
	if s.Addr != addr {
		t.Fatalf("restarted on %s, was on %s", s.Addr, addr)
	}
	if got := s.MustDo("GET", "key"); got != "" {
		t.Fatalf("GET after a restart is %q, want nothing: persistence is off", got)
	}
}

func TestStopFreesThePortForAnother(t *testing.T) {
	s := redistest.Start(t)
	s.Stop()
	s.Stop()
	if conn, err := net.Dial("tcp", s.Addr); err == nil {
		_ = conn.Close()
		t.Fatal("a stopped server still accepts connections")
	}
	other := redistest.StartAt(t, s.Port)
	if other.Addr != s.Addr {
		t.Fatalf("started on %s, want %s", other.Addr, s.Addr)
	}
	other.MustDo("PING")
}

func TestPassword(t *testing.T) {
	s := redistest.Start(t, "--requirepass", "secret")
	_, err := s.Do("GET", "key")
	var refused *redistest.ReplyError
	if !errors.As(err, &refused) || refused.Code() != "NOAUTH" {
		t.Fatalf("GET without the password: %v, want NOAUTH", err)
	}
}

func TestSignalFreezesAndThaws(t *testing.T) {
	s := redistest.Start(t)
	s.Signal(syscall.SIGSTOP)
	answered := make(chan error, 1)
	go func() {
		_, err := s.Do("PING")
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Fatalf("a frozen server answered (%v)", err)
	case <-time.After(100 * time.Millisecond): // long, since an answer takes microseconds
	}
	s.Signal(syscall.SIGCONT)
	if err := <-answered; err != nil {
		t.Fatalf("PING after the thaw: %v", err)
	}
	s.Signal(syscall.SIGSTOP) // the clean-up also ends a frozen server
}
