package faults

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nsqio/nsq/nsqd"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/internal/testwait"
)

// These tests ask for the promise of a log buffer: each app's log consists of exactly the lines
// that were published last, in the order of publishing. None is missing and none is there twice,
// whatever the queue did. nsqd has its default settings. So it delivers a backlog above 10,000
// messages from memory and disk at once, and late what a dead consumer had in flight.

// promise holds a running system and the sizes of its test.
type promise struct {
	t      *testing.T
	apps   int
	lines  int           // NUMBER_OF_LINES
	outage time.Duration // at 5,000 lines/s
	burst  int           // lines
	flow   time.Duration // at 50,000 lines/s
	late   int           // NSQ_MSG_TIMEOUT_SECONDS: after it, messages in flight come again

	queue *nsqtest.Server
	hosts []*harness.Logger

	client publisher
	next   int // the number of each app's next line
	// sent holds for each number the time span in which its lines were published.
	sent []span
	// off counts the lines near the old end of a log that are wrongly kept or missing. Within
	// oldEnd that is allowed.
	off int
}

type span struct{ from, to time.Time }

// oldEnd is the precision of a log at its old end.
const oldEnd = 100 * time.Millisecond

// newPromise starts an nsqd. With -full the sizes are those of the measurements in
// docs/reliability.md.
func newPromise(t *testing.T) *promise {
	t.Helper()
	p := &promise{t: t, apps: 20, lines: 1000, outage: 5 * time.Second, burst: 60_000, flow: 1500 * time.Millisecond, late: 2}
	if *full {
		p.apps, p.outage, p.burst, p.flow, p.late = 50, 20*time.Second, 300_000, 6*time.Second, 10
	}
	p.queue = nsqtest.Start(t, func(o *nsqd.Options) {
		defaults := nsqd.NewOptions()
		o.QueueScanInterval, o.QueueScanRefreshInterval, o.MaxBodySize = defaults.QueueScanInterval, defaults.QueueScanRefreshInterval, defaults.MaxBodySize
	})
	p.queue.CreateChannel("logs", "consume")
	p.client = publisher{
		url:    "http://" + p.queue.HTTPAddr() + "/mpub?topic=logs&binary=true",
		client: &http.Client{Transport: &http.Transport{}, Timeout: 30 * time.Second},
	}
	t.Cleanup(p.client.client.CloseIdleConnections)
	return p
}

// start adds hosts that consume from the nsqd at the address.
func (p *promise) start(hosts int, nsqd string, envs ...map[string]string) {
	p.t.Helper()
	for range hosts {
		p.hosts = append(p.hosts, harness.Start(p.t, append([]map[string]string{harness.NSQEnv(nsqd), {
			"NUMBER_OF_LINES": fmt.Sprint(p.lines), "NSQ_MSG_TIMEOUT_SECONDS": fmt.Sprint(p.late),
		}}, envs...)...))
	}
}

// publish publishes that many lines, one of each app in turn, and returns when nsqd has accepted
// them. The rate is in lines/s; 0 means as fast as nsqd accepts them. Only one call runs at a time,
// on one connection, so that lines are published in the order of their numbers.
func (p *promise) publish(lines, rate int) {
	began := time.Now()
	for done := 0; done < lines; {
		var bodies [][]byte
		for len(bodies) < 500 && done+len(bodies) < lines {
			for app := range p.apps {
				bodies = append(bodies, harness.Numbered(p.next, app))
			}
			p.next++
		}
		from := time.Now()
		if !p.client.send(bodies) {
			p.t.Error("nsqd did not take what was published")
			return
		}
		for len(p.sent) < p.next {
			p.sent = append(p.sent, span{from, time.Now()})
		}
		if done += len(bodies); rate > 0 {
			due := began.Add(time.Duration(done) * time.Second / time.Duration(rate))
			select {
			case <-time.After(time.Until(due)):
			case <-p.t.Context().Done():
				return
			}
		}
	}
}

// publishing publishes in the background for the duration d. The result waits for its end.
func (p *promise) publishing(d time.Duration, rate int) (wait func()) {
	done := make(chan struct{})
	go func() { // ends once all is published, at the test's end at the latest
		defer close(done)
		p.publish(int(d.Seconds()*float64(rate)), rate)
	}()
	return func() { <-done }
}

// backlog checks that nsqd holds more messages than it keeps in memory. A smaller backlog would
// come in order.
func (p *promise) backlog() {
	p.t.Helper()
	if c := p.queue.Channel("logs", "consume"); c.TopicDepth+c.Depth <= nsqd.NewOptions().MemQueueSize {
		p.t.Errorf("%d messages wait in nsqd, want more than it keeps in memory", c.TopicDepth+c.Depth)
	}
}

