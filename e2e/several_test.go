package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/internal/testrun"
)

// severalTailer follows several apps over one connection at a time. It resumes each connection by
// the one cursor of all apps. A tailer for each app checks the records of that app.
type severalTailer struct {
	tailer // tailer holds the connection's state; its app is a pattern
	of     map[string]*tailer
	since  string // with format "few": the places of the entries since the last cursor
}

func newSeveralTailer(base, app, format string) *severalTailer {
	return &severalTailer{tailer: *newTailer(base, app, format, transport()), of: map[string]*tailer{}}
}

// take passes a record to the tailer of its app.
func (c *severalTailer) take(r severalRecord) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at := r.place(); at != "" || c.format != "few" {
		c.cursor, c.since = at, ""
	} else {
		c.since += "," + r.App + "=" + r.Place
		r.Cursor = r.Place
	}
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
	App, Place string
}

func (r *severalRecord) place() string {
	if r.Type == "gap" {
		return r.To
	}
	return r.Cursor
}

// run tails until ctx ends. If cuts is set, it also cuts its connections at random moments.
func (c *severalTailer) run(ctx context.Context) {
	c.again(ctx, func() time.Duration { return 200*time.Millisecond + rand.N(2*time.Second) }, c.connect)
}

func (c *severalTailer) connect(ctx context.Context) {
	c.mu.Lock()
	base, cursor := c.base, c.cursor+c.since
	c.mu.Unlock()
	query := url.Values{"lines": {"-1"}, "format": {c.format}, "app": strings.Split(c.app, " ")}
	method, body := http.MethodGet, ""
	if c.format == "few" {
		method = http.MethodPost
		query.Set("format", "ndjson")
		query.Set("cursors", "few")
	}
	if cursor != "" && c.format != "sse" {
		query.Set("after", cursor)
	}
	target := base + "/v1/tail?" + query.Encode()
	if method == http.MethodPost {
		target, body = base+"/v1/tail", query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(body))
	if err != nil {
		c.blame("%v", err)
		return
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if cursor != "" && c.format == "sse" {
		req.Header.Set("Last-Event-ID", cursor)
	}
	data := ""
	c.scan(req, func(line string) bool {
		if c.format == "sse" { // an event counts once its blank line has come
			if rest, ok := strings.CutPrefix(line, "data: "); ok {
				data = rest
			}
			if line != "" || data == "" {
				return true
			}
			line, data = data, ""
		}
		var r severalRecord
		if json.Unmarshal([]byte(line), &r) != nil {
			return false // the record was cut
		}
		c.take(r)
		return true
	})
}

// reached reports whether all apps are at the last line, or a record was wrong, so that the wait
// can end.
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

// TestTailOfSeveralApps: a tail of 20 apps over one connection gets each line of each app once and
// in order. Meanwhile apps join, the storage plugin is killed and frozen, and connections are cut
// at any byte.
func TestTailOfSeveralApps(t *testing.T) {
	const apps = 20
	for name, env := range harness.Storages {
		t.Run(name, func(t *testing.T) {
			queue := harness.NewQueue(t)
			l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), env(t))
			all := []*severalTailer{ // they begin before there is an app
				newSeveralTailer(l.URL, "*", "ndjson"), newSeveralTailer(l.URL, "app-1* app-0 app-2,app-3 app-*", "sse"),
				newSeveralTailer(l.URL, "*", "few"),
				newSeveralTailer(l.URL, "app-*", "few"), newSeveralTailer(l.URL, "*", "sse"),
			}
			all[3].cuts, all[4].cuts = true, true
			stop := tails(t, all)
			last := 0
			publish := func(n int) {
				for range n {
					last++
					numbers(queue, apps, last, last)
					time.Sleep(time.Millisecond) // gives the cuts time to happen between lines
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
			_ = syscall.Kill(frozen, syscall.SIGCONT) // fails if the host has killed it already
			publish(100)
			settleSeveral(t, l, all, apps, uint64(last))
			for _, c := range all[:3] {
				if c.connections != 1 {
					t.Errorf("%s: %d connections: the plugin's end was noticed", c.format, c.connections)
				}
			}

			stop()
			publish(50)
			l.Settled(last * apps)
			stop = tails(t, all)
			settleSeveral(t, l, all, apps, uint64(last))
			l.Signal(syscall.SIGTERM)
			l.Ended(0)
			stop()
			for _, c := range all[:3] {
				if len(c.ends) == 0 || c.ends[len(c.ends)-1] != "stopping" {
					t.Errorf("%s: its tail ended with %q, want stopping", c.format, c.ends)
				}
			}
		})
	}
}

// TestTailOfSeveralAppsAtAnotherHost: the cursor of all apps is valid at any host of the same
// storage, even after its own host was killed.
func TestTailOfSeveralAppsAtAnotherHost(t *testing.T) {
	const apps = 20
	redis, queue := redistest.Start(t), harness.NewQueue(t)
	storage := harness.RedisEnv(redis.Addr)
	a := harness.Start(t, harness.NSQEnv(harness.NewQueue(t).TCPAddr()), storage)
	b := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), storage)
	all := []*severalTailer{newSeveralTailer(a.URL, "app-*", "ndjson"), newSeveralTailer(a.URL, "*", "sse")}
	stop := tails(t, all)
	numbers(queue, apps, 1, 100)
	settleSeveral(t, a, all, apps, 100)
	numbers(queue, apps, 101, 200)
	a.Kill()
	stop()
	for _, c := range all {
		c.base = b.URL
	}
	numbers(queue, apps, 201, 250)
	tails(t, all)
	settleSeveral(t, b, all, apps, 250)
}

