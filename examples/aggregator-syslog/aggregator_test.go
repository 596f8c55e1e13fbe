package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

// testHost takes what is delivered, while its gate is open.
type testHost struct {
	gate chan struct{} // closed: open

	mu    sync.Mutex
	texts []string
	said  bytes.Buffer // the plugin's log
}

func (h *testHost) deliver(ctx context.Context, messages []sdk.Message) (*sdk.Receipt, error) {
	select {
	case <-h.gate:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range messages {
		var r record
		if err := json.Unmarshal(m.Payload, &r); err != nil {
			return nil, err
		}
		h.texts = append(h.texts, r.Log)
	}
	receipt := sdk.NewReceipt()
	receipt.Resolve(nil)
	return receipt, nil
}

// Write takes the plugin's log.
func (h *testHost) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.said.Write(p)
}

func (h *testHost) got() ([]string, string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.texts...), h.said.String()
}

func (h *testHost) until(t *testing.T, what string, ok func(texts []string, said string) bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		texts, said := h.got()
		if ok(texts, said) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never: %s; there are %d texts, and %s", what, len(texts), said)
		}
	}
}

// start runs an aggregator with the settings until the test ends.
func start(t *testing.T, set settings) *testHost {
	t.Helper()
	h := &testHost{gate: make(chan struct{})}
	a, err := open(t.Context(), set, sdk.Host{Logger: hclog.New(&hclog.LoggerOptions{Output: h})})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := a.Run(ctx, h.deliver); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	h.until(t, "it listens", func([]string, string) bool { return a.(sdk.Checker).Check(t.Context()) == nil })
	return h
}

func testSettings(listen ...string) settings {
	return settings{Listen: strings.Join(listen, ","), App: "syslog", MaxMessage: 64 << 10, MaxPending: 1 << 20, MaxConns: 2}
}

func send(t *testing.T, network, addr, data string) {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, data); err != nil {
		t.Fatal(err)
	}
}

// TestListeners takes messages at several addresses, by each protocol and framing.
func TestListeners(t *testing.T) {
	a, b, c := freeAddr(t), freeAddr(t), freeAddr(t)
	h := start(t, testSettings("udp://"+a, "tcp://"+b, " tcp://"+c))
	close(h.gate)
	for i, m := range []struct{ network, addr, data, want string }{
		{"udp", a, "<14>Oct 11 22:14:15 h su: over udp\n", "over udp"},
		{"tcp", b, "<14>1 - - a - - - a line\n", "a line"},
		{"tcp", c, "22 <14>1 - - a - - - a\nb\n", "a\nb\n"},
		{"tcp", c, "a line without an end", "a line without an end"},
	} {
		send(t, m.network, m.addr, m.data)
		h.until(t, m.want, func(texts []string, _ string) bool { return len(texts) > i && texts[i] == m.want })
	}
}

// TestRefusedSettings names the setting and what it accepts.
func TestRefusedSettings(t *testing.T) {
	for listen, want := range map[string]string{
		"":                       `SYSLOG_LISTEN: "": want udp://HOST:PORT or tcp://HOST:PORT`,
		"127.0.0.1:514":          `want udp://HOST:PORT or tcp://HOST:PORT`,
		"udp://h:1,tls://h:2":    `"tls://h:2"`,
		"tcp://h":                `"tcp://h"`,
		"tcp://127.0.0.1:1,":     `SYSLOG_LISTEN: "": want`,
		"tcp://::1:514":          `"tcp://::1:514"`,
		"tcp://h:1, udp://h:1:2": `" udp://h:1:2"`,
	} {
		_, err := open(t.Context(), testSettings(listen), sdk.Host{})
		if !errors.Is(err, sdk.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("SYSLOG_LISTEN=%q: %v, want %s", listen, err, want)
		}
	}
	set := testSettings("tcp://127.0.0.1:0")
	set.App = "my app"
	if _, err := open(t.Context(), set, sdk.Host{}); !errors.Is(err, sdk.ErrInvalid) || !strings.Contains(err.Error(), "SYSLOG_DEFAULT_APP") {
		t.Errorf("SYSLOG_DEFAULT_APP: %v", err)
	}
}

