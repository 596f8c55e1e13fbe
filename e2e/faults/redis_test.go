package faults

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/redistest"
)

// away is the time without Redis in these tests. It is longer than the host gives a request.
const away = 3500 * time.Millisecond

// unready waits until the host reports that it is not ready.
func (r *rig) unready() {
	r.t.Helper()
	r.logger.Until("the storage is not ready", func() bool { return !r.logger.Ready() })
	r.t.Logf("not ready: %s", r.logger.Plugin("storage").Reason)
}

// toldSo checks that reads got 503 while Redis was away.
func (r *rig) toldSo() {
	r.t.Helper()
	if r.asker.status(http.StatusServiceUnavailable).count == 0 {
		r.t.Error("no read was answered with 503")
	}
}

// TestRedisRestarted: if a Redis that persists each write is killed and started again, no line is
// lost.
func TestRedisRestarted(t *testing.T) {
	t.Parallel()
	redis := durableRedis(t)
	r := newRig(t, harness.RedisEnv(redis.Addr))
	r.begin()
	for range 2 {
		redis.Stop()
		r.unready()
		redis.Restart()
		began := time.Now()
		r.flowing()
		t.Logf("new lines of every app %s after the restart", time.Since(began))
	}
	r.finish()
	r.toldSo()
}

// TestRedisFrozen: if Redis's process stands still for a while, with its connections open, no line
// is lost.
func TestRedisFrozen(t *testing.T) {
	t.Parallel()
	redis := durableRedis(t)
	r := newRig(t, harness.RedisEnv(redis.Addr))
	r.begin()
	redis.Signal(syscall.SIGSTOP)
	r.unready()
	r.goOn(away)
	redis.Signal(syscall.SIGCONT)
	began := time.Now()
	r.flowing()
	t.Logf("new lines of every app %s after the thaw", time.Since(began))
	r.finish()
	r.toldSo()
	r.touched()
}

// TestRedisPaused: if Redis answers no client for a while, no line is lost.
func TestRedisPaused(t *testing.T) {
	t.Parallel()
	redis := durableRedis(t)
	r := newRig(t, harness.RedisEnv(redis.Addr))
	r.begin()
	redis.MustDo("CLIENT", "PAUSE", fmt.Sprint(away.Milliseconds()), "ALL")
	r.unready()
	r.flowing()
	r.finish()
	r.toldSo()
	r.touched()
}

// touched checks that the aggregator kept its messages by TOUCH while they waited longer than their
// timeout. nsqd timed none of them out, and none used up an attempt.
func (r *rig) touched() {
	r.t.Helper()
	if c := r.queue.Channel("logs", "consume"); c.TimedOut+c.Requeued > 0 {
		r.t.Errorf("nsqd timed out %d messages and requeued %d, want 0 and 0: the aggregator has to touch waiting messages", c.TimedOut, c.Requeued)
	}
}

// TestRedisFull: if Redis refuses writes for lack of memory, no line is lost, and kept lines can be
// read.
func TestRedisFull(t *testing.T) {
	t.Parallel()
	redis := durableRedis(t)
	r := newRig(t, harness.RedisEnv(redis.Addr))
	r.begin()
	redis.MustDo("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1")
	r.waiting("OOM")
	redis.MustDo("CONFIG", "SET", "maxmemory", "0")
	r.flowing()
	r.finish()
	r.alwaysReadable()
}

// TestRedisReadOnly: if Redis becomes a replica, which refuses writes, and a master again, no line
// is lost.
func TestRedisReadOnly(t *testing.T) {
	t.Parallel()
	redis := durableRedis(t)
	r := newRig(t, harness.RedisEnv(redis.Addr))
	r.begin()
	redis.MustDo("REPLICAOF", "127.0.0.1", "1") // nothing listens there
	r.waiting("READONLY")
	redis.MustDo("REPLICAOF", "NO", "ONE")
	r.flowing()
	r.finish()
	r.alwaysReadable()
}

