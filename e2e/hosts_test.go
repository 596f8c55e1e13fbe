package e2e

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/redistest"
)

// TestTailOfAnotherHostsLines: hosts that share a Redis show each other's lines, though the lines
// of host B never are in the queue of host A. When A stops, its followers resume at B.
func TestTailOfAnotherHostsLines(t *testing.T) {
	redis, queueOfB := redistest.Start(t), harness.NewQueue(t)
	storage := harness.RedisEnv(redis.Addr)
	a := harness.Start(t, harness.NSQEnv(harness.NewQueue(t).TCPAddr()), storage)
	b := harness.Start(t, harness.NSQEnv(queueOfB.TCPAddr()), storage)
	all := []*tailer{newTailer(a.URL, "app-0", "ndjson", transport()), newTailer(a.URL, "app-0", "sse", transport())}
	stop := tails(t, all)
	for i := range 4 { // the tails begin before the app has a log
		numbers(queueOfB, 1, 50*i+1, 50*i+50)
		settle(t, a, all, uint64(50*i+50))
	}
	if got := a.Metrics()["logger_messages_received_total"]; got != 0 {
		t.Errorf("host A received %v messages itself", got)
	}
	a.Signal(syscall.SIGTERM)
	a.Ended(0)
	stop()
	for _, c := range all {
		if len(c.ends) == 0 || c.ends[0] != "stopping" {
			t.Errorf("%s: its tail ended with %q, want stopping", c.format, c.ends)
		}
		c.base = b.URL
	}
	numbers(queueOfB, 1, 201, 250)
	tails(t, all)
	settle(t, b, all, 250)
}

// TestFollowersThatLeft: once followers leave, the host frees all that it held for them within a
// second.
func TestFollowersThatLeft(t *testing.T) {
	l := harness.Start(t, harness.NSQEnv(harness.NewQueue(t).TCPAddr()), harness.MemoryEnv())
	begin := l.Metrics()
	const followers, apps = 100, 10
	client := transport()
	defer client.CloseIdleConnections()
	var open []*http.Response
	for i := range followers {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, fmt.Sprintf("%s/v1/apps/app-%d/tail", l.URL, i%apps), http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", []string{"text/plain", "text/event-stream"}[i%2])
		resp, err := client.Do(req)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("follower %d: %v %v", i, resp, err)
		}
		defer func() { _ = resp.Body.Close() }()
		open = append(open, resp) //nolint:bodyclose // it is, below
	}
	l.Until("all follow", func() bool {
		m := l.Metrics()
		return m["logger_followers"] == followers && m["logger_followed_apps"] == apps
	})
	for _, resp := range open {
		_ = resp.Body.Close()
	}
	left := time.Now()
	l.Until("all are gone", func() bool {
		m := l.Metrics()
		return m["logger_followers"] == 0 && m["logger_followed_apps"] == 0 && m["go_goroutines"] <= begin["go_goroutines"]+ofRequests
	})
	if took := time.Since(left); took > time.Second {
		t.Errorf("they were gone after %s", took)
	}
}

// ofRequests bounds the goroutines that a request for metrics may find by chance, of the request
// before it and of the pipeline.
const ofRequests = 5
