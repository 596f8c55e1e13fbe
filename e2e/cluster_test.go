package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/redistest"
)

const (
	clusterApps = 20
	// inFlight bounds the messages that a killed host stored and did not acknowledge.
	inFlight = 400
)

// TestThreeHosts: on all hosts each app's log is what was published, in the order of publishing,
// and each line is there once. Three hosts share one channel of two nsqd, which they find by an
// nsqlookupd, and one Redis Cluster, where an append counts once a replica has it. A Redis master
// dies, and its replica takes over. While nothing can be stored, a host is killed; then another one
// takes its place.
func TestThreeHosts(t *testing.T) {
	lookupd := nsqtest.StartLookupd(t)
	queues := []*nsqtest.Server{harness.NewQueue(t, lookupd.Register), harness.NewQueue(t, lookupd.Register)}
	for _, q := range queues {
		q.CreateChannel("logs", "consume")
	}
	cluster := redistest.StartCluster(t, 3, 1)
	env := map[string]string{
		"STORAGE_ADAPTER": "redis", "LOGGER_REDIS_MODE": "cluster", "LOGGER_REDIS_URLS": strings.Join(cluster.Addrs(), ","),
		"LOGGER_REDIS_WAIT_REPLICAS": "1", "NUMBER_OF_LINES": "100000",
		"NSQ_LOOKUPD_ADDRS": lookupd.HTTPAddr(), "NSQ_MSG_TIMEOUT_SECONDS": "5", "NSQ_MAX_IN_FLIGHT": strconv.Itoa(inFlight),
	}
	var hosts []*harness.Logger
	for range 3 {
		hosts = append(hosts, harness.Launch(t, env))
	}
	for _, l := range hosts {
		l.Until("ready", l.Ready)
	}
	p := publishTo(t, queues)
	stored := func(l *harness.Logger) float64 { return l.Metrics()["logger_messages_stored_total"] }
	goesOn := func(l *harness.Logger) {
		t.Helper()
		before := stored(l)
		l.Until("the host stores", func() bool { return stored(l) > before+200 })
	}
	for _, l := range hosts {
		goesOn(l) // so that each host has a share
	}

	dead := cluster.Nodes[cluster.MasterOf("logger:{app-0}:blocks")]
	dead.Stop()
	hosts[0].Until("messages wait in the host", func() bool { return hosts[0].Metrics()["logger_messages_waiting"] > 0 })
	hosts[0].Kill()
	now := cluster.AwaitFailover(dead)
	if why := hosts[1].Plugin("storage").Reason; hosts[1].Ready() || !strings.Contains(why, now.Addr) {
		hosts[1].Until("/readyz names the master that lacks a replica", func() bool {
			return strings.Contains(hosts[1].Plugin("storage").Reason, now.Addr)
		})
	}
	dead.Restart() // comes back empty, as a replica
	hosts[0] = harness.Launch(t, env)
	for _, l := range hosts {
		l.Until("ready", l.Ready)
		goesOn(l)
	}
	published := p.end()
	timedOut, requeued := uint64(0), uint64(0)
	for _, q := range queues {
		hosts[0].Until("all is through", func() bool { return q.Drained("logs", "consume") })
		stats := q.Channel("logs", "consume")
		timedOut, requeued = timedOut+stats.TimedOut, requeued+stats.Requeued
	}
	for app := range clusterApps {
		name := fmt.Sprint("app-", app)
		var want strings.Builder
		for number := range published {
			want.WriteString(harness.NumberedLine(number, app))
		}
		for i, l := range hosts {
			if text := l.Lines(name); text != want.String() {
				t.Errorf("host %d, %s: %s", i, name, difference(text, want.String()))
			}
		}
	}
	t.Logf("%d lines; nsqd waited in vain for %d of them and got %d back", published*clusterApps, timedOut, requeued)
}

// publisher publishes numbered lines of every app, to the two nsqd in turn.
type publisher struct {
	t      *testing.T
	client *http.Client
	stop   chan struct{}
	once   sync.Once
	done   chan struct{} // closed by run
	next   int           // the next number; read it once done is closed
	failed error
}

func publishTo(t *testing.T, queues []*nsqtest.Server) *publisher {
	t.Helper()
	p := &publisher{
		t: t, client: &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second},
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	var urls []string
	for _, q := range queues {
		urls = append(urls, "http://"+q.HTTPAddr()+"/mpub?topic=logs")
	}
	go p.run(urls)
	t.Cleanup(func() { p.end() })
	return p
}

func (p *publisher) run(urls []string) {
	defer close(p.done)
	defer p.client.CloseIdleConnections()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for ; p.failed == nil; p.next++ {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
		}
		bodies := make([][]byte, clusterApps)
		for app := range bodies {
			bodies[app] = harness.Numbered(p.next, app)
		}
		resp, err := p.client.Post(urls[p.next%len(urls)], "", bytes.NewReader(bytes.Join(bodies, []byte("\n"))))
		if err != nil {
			p.failed = err
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			p.failed = fmt.Errorf("nsqd answers %s", resp.Status)
			return
		}
	}
}

// end stops the publisher and returns how many numbers it published: those from 0 on.
func (p *publisher) end() int {
	p.t.Helper()
	p.once.Do(func() { close(p.stop) })
	<-p.done
	if p.failed != nil {
		p.t.Errorf("publish: %v", p.failed)
	}
	return p.next
}