// TestHistoryOfSeveralApps: the newest lines of all apps together are those that were published
// last. A tail from the cursor of any of them goes on with the next line.
func TestHistoryOfSeveralApps(t *testing.T) {
	const apps, each = 20, 50
	for name, env := range harness.Storages {
		t.Run(name, func(t *testing.T) {
			queue := harness.NewQueue(t)
			l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), env(t))
			numbers(queue, apps, 1, each)
			l.Settled(apps * each)
			ask := func(query string) (records []severalRecord) {
				t.Helper()
				status, _, body := l.Do(http.MethodGet, "/v1/logs?app=app-*&format=ndjson&"+query)
				if status != http.StatusOK {
					t.Fatalf("%s: %d %s", query, status, body)
				}
				for line := range strings.Lines(string(body)) {
					var r severalRecord
					if err := json.Unmarshal([]byte(line), &r); err != nil {
						t.Fatal(err)
					}
					records = append(records, r)
				}
				return records
			}
			all := ask("lines=-1")
			if len(all) != apps*each {
				t.Fatalf("%d lines, want %d", len(all), apps*each)
			}
			for i := range all {
				if want := fmt.Sprintf("number %d", i/apps+1); all[i].Message != want {
					t.Fatalf("line %d is %q of %s, want %q: the order of publishing", i, all[i].Message, all[i].App, want)
				}
			}
			for _, lines := range []int{1, 19, 20, 21, 300} {
				if got := ask(fmt.Sprintf("lines=%d", lines)); fmt.Sprint(texts(got)) != fmt.Sprint(texts(all[len(all)-lines:])) {
					t.Errorf("the newest %d: %q", lines, texts(got))
				}
			}
			last := ask("lines=100")
			for i := range last {
				if rest := ask("lines=-1&after=" + last[i].Cursor); fmt.Sprint(texts(rest)) != fmt.Sprint(texts(last[i+1:])) {
					t.Fatalf("behind line %d of 100: %q", i, texts(rest))
				}
			}
		})
	}
}

func texts(records []severalRecord) (all []string) {
	for _, r := range records {
		all = append(all, r.App+" "+r.Message)
	}
	return all
}

// TestCLIOfSeveralApps: a tail of 20 apps by a pattern prints each line once, although the storage
// plugin is killed and the host is replaced.
func TestCLIOfSeveralApps(t *testing.T) {
	const apps = 20
	redis, queue := redistest.Start(t), harness.NewQueue(t)
	address := map[string]string{"LOGGER_LISTEN_ADDR": harness.FreeAddr(t)}
	start := func() *harness.Logger {
		return harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.RedisEnv(redis.Addr), address)
	}
	l := start()
	stdout, stderr := &testrun.Output{}, &testrun.Output{}
	c := newCLI(t, l.URL)
	cmd := c.command(harness.Binary("logger"), "tail", "app-*", "-f", "-o", "json")
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	has := func(last int) {
		t.Helper()
		l.Until(fmt.Sprintf("the tail has %d lines", apps*last), func() bool { return strings.Count(stdout.String(), "\n") >= apps*last })
		judge := newSeveralTailer("", "", "cli")
		for line := range strings.Lines(stdout.String()) {
			var r severalRecord
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			judge.take(r)
		}
		if wrong := judge.fault(); wrong != "" || !judge.reached(apps, uint64(last)) {
			t.Fatalf("up to %d: %s\n%s", last, wrong, stderr)
		}
	}
	l.Until("the tail waits", func() bool { return strings.Contains(stderr.String(), "no such app yet: nothing is kept of 'app-*'") })
	numbers(queue, apps, 1, 50)
	has(50)
	kill(t, l, map[int]bool{})
	numbers(queue, apps, 51, 100)
	has(100)
	l.Signal(syscall.SIGTERM)
	<-l.Exited
	l.Ended(0)
	numbers(queue, apps, 101, 150)
	l = start()
	has(150)
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	_, resume, ok := strings.Cut(stderr.String(), "to go on from here: logger tail 'app-*' -f --resume ")
	if code := cmd.ProcessState.ExitCode(); code != 130 || !ok {
		t.Fatalf("exit code %d, stderr %s", code, stderr)
	}
	numbers(queue, apps, 151, 151)
	l.Settled(51 * apps)
	code, out, _ := c.run("tail", "app-*", "--resume", strings.TrimSpace(resume))
	if code != 0 || strings.Count(out, "\n") != apps || strings.Count(out, ": number 151\n") != apps {
		t.Errorf("exit code %d: %s", code, out)
	}
}