// waiting returns once messages wait, appends were retried, and the host gives Redis's own reason.
func (r *rig) waiting(reason string) {
	r.t.Helper()
	r.logger.Until("messages wait", func() bool {
		m := r.logger.Metrics()
		return m["logger_messages_waiting"] > 0 && m["logger_append_retries_total"] > 2
	})
	r.goOn(time.Second)
	r.logger.Until("Redis' own reason is given: "+reason, func() bool {
		return strings.Contains(r.logger.Plugin("storage").Reason, reason)
	})
	r.t.Logf("messages wait: %s", r.logger.Plugin("storage").Reason)
	// With degraded=ok, a load balancer goes on sending readers to this host.
	if strict, lenient := r.logger.Status("/readyz"), r.logger.Status("/readyz?degraded=ok"); strict != http.StatusServiceUnavailable || lenient != http.StatusOK {
		r.t.Errorf("/readyz is %d and with degraded=ok %d, want 503 and 200", strict, lenient)
	}
}

// TestRedisPassword: if Redis does not accept the host's password, the host is not ready. Once
// Redis accepts it, the host is.
func TestRedisPassword(t *testing.T) {
	t.Parallel()
	const right, wrong = "right-horse", "wrong-horse"
	redis := redistest.Start(t, "--requirepass", right)
	r := newRig(t, harness.RedisEnv(redis.Addr), map[string]string{"DEIS_LOGGER_REDIS_PASSWORD": wrong})
	r.logger = harness.Launch(t, r.env...)
	r.publish(0, nil)
	r.asker = startAsker(t, r.logger.URL, apps, askEvery)
	r.logger.Until("the variable is named as the reason", func() bool {
		return strings.Contains(r.logger.Plugin("storage").Reason, "DEIS_LOGGER_REDIS_PASSWORD")
	})
	r.logger.Until("a read is told so", func() bool { return r.asker.status(http.StatusServiceUnavailable).count > 0 })
	if status := r.logger.Status("/readyz?degraded=ok"); status != http.StatusServiceUnavailable {
		t.Errorf("a logger that never was ready is taken for one: %d", status)
	}
	cmd := exec.Command("redis-cli", "-h", redis.Host, "-p", fmt.Sprint(redis.Port), "CONFIG", "SET", "requirepass", wrong)
	cmd.Env = append(os.Environ(), "REDISCLI_AUTH="+right)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	began := time.Now()
	r.flowing()
	t.Logf("new lines of every app %s after the correction", time.Since(began))
	r.finish()
}

// TestRedisConnectionsCut: if all connections to Redis are cut again and again, no line is lost or
// doubled. Some cuts come right after Redis executed a command, so that only its reply is lost.
func TestRedisConnectionsCut(t *testing.T) {
	t.Parallel()
	cut := newCutter(t, durableRedis(t).Addr)
	r := newRig(t, harness.RedisEnv(cut.addr()))
	r.begin()
	for range 10 {
		cut.cut()
		r.goOn(50 * time.Millisecond)
		cut.armed.Store(1)
		r.logger.Until("a reply is lost", func() bool { return cut.armed.Load() == 0 })
	}
	r.flowing()
	a := r.finish()
	r.logger.Until("the books say that what was stored is kept", func() bool {
		m := r.logger.Metrics()
		return m["logger_messages_stored_total"] == float64(a.lines) && m["logger_kept_entries"] == float64(a.lines)
	})
}

// cutter relays to Redis and can lose replies.
type cutter struct {
	*relay
	armed atomic.Int32 // the number of replies to lose, each with its connection
}

func newCutter(t *testing.T, redis string) *cutter {
	t.Helper()
	c := &cutter{}
	c.relay = newRelay(t, redis, func(to, from net.Conn, toServer bool) {
		buf := make([]byte, 64<<10)
		for {
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			if !toServer && c.take() {
				return
			}
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	return c
}

func (c *cutter) take() bool {
	for {
		n := c.armed.Load()
		if n == 0 {
			return false
		}
		if c.armed.CompareAndSwap(n, n-1) {
			return true
		}
	}
}
