package e2e

import (
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/redistest"
)

// numbers publishes the lines from first to last in each of so many apps.
func numbers(queue *nsqtest.Server, apps, first, last int) {
	var bodies [][]byte
	for n := first; n <= last; n++ {
		for app := range apps {
			bodies = append(bodies, harness.Numbered(n, app))
		}
	}
	queue.Publish("logs", bodies...)
}

// transport returns a client that keeps no idle connections, so many can tail one host.
func transport() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: -1, DisableKeepAlives: true}}
}

// settle waits until all tailers have reached the last line, and checks that none misses a line.
func settle(t *testing.T, l *harness.Logger, all []*tailer, last uint64) {
	t.Helper()
	l.Until(fmt.Sprintf("all tails are at line %d", last), func() bool {
		for _, c := range all {
			if c.fault() == "" && c.reached() < last {
				return false
			}
		}
		return true
	})
	lines, connections := uint64(0), 0
	missing := map[string]uint64{}
	for _, c := range all {
		if wrong := c.fault(); wrong != "" {
			t.Error(wrong)
			continue
		}
		reached := c.reached()
		c.mu.Lock() // the tailer goes on meanwhile, and may reconnect
		sum := c.lines
		for reason, n := range c.missing {
			missing[reason] += n
			sum += n
		}
		if sum != last || reached != last {
			t.Errorf("%s %s: %d lines and %v missing up to %d, want %d", c.app, c.format, c.lines, c.missing, reached, last)
		}
		lines += c.lines
		connections += c.connections
		c.mu.Unlock()
	}
	t.Logf("%d tails got %d lines over %d connections; missing: %v", len(all), lines, connections, missing)
	if t.Failed() {
		t.Logf("the host's last lines:\n%s", l.Log())
	}
}

// TestTail: each line comes once and in order. History becomes live, a tail that was cut resumes,
// and no tail notices that a storage plugin is killed.
func TestTail(t *testing.T) {
	for name, env := range harness.Storages {
		t.Run(name, func(t *testing.T) {
			queue := harness.NewQueue(t)
			l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), env(t))
			early := newTailer(l.URL, "app-0", "ndjson", transport()) // begins before the app has a log
			stopEarly := tails(t, []*tailer{early})
			numbers(queue, 1, 1, 300)
			l.Settled(300)
			all := []*tailer{early, newTailer(l.URL, "app-0", "ndjson", transport()), newTailer(l.URL, "app-0", "sse", transport())}
			stop := tails(t, all[1:])
			settle(t, l, all, 300)
			numbers(queue, 1, 301, 350)
			settle(t, l, all, 350)

			if err := syscall.Kill(l.Plugin("storage").PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			numbers(queue, 1, 351, 400)
			settle(t, l, all, 400)
			for _, c := range all {
				if c.connections != 1 {
					t.Errorf("%s: %d connections: the plugin's end was noticed", c.format, c.connections)
				}
			}
			stopEarly() // and then all others
			stop()
			numbers(queue, 1, 401, 420)
			l.Settled(420)
			stop = tails(t, all)
			settle(t, l, all, 420)

			l.Signal(syscall.SIGTERM)
			l.Ended(0)
			stop()
			for _, c := range all {
				if len(c.ends) == 0 || c.ends[0] != "stopping" {
					t.Errorf("%s: its tail ended with %q, want stopping", c.format, c.ends)
				}
			}
		})
	}
}

// TestTailManyFollowers: each follower gets each line once and in order, or a gap that counts it.
// Meanwhile lines come at full speed, followers cut their connections, the storage plugin is killed
// twice, and Redis restarts.
func TestTailManyFollowers(t *testing.T) {
	const apps, followers = 20, 200
	rate, flow := 5000, 12*time.Second // lines per second
	if harness.Race {
		rate = 2000 // the race detector makes tests and host several times slower
	}
	for name, env := range map[string]func(*testing.T) (map[string]string, *redistest.Server){
		"memory": func(*testing.T) (map[string]string, *redistest.Server) { return harness.MemoryEnv(), nil },
		"redis": func(t *testing.T) (map[string]string, *redistest.Server) {
			// Redis persists each write before it answers, so gaps can be exact.
			redis := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
			return harness.RedisEnv(redis.Addr), redis
		},
	} {
		t.Run(name, func(t *testing.T) {
			queue := harness.NewQueue(t)
			vars, redis := env(t)
			l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), vars)
			all := make([]*tailer, followers)
			for i := range all {
				all[i] = newTailer(l.URL, fmt.Sprintf("app-%d", i%apps), []string{"ndjson", "sse"}[i/apps%2], transport())
				all[i].cuts = i%3 != 0
			}
			tails(t, all)
			const tick = 20 * time.Millisecond
			each := int(tick) * rate / apps / int(time.Second)
			began, last := time.Now(), 0
			pids := map[int]bool{}
			faults := []func(){
				func() { kill(t, l, pids) },
				func() {
					if redis != nil {
						redis.Restart()
					}
				},
				func() { kill(t, l, pids) },
			}
			ticker := time.NewTicker(tick)
			defer ticker.Stop()
			for time.Since(began) < flow {
				<-ticker.C
				numbers(queue, apps, last+1, last+each)
				last += each
				if len(faults) > 0 && time.Since(began) > flow*time.Duration(4-len(faults))/5 {
					faults[0]()
					faults = faults[1:]
				}
			}
			t.Logf("%d lines in %s", last*apps, time.Since(began).Round(time.Millisecond))
			l.Settled(last * apps)
			settle(t, l, all, uint64(last))
			if len(pids) != 2 {
				t.Errorf("%d storage plugins were killed, want 2", len(pids))
			}
		})
	}
}

// kill kills the storage plugin's process. It waits for a process that it has not killed before.
func kill(t *testing.T, l *harness.Logger, killed map[int]bool) {
	t.Helper()
	l.Until("there is a storage plugin", func() bool {
		pid := l.Plugin("storage").PID
		return pid > 0 && !killed[pid]
	})
	pid := l.Plugin("storage").PID
	killed[pid] = true
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
