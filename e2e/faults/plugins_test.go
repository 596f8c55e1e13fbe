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

// storages are the bundled storages, each with the variables that it needs. Redis
// keeps what it acknowledged over its own death.
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

// signal sends a signal to the plugin of that kind.
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

// replaced waits until another process serves.
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

// killTwice kills the plugin of that kind while lines come, and checks that it is soon replaced.
func (r *rig) killTwice(kind string) {
	r.t.Helper()
	for range 2 {
		r.goOn(300 * time.Millisecond)
		reads, writes := r.recovery(func() { r.signal(kind, syscall.SIGKILL) })
		r.soon(kind+" killed", reads, writes)
		r.flowing()
	}
}

// freeze stops the process of the plugin of that kind, and waits for its replacement.
func (r *rig) freeze(kind string) {
	r.t.Helper()
	began := time.Now()
	r.replaced(kind, r.signal(kind, syscall.SIGSTOP))
	r.t.Logf("replaced after %s", time.Since(began))
	r.flowing()
}

// TestStoragePluginKilled kills the storage plugin while it works, twice.
func TestStoragePluginKilled(t *testing.T) {
	for name, env := range storages {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, env(t))
			r.every = busy
			r.begin()
			r.killTwice("storage")
			r.finish()
			if got := r.reader.status(http.StatusServiceUnavailable); got.slowest > time.Second {
				t.Errorf("a read was told of the dead plugin after %s: want at once", got.slowest)
			}
		})
	}
}

// TestStoragePluginKilledInAnAnswer kills the storage plugin when it has told a part
// of a long log: the answer is a 503 or whole, and never ends early.
func TestStoragePluginKilledInAnAnswer(t *testing.T) {
	for name, env := range storages {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, env(t))
			r.start()
			written := writeLong(r, 0, 3000) // 6 MB: some six pages
			whole := len(r.logger.Lines("long"))
			answers := map[int]int{}
			for _, delay := range []time.Duration{5, 20, 60, 120} {
				r.logger.Until("ready", r.logger.Ready)
				asked := make(chan struct{})
				go func() { // ends with the request, at the latest at the test's end
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

// get asks without ending the test, for a goroutine of its own.
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

// TestStoragePluginFrozen stops the storage plugin's process: it is there, and says
// nothing.
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

// TestAggregatorPluginKilled kills the aggregator while it works, twice. What it had
// comes again from nsqd after the message timeout, and is known.
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

// TestAggregatorPluginFrozen stops the aggregator's process.
func TestAggregatorPluginFrozen(t *testing.T) {
	r := newRig(t, harness.MemoryEnv())
	r.begin()
	r.freeze("aggregator")
	r.finish()
	r.alwaysReadable()
}

// alwaysReadable fails the test if a read was answered with 503.
func (r *rig) alwaysReadable() {
	r.t.Helper()
	if got := r.reader.status(http.StatusServiceUnavailable); got.count > 0 {
		r.t.Errorf("%d reads were answered with 503", got.count)
	}
}
