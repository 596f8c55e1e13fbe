package faults

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/nsqio/nsq/nsqd"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/nsqtest"
)

const (
	apps = 20
	// publishEvery and readEvery bound the load to 800 lines and 200 requests a second. A test
	// whose fault has to hit messages in flight uses busy instead of publishEvery: 4000 lines a
	// second.
	publishEvery = 25 * time.Millisecond
	busy         = 5 * time.Millisecond
	askEvery     = 5 * time.Millisecond
	// maxInFlight bounds the messages that nsqd delivers again after a consumer dies.
	maxInFlight = 500
)

// rig holds a running system with a publisher, an asker, and a tap between the host and nsqd.
type rig struct {
	t      *testing.T
	env    []map[string]string
	queue  *nsqtest.Server
	tap    *tap
	logger *harness.Logger
	pub    *publisher
	asker  *asker

	every   time.Duration // the time between two lines of an app
	repeats bool          // lines may be kept twice: nsqd may have forgotten that it delivered them
	hosts   int           // the number of hosts launched so far
	// elsewhere counts the plugins that the host has not started.
	elsewhere int
	givenUp   map[lineID]bool
	probes    int
}

// newRig starts nsqd and the tap. All hosts of the rig have the same run folder and address, also
// after one was killed.
func newRig(t *testing.T, envs ...map[string]string) *rig {
	t.Helper()
	return newRigTuned(t, nil, envs...)
}

func newRigTuned(t *testing.T, tune func(*nsqd.Options), envs ...map[string]string) *rig {
	t.Helper()
	r := &rig{t: t, every: publishEvery, queue: nsqtest.Start(t, func(o *nsqd.Options) {
		if tune != nil {
			tune(o)
		}
	})}
	r.queue.CreateChannel("logs", "consume")
	r.tap = newTap(t, r.queue.TCPAddr())
	r.env = append([]map[string]string{harness.NSQEnv(r.tap.addr()), {
		"LOGGER_LISTEN_ADDR": harness.FreeAddr(t), "LOGGER_RUN_DIR": harness.RunDir(t),
		"NUMBER_OF_LINES": "1000000", "NSQ_MSG_TIMEOUT_SECONDS": "2", "NSQ_MAX_IN_FLIGHT": fmt.Sprint(maxInFlight),
	}}, envs...)
	return r
}

// start launches the host and waits until it is ready.
func (r *rig) start() {
	r.hosts++
	r.logger = harness.Start(r.t, r.env...)
}

// launch starts a host after the last one has ended. From now on the asker expects answers.
func (r *rig) launch() {
	r.hosts++
	r.logger = harness.Launch(r.t, r.env...)
	r.asker.expect(false)
}

// begin starts the publisher and the asker, and returns once every app has lines.
func (r *rig) begin() {
	r.t.Helper()
	if r.logger == nil {
		r.start()
	}
	r.publish(0, nil)
	r.asker = startAsker(r.t, r.logger.URL, apps, askEvery)
	r.flowing()
}

func (r *rig) publish(from int, strange func(int) [][]byte) {
	r.pub = publish(r.t, r.queue.HTTPAddr(), apps, from, r.every, strange)
}

// flowing returns once every app keeps a line that was published after the call.
func (r *rig) flowing() {
	r.t.Helper()
	after := int(r.pub.next.Load())
	for app := range apps {
		r.logger.Until(fmt.Sprintf("new lines of app-%d are kept", app), func() bool {
			status, _, body := r.logger.Do(http.MethodGet, fmt.Sprintf("/logs/app-%d?log_lines=1", app))
			if status != http.StatusOK {
				return false
			}
			numbers, err := parseLog(app, string(body))
			return err == nil && len(numbers) == 1 && numbers[0] >= after
		})
	}
}

// goOn lets the system run under load for a while. The test is about what happens meanwhile, so
// there is no condition to wait for.
func (r *rig) goOn(d time.Duration) {
	select {
	case <-time.After(d):
	case <-r.t.Context().Done():
	}
}

