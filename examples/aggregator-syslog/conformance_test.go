package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/aggregatortest"
	"github.com/deis/logger/sdk/plugintest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sender plays a sender by TCP, and is the suite's transport: it has texts in order, and sends them
// until the connection's end says that all is stored.
type sender struct {
	addr string
	more chan struct{} // room for one: there is something to send

	mu      sync.Mutex
	waiting [][]byte
}

func newSender(t *testing.T) (*sender, settings) {
	t.Helper()
	s := &sender{addr: freeAddr(t), more: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	var sending sync.WaitGroup
	sending.Go(func() { s.sendAll(ctx) })
	t.Cleanup(func() {
		cancel()
		sending.Wait()
	})
	return s, settings{Listen: "tcp://" + s.addr, App: "syslog", MaxMessage: 1 << 20, MaxPending: 16 << 20, MaxConns: 16}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = free.Close() }()
	return free.Addr().String()
}

func (s *sender) Publish(texts ...[]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range texts {
		s.waiting = append(s.waiting, bytes.Clone(text))
	}
	select {
	case s.more <- struct{}{}:
	default:
	}
	return nil
}

func (s *sender) Outstanding() (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting), nil
}

// Text implements [aggregatortest.Texts]: syslog's messages are no records.
func (s *sender) Text(payload []byte) ([]byte, error) {
	var r record
	d := json.NewDecoder(bytes.NewReader(payload))
	d.DisallowUnknownFields()
	err := d.Decode(&r)
	return []byte(r.Log), err
}

func (s *sender) sendAll(ctx context.Context) {
	for {
		if s.send(ctx) != nil {
			select {
			case <-ctx.Done():
				return
			case <-s.more:
			case <-time.After(5 * time.Millisecond):
			}
		}
	}
}

// send sends what waits, and returns nil once it is stored.
func (s *sender) send(ctx context.Context) error {
	s.mu.Lock()
	var frames bytes.Buffer
	n := len(s.waiting)
	for _, text := range s.waiting {
		frame(&frames, "<14>1 2026-01-02T15:04:05Z host app 1 - - ", text)
	}
	s.mu.Unlock()
	if n == 0 {
		return io.EOF
	}
	if err := acknowledged(ctx, s.addr, frames.Bytes()); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = s.waiting[n:]
	return nil
}

// frame writes a message with its length.
func frame(to *bytes.Buffer, header string, text []byte) {
	fmt.Fprintf(to, "%d %s%s", len(header)+len(text), header, text)
}

// acknowledged sends bytes by TCP, ends its side, and returns nil once the other ends in order.
func acknowledged(ctx context.Context, addr string, data []byte) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	if _, err := c.Write(data); err != nil {
		return err
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, c) // nil is an end, a reset is an error
	return err
}

var without = []plugintest.Option{
	plugintest.Without("TransportAway", "senders come to it: it cannot know of one that is away"),
	plugintest.Without("Queues", "senders keep what waits: it cannot know how much"),
}

func openSender(t *testing.T) (aggregatortest.Transport, func(t *testing.T) sdk.Aggregator) {
	s, set := newSender(t)
	return s, func(t *testing.T) sdk.Aggregator { return openWith(t, set) }
}

func openWith(t *testing.T, set settings) sdk.Aggregator {
	t.Helper()
	a, err := open(t.Context(), set, sdk.Host{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestConformance(t *testing.T)       { aggregatortest.Run(t, openSender, without...) }
func TestConformanceRemote(t *testing.T) { aggregatortest.RunRemote(t, openSender, without...) }

func TestConformanceExecutable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logger-aggregator-syslog")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	aggregatortest.RunExecutable(t, path, func(t *testing.T) (aggregatortest.Transport, map[string]string) {
		s, set := newSender(t)
		return s, map[string]string{"SYSLOG_LISTEN": set.Listen, "SYSLOG_MAX_MESSAGE_BYTES": "1MiB"}
	}, without...)
}
