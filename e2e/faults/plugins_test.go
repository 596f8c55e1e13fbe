package faults

import (
	"fmt"
	"io"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/redistest"
)

// storages maps each bundled storage to a function that returns its variables. Its Redis persists
// each write before it answers.
var storages = map[string]func(t *testing.T) map[string]string{
	"memory": func(*testing.T) map[string]string { return harness.MemoryEnv() },
	"redis": func(t *testing.T) map[string]string {
		return harness.RedisEnv(durableRedis(t).Addr)
	},
}

func durableRedis(t *testing.T) *redistest.Server {
	t.Helper()
	return redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
}

// signal sends a signal to the plugin of that kind, once it has a process.
func (r *rig) signal(kind string, sig syscall.Signal) (pid int) {
	r.t.Helper()
	r.logger.Until("the plugin runs", func() bool {
		pid = r.logger.Plugin(kind).PID
		return pid != 0
	})
	if err := syscall.Kill(pid, sig); err != nil {
		r.t.Fatalf("signal %s to the %s plugin: %v", sig, kind, err)
	}
	return pid
}

// replaced waits until the plugin has another process than pid.
func (r *rig) replaced(kind string, pid int) {
	r.t.Helper()
	r.logger.Until(fmt.Sprintf("another process has taken the place of the %s plugin", kind), func() bool {
		p := r.logger.Plugin(kind)
		return p.PID != 0 && p.PID != pid
	})
	if harness.Lives(pid) {
		r.t.Errorf("the %s plugin's old process %d lives", kind, pid)
	}
}

// killTwice kills the plugin of that kind twice while lines come, and checks that each replacement
// is quick.
func (r *rig) killTwice(kind string) {
	r.t.Helper()
	for range 2 {
		r.goOn(300 * time.Millisecond)
		reads, writes := r.recovery(func() { r.signal(kind, syscall.SIGKILL) })
		r.soon(kind+" killed", reads, writes)
		r.flowing()
	}
}

// freeze stops the process of the plugin of that kind, and waits until the host has replaced it.
func (r *rig) freeze(kind string) {
	r.t.Helper()
	began := time.Now()
	r.replaced(kind, r.signal(kind, syscall.SIGSTOP))
	r.t.Logf("replaced after %s", time.Since(began))
	r.flowing()
}

// TestStoragePluginKilled: if the storage plugin is killed while it works, it is soon replaced, and
// no line is lost.
func TestStoragePluginKilled(t *testing.T) {
	for name, env := range storages {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, env(t))
			r.every = busy
			r.begin()
			r.killTwice("storage")
			r.finish()
			if got := r.asker.status(http.StatusServiceUnavailable); got.slowest > time.Second {
				t.Errorf("a read was told of the dead plugin after %s: want at once", got.slowest)
			}
		})
	}
}

// TestStoragePluginKilledInAnAnswer: if the storage plugin is killed after it sent a part of a long
// log, the answer is a 503 or whole. It never ends early.
func TestStoragePluginKilledInAnAnswer(t *testing.T) {
	for name, env := range storages {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, env(t))
			r.start()
			written := writeLong(r, 0, 3000) // 6 MB, about six pages
			whole := len(r.logger.Lines("long"))
			answers := map[int]int{}
			for _, delay := range []time.Duration{5, 20, 60, 120} {
				r.logger.Until("ready", r.logger.Ready)
				asked := make(chan struct{})
				go func() { // ends with the request, at the test's end at the latest
					defer close(asked)
					status, body, err := get(r.logger.URL + "/logs/long?log_lines=-1")
					answers[status]++
					if err != nil || status != http.StatusServiceUnavailable && (status != http.StatusOK || len(body) != whole) {
						t.Errorf("status %d and %d bytes, want 503, or 200 and %d: %v", status, len(body), whole, err)
					}
				}()
				r.goOn(delay * time.Millisecond)
				pid := r.signal("storage", syscall.SIGKILL)
				<-asked
				r.replaced("storage", pid)
			}
			t.Logf("answers: %v", answers)
			if kept := r.newest("long", written); kept != written {
				t.Errorf("%d of %d lines are kept", kept, written)
			}
		})
	}
}

// get sends a request from a goroutine of its own, so it returns errors instead of ending the test.
func get(url string) (status int, body []byte, err error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 3 * slowest}
	resp, err := client.Get(url)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// TestStoragePluginFrozen: if the storage plugin's process exists but does not answer, the host
// replaces it, and no line is lost.
func TestStoragePluginFrozen(t *testing.T) {
	for name, env := range storages {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, env(t))
			r.begin()
			r.freeze("storage")
			r.finish()
			r.toldSo()
		})
	}
}

// TestAggregatorPluginKilled: if the aggregator is killed while it works, no line is lost or
// doubled. After the message timeout nsqd delivers again what it had in flight, and the storage
// recognises what it has stored.
func TestAggregatorPluginKilled(t *testing.T) {
	for name, env := range storages {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, env(t))
			r.every = busy
			r.begin()
			r.killTwice("aggregator")
			r.finish()
			r.alwaysReadable()
		})
	}
}

// TestAggregatorPluginFrozen: if the aggregator's process stands still, the host replaces it, and
// no line is lost.
func TestAggregatorPluginFrozen(t *testing.T) {
	r := newRig(t, harness.MemoryEnv())
	r.begin()
	r.freeze("aggregator")
	r.finish()
	r.alwaysReadable()
}

// alwaysReadable checks that no read was answered with 503.
func (r *rig) alwaysReadable() {
	r.t.Helper()
	if got := r.asker.status(http.StatusServiceUnavailable); got.count > 0 {
		r.t.Errorf("%d reads were answered with 503", got.count)
	}
}