// goOn lets the system run for a while.
func (p *promise) goOn(d time.Duration) { (&rig{t: p.t}).goOn(d) }

// until waits until ok returns true, for at most five minutes. Under the race detector a large
// backlog takes long.
func (p *promise) until(what string, ok func() bool) {
	p.t.Helper()
	testwait.Within(p.t, 5*time.Minute, what, ok)
}

// kept waits until all lines are stored, and checks each app's log at each host.
func (p *promise) kept() {
	p.t.Helper()
	began := time.Now()
	p.until("nsqd has nothing left", func() bool {
		return p.queue.Channel("logs", "consume").Messages == uint64(p.next*p.apps) && p.queue.Drained("logs", "consume")
	})
	for _, l := range p.hosts {
		p.until("nothing waits in a host", func() bool {
			m := l.Metrics()
			return m["logger_messages_waiting"] == 0 && m.Balance() == 0
		})
		p.until("ready", l.Ready)
	}
	p.t.Logf("%d lines of %d apps; all stored %s after the last one", p.next*p.apps, p.apps, time.Since(began).Round(time.Millisecond))
	for _, l := range p.hosts {
		for app := range p.apps {
			p.exact(app, l)
		}
	}
	p.t.Logf("%d lines are off by less than %s at the old end", p.off, oldEnd)
}

// exact checks an app's log in two forms: as the controller reads it, and with the times of
// publishing.
func (p *promise) exact(app int, l *harness.Logger) {
	p.t.Helper()
	name := fmt.Sprintf("app-%d", app)
	numbers, err := parseLog(app, l.Lines(name))
	if err != nil {
		p.t.Errorf("%s: %v", name, err)
		return
	}
	if wrong := p.judge(numbers); wrong != "" {
		p.t.Errorf("%s: %s", name, wrong)
	}
	status, _, body := l.Do(http.MethodGet, "/v1/apps/"+name+"/logs?lines=-1&format=ndjson")
	if status != http.StatusOK {
		p.t.Errorf("%s: /v1 answers %d: %.200s", name, status, body)
		return
	}
	var before time.Time
	numbers = numbers[:0]
	for line := range bytes.Lines(body) {
		var record struct {
			Published *time.Time
			Message   string
		}
		if err := json.Unmarshal(line, &record); err != nil {
			p.t.Errorf("%s: %v: %.200s", name, err, line)
			return
		}
		var n int
		if _, err := fmt.Sscanf(record.Message, "number %d", &n); err != nil {
			continue // a record without a line, such as the end
		}
		if record.Published == nil || record.Published.Before(before) {
			p.t.Errorf("%s: line %d was published at %v, and stands behind one of %v", name, n, record.Published, before)
			return
		}
		before = *record.Published
		numbers = append(numbers, n)
	}
	if wrong := p.judge(numbers); wrong != "" {
		p.t.Errorf("%s: /v1: %s", name, wrong)
	}
}

// judge returns what is wrong with the numbers of an app's log. It returns "" if nothing is.
func (p *promise) judge(numbers []int) string {
	oldest := max(0, p.next-p.lines)
	has := map[int]int{}
	disordered := 0
	for i, n := range numbers {
		has[n]++
		if i > 0 && n < numbers[i-1] {
			disordered++
		}
	}
	var missing, twice, old []int
	for n := oldest; n < p.next; n++ {
		switch {
		case has[n] > 0:
		case p.atOldEnd(oldest, n):
			p.off++
		default:
			missing = append(missing, n)
		}
	}
	for n, times := range has {
		if times > 1 {
			twice = append(twice, n)
		}
		if n < oldest && !p.atOldEnd(n, oldest) {
			old = append(old, n)
		}
	}
	if len(missing)+len(twice)+len(old)+disordered == 0 && len(numbers) == p.next-oldest {
		return ""
	}
	some := func(n []int) []int { return n[:min(5, len(n))] }
	return fmt.Sprintf("%d lines, want %d to %d; %d missing %v, %d twice %v, %d not among the newest %v, %d out of order",
		len(numbers), oldest, p.next-1, len(missing), some(missing), len(twice), some(twice), len(old), some(old), disordered)
}

// atOldEnd reports whether the earlier line may have been published within oldEnd of the later one.
func (p *promise) atOldEnd(one, later int) bool {
	return len(p.sent) > later && p.sent[later].from.Sub(p.sent[one].to) <= oldEnd
}

// TestNewestAfterAnOutageOfTheQueue: the promise holds after the connection to nsqd hung with
// messages in flight.
func TestNewestAfterAnOutageOfTheQueue(t *testing.T) {
	p := newPromise(t)
	proxy := nsqtest.NewProxy(t, p.queue.TCPAddr())
	p.start(1, proxy.Addr(), harness.MemoryEnv())
	wait := p.publishing(p.outage+1500*time.Millisecond, 5000)
	p.goOn(time.Second)
	proxy.Freeze()
	p.goOn(p.outage)
	p.backlog()
	proxy.Thaw()
	wait()
	p.kept()
}

