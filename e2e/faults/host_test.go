package faults

import (
	"fmt"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
)

// TestHostKilled: if the host is killed and started again with the same run folder, no line is
// missing and none is there twice. The new host takes up what the memory storage has. Messages that
// were in flight come again, and the storage recognises those that it has stored.
func TestHostKilled(t *testing.T) {
	for name, env := range storages {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, env(t))
			r.every = busy
			r.begin()
			r.goOn(time.Second)
			r.asker.expect(true)
			lived := r.logger.Kill()
			t.Logf("the last plugin process ended %s after the host", lived)
			if lived > time.Second {
				t.Errorf("a plugin process lived %s longer than its host, want at most 1 s", lived)
			}
			began := time.Now()
			r.launch()
			r.logger.Until("ready", r.logger.Ready)
			t.Logf("ready again after %s", time.Since(began))
			r.onlyFolder()
			r.flowing()
			r.finish() // the rig's end also checks that the run folder is empty
		})
	}
}

// TestHostKilledWhileMessagesWait: if a killed host had waiting messages, nsqd delivers them again.
// The storage plugin is frozen, which makes them wait. It cannot notice the host's end, but ends
// nevertheless, and leaves nothing locked that the next host needs.
func TestHostKilledWhileMessagesWait(t *testing.T) {
	for name, env := range storages {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, env(t))
			r.begin()
			r.asker.expect(true)
			r.signal("storage", syscall.SIGSTOP)
			r.waits()
			if lived := r.logger.Kill(); lived > time.Second {
				t.Errorf("a plugin process lived %s longer than its host, want at most 1 s", lived)
			}
			r.launch()
			r.flowing()
			r.finish()
		})
	}
}

// TestHostStoppedWhileMessagesWait: if a host stops in order while messages wait in it, they go
// back to nsqd, and then to the next host. Redis refuses writes, which makes them wait.
func TestHostStoppedWhileMessagesWait(t *testing.T) {
	redis := durableRedis(t)
	r := newRig(t, harness.RedisEnv(redis.Addr))
	r.begin()
	redis.MustDo("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1")
	r.waits()
	r.asker.expect(true)
	r.stop(false)
	r.launch()
	redis.MustDo("CONFIG", "SET", "maxmemory", "0")
	r.flowing()
	r.finish()
}

// waits returns once messages wait in the host, and further ones in the aggregator.
func (r *rig) waits() {
	r.t.Helper()
	r.logger.Until("messages wait in the host", func() bool { return r.logger.Metrics()["logger_messages_waiting"] > 0 })
	r.logger.Until("more messages wait in the aggregator", func() bool { return r.queue.Channel("logs", "consume").InFlight > 4*apps })
}

// onlyFolder checks that the run folder has one folder: nothing is left of an earlier host.
func (r *rig) onlyFolder() {
	r.t.Helper()
	if all, _ := filepath.Glob(filepath.Join(r.logger.RunDir, "*")); len(all) != 1 {
		r.t.Errorf("in the run folder: %q, want the host's own folder alone", all)
	}
}

// TestHostStopped: if the host stops in order and starts again, Redis has all lines. The memory
// storage ends with its host, so it has only the lines that were not acknowledged before the stop.
func TestHostStopped(t *testing.T) {
	for name, env := range storages {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, env(t))
			r.every = busy
			r.begin()
			r.goOn(time.Second)
			r.asker.expect(true)
			r.stop(name == "memory")
			r.launch()
			r.onlyFolder()
			r.flowing()
			r.finish()
		})
	}
}

// stop ends the host by SIGTERM. If giveUp is set, the storage ends with the host, and the lines
// that the host acknowledged may be missing.
func (r *rig) stop(giveUp bool) {
	r.t.Helper()
	began := time.Now()
	r.logger.Signal(syscall.SIGTERM)
	r.logger.Ended(0)
	took := time.Since(began)
	r.t.Logf("stopped within %s", took)
	// AGGREGATOR_STOP_TIMEOUT_SEC takes one second; the rest is for what ends before and after it.
	if longest := 4 * time.Second; took > longest {
		r.t.Errorf("the stop took %s, want at most %s", took, longest)
	}
	if !giveUp {
		return
	}
	r.asker.forget()
	if r.givenUp == nil {
		r.givenUp = map[lineID]bool{}
	}
	for id, d := range r.tap.deliveries() {
		if d.finished {
			r.givenUp[id] = true
		}
	}
}

// TestClocksJump: nsqd's clock, which gives the time of publishing, jumps ahead and back by a
// millisecond, a day and 30 years. A time in the future counts as the time of arrival, so the log
// goes on. A line is out of order by no more than the time that messages take from nsqd to the
// host.
func TestClocksJump(t *testing.T) {
	const kept, off = 300, 150 // lines of each app, which come at 200 a second
	r := newRig(t, harness.MemoryEnv(), map[string]string{"NUMBER_OF_LINES": strconv.Itoa(kept)})
	jumps := []time.Duration{0, 24 * time.Hour, 0, time.Millisecond, 0, 30 * 365 * 24 * time.Hour}
	n := 0 // only one goroutine calls shift, since nsqd has one consumer
	shift := func(at int64) int64 {
		n++
		return at + int64(jumps[n/50%len(jumps)])
	}
	r.tap.shift.Store(&shift)
	r.every = busy
	r.start()
	r.publish(0, nil) // without an asker, which expects the exact order
	for range 10 {
		r.goOn(500 * time.Millisecond)
		r.flowing()
	}
	r.pub.end()
	r.settle()
	issued := int(r.pub.next.Load())
	for app := range apps {
		numbers, err := parseLog(app, r.logger.Lines(fmt.Sprintf("app-%d", app)))
		if err != nil || len(numbers) != kept {
			t.Fatalf("app-%d: %d lines, %v; want %d", app, len(numbers), err, kept)
		}
		has := map[int]bool{}
		for i, number := range numbers {
			if place := issued - kept + i; number < place-off || number > place+off || has[number] {
				t.Errorf("app-%d: line %d in the place of line %d, or twice", app, number, place)
			}
			has[number] = true
		}
		for number := issued - kept + off; number < issued; number++ {
			if !has[number] {
				t.Errorf("app-%d: line %d of %d is missing", app, number, issued)
			}
		}
	}
}

// TestNsqdRestarted: after nsqd restarts with what it had queued, no line is lost. Reads work all
// the while.
func TestNsqdRestarted(t *testing.T) {
	r := newRig(t, harness.MemoryEnv())
	r.begin()
	for range 2 {
		r.queue.Stop()
		r.goOn(300 * time.Millisecond)
		r.queue.Restart()
		began := time.Now()
		r.flowing()
		t.Logf("new lines of every app %s after the restart", time.Since(began))
	}
	r.finish()
	r.alwaysReadable()
}

// TestNsqdConnectionsCut: if the connection to nsqd is cut again and again, no line is lost or
// doubled.
func TestNsqdConnectionsCut(t *testing.T) {
	r := newRig(t, harness.MemoryEnv())
	r.begin()
	for range 10 {
		r.tap.cutNext.Store(true)
		r.goOn(150 * time.Millisecond)
	}
	r.flowing()
	if a := r.finish(); a.again == 0 {
		t.Error("nothing was delivered again: what was in flight at a cut has to be")
	}
	r.alwaysReadable()
}
