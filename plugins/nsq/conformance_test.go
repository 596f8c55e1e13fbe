package nsq

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/nsqio/nsq/nsqd"

	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/aggregatortest"
)

// conformanceQueue runs the nsqd of the suite. A proxy in front of it cuts the aggregator off.
type conformanceQueue struct {
	server *nsqtest.Server
	gate   *gate
}

func (q conformanceQueue) Publish(payloads ...[]byte) error {
	q.server.Publish("logs", payloads...)
	return nil
}

func (q conformanceQueue) Outstanding() (int, error) {
	s := q.server.Channel("logs", "consume")
	return int(s.TopicDepth+s.Depth) + s.InFlight + s.Deferred, nil
}

func (q conformanceQueue) Break() error { q.gate.set(false); return nil }
func (q conformanceQueue) Mend() error  { q.gate.set(true); return nil }

// gate lets connections through to a proxy. When it is shut, it breaks them all and refuses others.
type gate struct {
	listener net.Listener

	mu    sync.Mutex
	open  bool
	conns map[net.Conn]struct{}
}

func newConformanceQueue(t *testing.T) (conformanceQueue, map[string]string) {
	t.Helper()
	server := nsqtest.Start(t, func(o *nsqd.Options) { o.MemQueueSize = 100_000 })
	server.CreateChannel("logs", "consume") // counts messages that are published before a consumer comes
	g := newGate(t, server.TCPAddr())
	host, port, err := net.SplitHostPort(g.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, http, err := net.SplitHostPort(server.HTTPAddr())
	if err != nil {
		t.Fatal(err)
	}
	return conformanceQueue{server, g}, map[string]string{
		"DEIS_NSQD_SERVICE_PORT_HTTP": http,
		"DEIS_NSQD_SERVICE_HOST":      host, "DEIS_NSQD_SERVICE_PORT_TRANSPORT": port, "NSQ_MSG_TIMEOUT_SECONDS": "2",
	}
}

func newGate(t *testing.T, target string) *gate {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{listener: listener, open: true, conns: map[net.Conn]struct{}{}}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { g.forward(near, target) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		g.set(false)
		all.Wait()
	})
	return g
}

func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = open
	for c := range g.conns {
		if !open {
			_ = c.Close() // a broken connection is what the test wants
		}
	}
}

// keep remembers a connection. If the gate is shut, it closes the connection.
func (g *gate) keep(c net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.open {
		_ = c.Close()
		return false
	}
	g.conns[c] = struct{}{}
	return true
}

func (g *gate) drop(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
	_ = c.Close()
}

func (g *gate) forward(near net.Conn, target string) {
	if !g.keep(near) {
		return
	}
	defer g.drop(near)
	far, err := net.Dial("tcp", target)
	if err != nil || !g.keep(far) {
		return
	}
	defer g.drop(far)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = far.(*net.TCPConn).ReadFrom(near)
		_ = far.Close()
	}()
	_, _ = near.(*net.TCPConn).ReadFrom(far)
	_ = near.Close()
	<-done
}

func openConformance(t *testing.T) (aggregatortest.Transport, func(*testing.T) sdk.Aggregator) {
	q, env := newConformanceQueue(t)
	settings, err := sdk.LoadSettings[Settings](func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	return q, func(t *testing.T) sdk.Aggregator {
		a, err := Open(context.Background(), settings, sdk.Host{Logger: hclog.NewNullLogger()})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	aggregatortest.Run(t, openConformance)
}

func TestConformanceRemote(t *testing.T) { aggregatortest.RunRemote(t, openConformance) }

func TestConformanceExecutable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logger-aggregator-nsq")
	build := exec.Command("go", "build", "-trimpath", "-o", path, "github.com/deis/logger/cmd/logger-aggregator-nsq")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	aggregatortest.RunExecutable(t, path, func(t *testing.T) (aggregatortest.Transport, map[string]string) {
		return newConformanceQueue(t)
	})
}