// TestNewestAfterAnOutageOfRedis: the promise holds after the Redis of two hosts was frozen while
// apps went on writing.
func TestNewestAfterAnOutageOfRedis(t *testing.T) {
	p := newPromise(t)
	redis := redistest.Start(t)
	p.start(2, p.queue.TCPAddr(), harness.RedisEnv(redis.Addr))
	wait := p.publishing(p.outage+1500*time.Millisecond, 5000)
	p.goOn(time.Second)
	redis.Signal(syscall.SIGSTOP)
	p.goOn(p.outage)
	p.backlog()
	redis.Signal(syscall.SIGCONT)
	wait()
	p.kept()
}

// TestNewestAfterABurst: the promise holds after lines were published as fast as nsqd accepts them.
// The consumers start when two thirds are published: otherwise they might keep up, and there would
// be no backlog.
func TestNewestAfterABurst(t *testing.T) {
	for name, c := range map[string]struct {
		hosts int
		env   func(t *testing.T) map[string]string
	}{
		"memory":             {1, storages["memory"]},
		"redis, three hosts": {3, storages["redis"]},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPromise(t)
			p.start(c.hosts, p.queue.TCPAddr(), c.env(t))
			p.queue.Post("/channel/pause?topic=logs&channel=consume")
			p.publish(p.burst*2/3, 0)
			p.backlog()
			p.queue.Post("/channel/unpause?topic=logs&channel=consume")
			p.publish(p.burst/3, 0)
			p.kept()
		})
	}
}

// TestNewestAfterDeathsOfTheAggregator: the promise holds after the nsq plugin was killed, frozen,
// and killed again just before the last lines. Messages that were in flight to the last one are
// among the newest, and come last.
func TestNewestAfterDeathsOfTheAggregator(t *testing.T) {
	for name, env := range storages {
		t.Run(name, func(t *testing.T) {
			p := newPromise(t)
			p.start(1, p.queue.TCPAddr(), env(t))
			wait := p.publishing(p.flow, 50_000)
			r := &rig{t: t, logger: p.hosts[0]}
			for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
				p.goOn(p.flow / 3)
				r.replaced("aggregator", r.signal("aggregator", sig))
			}
			wait()
			wait = p.publishing(500*time.Millisecond, 50_000)
			p.goOn(250 * time.Millisecond)
			r.replaced("aggregator", r.signal("aggregator", syscall.SIGKILL))
			wait()
			p.kept()
		})
	}
}

// TestNewestAfterTheDeathOfAHost: the promise holds after one of three hosts was killed while lines
// flowed. Messages that were in flight to it are among the newest.
func TestNewestAfterTheDeathOfAHost(t *testing.T) {
	p := newPromise(t)
	p.start(3, p.queue.TCPAddr(), storages["redis"](t))
	rate := float64(p.apps*p.lines*3/2) / (2 * p.flow.Seconds()) // fills each log one and a half times
	wait := p.publishing(2*p.flow, int(rate))
	p.goOn(p.flow)
	p.hosts[0].Kill()
	p.hosts = p.hosts[1:]
	wait()
	p.kept()
}

// TestJudge: judge finds each kind of mistake.
func TestJudge(t *testing.T) {
	p := &promise{lines: 3, next: 5}
	for n := range p.next { // 50 ms apart
		at := time.Unix(0, int64(n)*int64(oldEnd)/2)
		p.sent = append(p.sent, span{at, at})
	}
	for _, numbers := range [][]int{{2, 3, 4}, {1, 3, 4}, {0, 3, 4}} {
		if got := p.judge(numbers); got != "" {
			t.Errorf("%v: %q, and it is off by no more than 100 ms", numbers, got)
		}
	}
	for _, numbers := range [][]int{{3, 4}, {1, 2, 3, 4}, {2, 4}} {
		if p.judge(numbers) == "" {
			t.Errorf("%v: judge finds nothing wrong, want a complaint", numbers)
		}
	}
	p.sent = nil
	for want, numbers := range map[string][]int{
		"":                        {2, 3, 4},
		"1 missing [3]":           {2, 4},
		"1 twice [4]":             {2, 3, 4, 4},
		"1 not among the newest":  {1, 2, 3, 4},
		"1 out of order":          {2, 4, 3},
		"3 missing [2 3 4]":       {},
		"1 missing [2], 0 twice ": {1, 3, 4},
	} {
		if got := p.judge(numbers); (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%v: %q, want %q", numbers, got, want)
		}
	}
}
