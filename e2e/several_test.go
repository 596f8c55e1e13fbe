package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
)

// severalTailer follows apps over one connection after the other, each resumed by the one cursor of
// all apps. Each app has a tailer of its own, which checks its records.
type severalTailer struct {
	tailer // of no app: for the connection alone
	of     map[string]*tailer
}

func newSeveralTailer(base, app, format string) *severalTailer {
	return &severalTailer{tailer: *newTailer(base, app, format, transport()), of: map[string]*tailer{}}
}

// take gives a record to the tailer of its app.
func (c *severalTailer) take(r severalRecord) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cursor = r.place()
	switch r.Type {
	case "entry", "gap":
		if c.of[r.App] == nil {
			c.of[r.App] = newTailer(c.base, r.App, c.format, c.client)
		}
		one := c.of[r.App]
		if one.take(r.record); one.fault() != "" {
			c.wrongly("%s", one.fault())
		}
	case "heartbeat":
	case "end":
		c.ends = append(c.ends, r.Reason)
	default:
		c.wrongly("a record of type %q", r.Type)
	}
}

type severalRecord struct {
	record
	App string
}

func (r *severalRecord) place() string {
	if r.Type == "gap" {
		return r.To
	}
	return r.Cursor
}

// run tails until ctx ends. Now and then it cuts its connection, wherever that is.
func (c *severalTailer) run(ctx context.Context) {
	for ctx.Err() == nil && c.fault() == "" {
		life, cancel := context.WithCancel(ctx)
		if c.cuts {
			life, cancel = context.WithTimeout(ctx, 200*time.Millisecond+rand.N(2*time.Second))
		}
		c.connect(life)
		cancel()
		select {
		case <-ctx.Done():
		case <-time.After(20*time.Millisecond + rand.N(80*time.Millisecond)):
		}
	}
}

func (c *severalTailer) connect(ctx context.Context) {
	c.mu.Lock()
	base, cursor := c.base, c.cursor
	c.mu.Unlock()
	query := url.Values{"lines": {"-1"}, "format": {c.format}, "app": strings.Split(c.app, " ")}
	if cursor != "" && c.format != "sse" {
		query.Set("after", cursor)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1/tail?"+query.Encode(), http.NoBody)
	if err != nil {
		c.blame("%v", err)
		return
	}
	if cursor != "" && c.format == "sse" {
		req.Header.Set("Last-Event-ID", cursor)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return // cut, or there is nobody
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusServiceUnavailable {
		return // the storage is away
	}
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		c.blame("status %d: %s", resp.StatusCode, body)
		return
	}
	c.mu.Lock()
	c.connections++
	c.mu.Unlock()
	scanner := bufio.NewScanner(resp.Body)
	scanner.Buffer(make([]byte, 4096), 1<<20)
	data := ""
	for scanner.Scan() && ctx.Err() == nil {
		line := scanner.Text()
		if c.format == "sse" { // an event counts once it ends
			if rest, ok := strings.CutPrefix(line, "data: "); ok {
				data = rest
			}
			if line != "" || data == "" {
				continue
			}
			line, data = data, ""
		}
		var r severalRecord
		if json.Unmarshal([]byte(line), &r) != nil {
			return // the record was cut
		}
		c.take(r)
	}
}

// reached says that all apps are at the last line, and judges what they got.
func (c *severalTailer) reached(apps int, last uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wrong != "" {
		return true
	}
	if len(c.of) < apps {
		return false
	}
	for _, one := range c.of {
		if one.reached() < last {
			return false
		}
	}
	return true
}

func settleSeveral(t *testing.T, l *harness.Logger, all []*severalTailer, apps int, last uint64) {
	t.Helper()
	l.Until(fmt.Sprintf("all tails have %d apps at line %d", apps, last), func() bool {
		for _, c := range all {
			if !c.reached(apps, last) {
				return false
			}
		}
		return true
	})
	for _, c := range all {
		if wrong := c.fault(); wrong != "" {
			t.Error(wrong)
			continue
		}
		c.mu.Lock()
		lines, missing := uint64(0), map[string]uint64{}
		for app, one := range c.of {
			sum := one.lines
			lines += one.lines
			for reason, n := range one.missing {
				missing[reason] += n
				sum += n
			}
			if sum != last || one.reached() != last {
				t.Errorf("%s %s: %d lines and %v missing up to %d, want %d", app, c.format, one.lines, one.missing, one.reached(), last)
			}
		}
		t.Logf("%s of %d apps: %d lines over %d connections; missing: %v", c.format, len(c.of), lines, c.connections, missing)
		c.mu.Unlock()
	}
	if t.Failed() {
		t.Logf("the host's last lines:\n%s", l.Log())
	}
}

func severalTails(t *testing.T, all []*severalTailer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, c := range all {
		running.Go(func() { c.run(ctx) })
	}
	stop = func() {
		cancel()
		running.Wait()
		for _, c := range all {
			c.client.CloseIdleConnections()
		}
	}
	t.Cleanup(stop)
	return stop
}

// TestTailOfSeveralApps is TestTail for 20 apps over one connection: apps join, the storage plugin is
// killed and frozen, connections are cut at any byte; each line of each app comes once and in order.
func TestTailOfSeveralApps(t *testing.T) {
	const apps = 20
	for name, env := range harness.Storages {
		t.Run(name, func(t *testing.T) {
			queue := harness.NewQueue(t)
			l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), env(t))
			all := []*severalTailer{ // before there is an app
				newSeveralTailer(l.URL, "*", "ndjson"), newSeveralTailer(l.URL, "app-1* app-0 app-2,app-3 app-*", "sse"),
				newSeveralTailer(l.URL, "app-*", "ndjson"), newSeveralTailer(l.URL, "*", "sse"),
			}
			all[2].cuts, all[3].cuts = true, true
			stop := severalTails(t, all)
			last := 0
			publish := func(n int) {
				for range n {
					last++
					numbers(queue, apps, last, last)
					time.Sleep(time.Millisecond) // so that connections are cut within
				}
			}
			publish(200)
			settleSeveral(t, l, all, apps, uint64(last))

			kill(t, l, map[int]bool{})
			publish(200)
			settleSeveral(t, l, all, apps, uint64(last))

			l.Until("there is a storage plugin", func() bool { return l.Plugin("storage").PID > 0 })
			frozen := l.Plugin("storage").PID
			if err := syscall.Kill(frozen, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			publish(100)
			_ = syscall.Kill(frozen, syscall.SIGCONT) // or the host has ended it
			publish(100)
			settleSeveral(t, l, all, apps, uint64(last))
			for _, c := range all[:2] {
				if c.connections != 1 {
					t.Errorf("%s: %d connections: the plugin's end was noticed", c.format, c.connections)
				}
			}

			stop()
			publish(50)
			l.Settled(last * apps)
			stop = severalTails(t, all)
			settleSeveral(t, l, all, apps, uint64(last))
			l.Signal(syscall.SIGTERM)
			l.Ended(0)
			stop()
			for _, c := range all[:2] {
				if len(c.ends) == 0 || c.ends[len(c.ends)-1] != "stopping" {
					t.Errorf("%s: its tail ended with %q, want stopping", c.format, c.ends)
				}
			}
		})
	}
}
