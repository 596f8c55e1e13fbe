package main

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
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

// shipper plays a client, and is the suite's transport: it has messages in order, and posts them
// until the answer is 200.
type shipper struct {
	url    string
	client *http.Client
	more   chan struct{} // room for one: there is something to post

	mu      sync.Mutex
	waiting [][]byte
}

func newShipper(t *testing.T) (*shipper, settings) {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := free.Addr().String()
	_ = free.Close()
	s := &shipper{url: "http://" + addr + "/messages", client: &http.Client{Transport: &http.Transport{}}, more: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	var posting sync.WaitGroup
	posting.Go(func() { s.ship(ctx) })
	t.Cleanup(func() {
		cancel()
		posting.Wait()
		s.client.CloseIdleConnections()
	})
	return s, settings{Addr: addr, MaxBody: 4 << 20, MaxPending: 64 << 20, Timeout: 30 * time.Second}
}

func (s *shipper) Publish(payloads ...[]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range payloads {
		s.waiting = append(s.waiting, bytes.Clone(p))
	}
	select {
	case s.more <- struct{}{}:
	default:
	}
	return nil
}

func (s *shipper) Outstanding() (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting), nil
}

func (s *shipper) ship(ctx context.Context) {
	for {
		if !s.post(ctx) {
			select {
			case <-ctx.Done():
				return
			case <-s.more:
			case <-time.After(5 * time.Millisecond): // again, sooner than the answer asks for
			}
		}
	}
}

// post posts what waits, as many lines as there are, and says whether they are stored.
func (s *shipper) post(ctx context.Context) bool {
	s.mu.Lock()
	var lines [][]byte
	for _, p := range s.waiting {
		if len(bytes.TrimSpace(p)) == 0 || bytes.Contains(p, []byte("\n")) {
			break
		}
		lines = append(lines, p)
	}
	body, kind, n := bytes.Join(lines, []byte("\n")), "application/x-ndjson", len(lines)
	if n == 0 && len(s.waiting) > 0 {
		body, kind, n = s.waiting[0], "application/octet-stream", 1
	}
	s.mu.Unlock()
	if n == 0 {
		return false
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(body))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", kind)
	resp, err := s.client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = s.waiting[n:]
	return true
}

// clientsCome is why one check is left out; TestWaitsForItsAddress stands in for it.
var clientsCome = plugintest.Without("TransportAway", "clients come to it: it cannot know of one that is away")

// noQueue is why another is: what waits is the clients'.
var noQueue = plugintest.Without("Queues", "clients keep what waits: it cannot know how much")

func openShipper(t *testing.T) (aggregatortest.Transport, func(t *testing.T) sdk.Aggregator) {
	shipper, set := newShipper(t)
	return shipper, func(t *testing.T) sdk.Aggregator {
		a, err := open(t.Context(), set, sdk.Host{})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
}

func TestConformance(t *testing.T) {
	aggregatortest.Run(t, openShipper, clientsCome, noQueue)
}

func TestConformanceRemote(t *testing.T) {
	aggregatortest.RunRemote(t, openShipper, clientsCome, noQueue)
}

func TestConformanceExecutable(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logger-aggregator-http")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	aggregatortest.RunExecutable(t, path, func(t *testing.T) (aggregatortest.Transport, map[string]string) {
		shipper, set := newShipper(t)
		return shipper, map[string]string{"HTTP_LISTEN_ADDR": set.Addr}
	}, clientsCome, noQueue)
}