// finish stops the publisher, waits until nsqd has no message left, and returns the audit.
func (r *rig) finish() audit {
	r.t.Helper()
	r.pub.end()
	m := r.settle()
	accepted := r.pub.accepted()
	a := r.take(accepted)
	r.t.Logf("%s; received %.0f, stored %.0f, duplicates %.0f, rejected %.0f; reads:%s", a,
		m["logger_messages_received_total"], m["logger_messages_stored_total"], m["logger_messages_duplicate_total"], m.Rejected(), r.asker)
	if len(accepted) == 0 {
		r.t.Error("nothing was published")
	}
	if len(a.missing) > 0 {
		r.t.Errorf("%d lines are missing, such as %v", len(a.missing), a.missing[:min(10, len(a.missing))])
	}
	if len(a.unknown) > 0 {
		r.t.Errorf("%d lines were never published, such as %v", len(a.unknown), a.unknown[:min(10, len(a.unknown))])
	}
	if len(a.repeated) > 0 && !r.repeats {
		r.t.Errorf("%d lines are repeated, such as %v", len(a.repeated), a.repeated[:min(10, len(a.repeated))])
	}
	if len(a.disordered) > 0 {
		r.t.Errorf("%d lines are out of the order of publishing, such as %v", len(a.disordered), a.disordered[:min(10, len(a.disordered))])
	}
	for _, wrong := range r.asker.faulty() {
		r.t.Errorf("asker: %s", wrong)
	}
	if n, want := len(r.logger.Plugins()), 2-r.elsewhere; n != want {
		r.t.Errorf("%d plugin processes at the end, want %d", n, want)
	}
	if r.t.Failed() {
		r.t.Logf("the host's last lines:\n%s", r.logger.Log())
	}
	return a
}

// settle waits until no message is under way and the books balance.
func (r *rig) settle() (m harness.Metrics) {
	r.t.Helper()
	r.logger.Until("nsqd has nothing left", func() bool {
		return r.queue.Drained("logs", "consume")
	})
	r.logger.Until("the books balance", func() bool {
		m = r.logger.Metrics()
		return m["logger_messages_waiting"] == 0 && m.Balance() == 0
	})
	r.logger.Until("ready", r.logger.Ready)
	if r.hosts == 1 { // a second host has not counted what the first one stored
		r.logger.Until("what was stored is kept, evicted or deleted", func() bool {
			m = r.logger.Metrics()
			return m.StoredBalance() == 0
		})
	}
	return m
}

// take audits the logs. It tries again while lines are missing: the last messages may be between
// nsqd's topic and its channel, where nsqd counts none of them.
func (r *rig) take(accepted map[int]bool) (a audit) {
	r.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for {
		logs := make([][]int, apps)
		for app := range logs {
			numbers, err := parseLog(app, r.logger.Lines(fmt.Sprintf("app-%d", app)))
			if err != nil {
				r.t.Fatalf("app-%d: %v", app, err)
			}
			logs[app] = numbers
		}
		a = take(apps, logs, accepted, int(r.pub.next.Load()), r.tap.deliveries(), r.givenUp)
		if len(a.missing) == 0 || time.Now().After(deadline) {
			return a
		}
		r.goOn(50 * time.Millisecond)
		r.settle()
	}
}

// recovery measures the time from a fault until a read is answered, and until a line published
// after it can be read. It publishes several such lines, one by one. A dead consumer may have had
// the first in flight, which then comes late.
func (r *rig) recovery(fault func()) (reads, writes time.Duration) {
	r.t.Helper()
	fault()
	began := time.Now()
	after := r.probes
	r.logger.Until("reads and writes work again", func() bool {
		r.queue.Publish("logs", harness.Message("probe", fmt.Sprintf("probe %d", r.probes)))
		r.probes++
		if reads == 0 && r.logger.Status("/logs/app-0") == http.StatusOK {
			reads = time.Since(began)
		}
		_, _, body := r.logger.Do(http.MethodGet, "/logs/probe?log_lines=1")
		var number int
		_, err := fmt.Sscanf(string(body), "2026-01-02T03:04:05+00:00 probe[web.v1.abcde]: probe %d", &number)
		return reads > 0 && err == nil && number >= after
	})
	return reads, time.Since(began)
}

// soon checks that a recovery took at most a second. Under the race detector it allows two: the
// host, which connects to the new plugin, is several times slower.
func (r *rig) soon(what string, took ...time.Duration) {
	r.t.Helper()
	limit := time.Second
	if harness.Race {
		limit = 2 * time.Second
	}
	r.t.Logf("%s: reads and writes again after %v", what, took)
	for _, d := range took {
		if d > limit {
			r.t.Errorf("%s: it took %s, want at most %s", what, d, limit)
		}
	}
}