// TestAddressTaken says which address it waits for, and listens once it is free.
func TestAddressTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := taken.Addr().String()
	a := openWith(t, testSettings("udp://"+freeAddr(t), "tcp://"+addr))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- a.Run(ctx, (&testHost{}).deliver) }()
	h := &testHost{}
	check := a.(sdk.Checker).Check
	h.until(t, "Check names the address", func([]string, string) bool {
		err := check(ctx)
		return err != nil && strings.Contains(err.Error(), "SYSLOG_LISTEN: tcp://"+addr)
	})
	_ = taken.Close()
	h.until(t, "it listens", func([]string, string) bool { return check(ctx) == nil })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestSlowHostTCP stops reading while the logger takes nothing, and loses nothing.
func TestSlowHostTCP(t *testing.T) {
	addr := freeAddr(t)
	h := start(t, testSettings("tcp://"+addr))
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	const total = 32 << 10 // lines, of 1 KiB
	sent := make(chan int, total)
	var sending sync.WaitGroup
	sending.Go(func() {
		defer close(sent)
		for i := range total {
			if _, err := fmt.Fprintf(c, "<14>1 - - a - - - %d %s\n", i, strings.Repeat("x", 1000)); err != nil {
				t.Error(err)
				return
			}
			sent <- i
		}
	})
	// The kernel takes some MiB on both sides, and then the sender waits.
	for last, at := -1, time.Now(); time.Since(at) < time.Second; time.Sleep(10 * time.Millisecond) {
		if len(sent) != last {
			last, at = len(sent), time.Now()
		}
	}
	if n := len(sent); n == total {
		t.Errorf("all of %d lines are taken, and the logger has none", n)
	}
	close(h.gate)
	sending.Wait()
	h.until(t, "all lines come", func(texts []string, _ string) bool { return len(texts) == total })
	texts, _ := h.got()
	for i, text := range texts {
		if !strings.HasPrefix(text, fmt.Sprint(i, " ")) {
			t.Fatalf("line %d is %.20q", i, text)
		}
	}
}

// TestSlowHostUDP drops what has no room, and says how much.
func TestSlowHostUDP(t *testing.T) {
	addr := freeAddr(t)
	h := start(t, testSettings("udp://"+addr))
	text := strings.Repeat("x", 60_000)
	for sent := 0; ; sent++ { // one more than there is room for, wherever the kernel drops
		if _, said := h.got(); strings.Contains(said, "by UDP are lost") {
			break
		}
		if sent > 10_000 {
			t.Fatal("nothing is dropped")
		}
		send(t, "udp", addr, "<14>1 - - a - - - "+text)
	}
	_, said := h.got()
	if !strings.Contains(said, "count=1") || !strings.Contains(said, "SYSLOG_MAX_PENDING_BYTES") {
		t.Errorf("it says %s", said)
	}
	close(h.gate)
	h.until(t, "what had room comes", func(texts []string, _ string) bool { return len(texts) > 10 && texts[0] == text })
}

// TestTooManyConnections resets the one that is too many, and says so.
func TestTooManyConnections(t *testing.T) {
	addr := freeAddr(t)
	h := start(t, testSettings("tcp://"+addr))
	close(h.gate)
	for range 2 {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		if _, err := io.WriteString(c, "hello\n"); err != nil {
			t.Fatal(err)
		}
	}
	h.until(t, "both are served", func(texts []string, _ string) bool { return len(texts) == 2 })
	if err := acknowledged(t.Context(), addr, []byte("hello\n")); err == nil {
		t.Error("a third is served")
	}
	h.until(t, "it says so", func(_ []string, said string) bool { return strings.Contains(said, "SYSLOG_MAX_CONNECTIONS") })
}

// TestEndOfConnection ends a connection in order if all of its lines are stored, and resets one
// that ended inside a message.
func TestEndOfConnection(t *testing.T) {
	addr := freeAddr(t)
	h := start(t, testSettings("tcp://"+addr))
	close(h.gate)
	if err := acknowledged(t.Context(), addr, []byte("<14>hello\n<14>world")); err != nil {
		t.Errorf("stored, and not acknowledged: %v", err)
	}
	for _, data := range []string{"100 <14>cut", "12"} {
		if err := acknowledged(t.Context(), addr, []byte(data)); (err == nil) != (data == "12") {
			t.Errorf("%q: %v", data, err)
		}
	}
}
