package faults

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
)

// slowest bounds the time that an answer may take.
var slowest = func() time.Duration {
	if harness.Race {
		return 4 * time.Second // of which the race detector costs one second
	}
	return 3 * time.Second
}()

// asker asks for the apps' logs all the time. It expects each answer in time, and either right or
// a 503.
type asker struct {
	url    string
	apps   int
	client *http.Client

	stop chan struct{}
	done chan struct{}
	once sync.Once

	turn sync.Mutex // held while a request is under way

	mu      sync.Mutex
	age     int            // the number of calls of forget
	seen    []map[int]bool // the numbers that each app's log has shown
	repeats bool           // a line may be there twice
	away    bool           // there may be no host to answer
	answers map[int]*tally // by status; 0 counts the requests that failed because the host was away
	wrong   []string
}

// tally counts answers and keeps the longest time that one took.
type tally struct {
	count   int
	slowest time.Duration
}

func startAsker(t *testing.T, url string, apps int, every time.Duration) *asker {
	t.Helper()
	a := &asker{
		url: url, apps: apps, answers: map[int]*tally{},
		client: &http.Client{Transport: &http.Transport{}, Timeout: 3 * slowest},
		stop:   make(chan struct{}), done: make(chan struct{}),
	}
	a.forget()
	go a.run(every)
	t.Cleanup(a.end)
	return a
}

// forget makes the asker expect logs that begin anew.
func (a *asker) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.age++
	a.seen = make([]map[int]bool, a.apps)
	for app := range a.seen {
		a.seen[app] = map[int]bool{}
	}
}

// without runs f while no request is under way.
func (a *asker) without(f func()) {
	a.turn.Lock()
	defer a.turn.Unlock()
	f()
}

// expect sets whether there may be no host to answer from now on.
func (a *asker) expect(away bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.away = away
}

// allowRepeats sets whether lines may be there twice from now on.
func (a *asker) allowRepeats(allow bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.repeats = allow
}

func (a *asker) run(every time.Duration) {
	defer close(a.done)
	defer a.client.CloseIdleConnections()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-a.stop:
			return
		case <-ticker.C:
		}
		limit := 100
		if i%5 == 0 {
			limit = -1
		}
		a.ask(i%a.apps, limit)
	}
}

// ask sends one request, and records and checks its answer.
func (a *asker) ask(app, limit int) {
	a.turn.Lock()
	defer a.turn.Unlock()
	a.mu.Lock()
	awayBefore, age := a.away, a.age
	a.mu.Unlock()
	began := time.Now()
	resp, err := a.client.Get(fmt.Sprintf("%s/logs/app-%d?log_lines=%d", a.url, app, limit))
	var body []byte
	if err == nil {
		body, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	took := time.Since(began)

	a.mu.Lock()
	defer a.mu.Unlock()
	status := 0
	switch {
	case err != nil && (awayBefore || a.away):
	case err != nil:
		a.blame("app-%d: no whole answer after %s: %v", app, took, err)
	default:
		status = resp.StatusCode
		if age == a.age {
			a.judge(app, limit, resp, string(body))
		}
	}
	if took > slowest {
		a.blame("app-%d: %d after %s", app, status, took)
	}
	if a.answers[status] == nil {
		a.answers[status] = &tally{}
	}
	a.answers[status].count++
	a.answers[status].slowest = max(a.answers[status].slowest, took)
}

func (a *asker) blame(format string, args ...any) {
	if len(a.wrong) < 10 {
		a.wrong = append(a.wrong, fmt.Sprintf(format, args...))
	}
}

// judge checks an answer against what the log has shown before.
func (a *asker) judge(app, limit int, resp *http.Response, body string) {
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNoContent:
		if len(a.seen[app]) > 0 {
			a.blame("app-%d: 204, but %d lines were there before", app, len(a.seen[app]))
		}
		return
	case http.StatusServiceUnavailable:
		if resp.Header.Get("Retry-After") == "" || strings.Count(body, "\n") != 1 {
			a.blame("app-%d: 503 with Retry-After %q: %.200q", app, resp.Header.Get("Retry-After"), body)
		}
		return
	default:
		a.blame("app-%d: status %d: %.200q", app, resp.StatusCode, body)
		return
	}
	numbers, err := parseLog(app, body)
	if err != nil {
		a.blame("app-%d: %v", app, err)
		return
	}
	has := make(map[int]bool, len(numbers))
	for i, n := range numbers {
		if has[n] && !a.repeats {
			a.blame("app-%d: line %d twice", app, n)
		}
		if i > 0 && n < numbers[i-1] {
			a.blame("app-%d: line %d behind line %d, which was published later", app, n, numbers[i-1])
		}
		has[n] = true
	}
	if limit >= 0 && (len(numbers) > limit || len(numbers) < min(limit, len(a.seen[app]))) {
		a.blame("app-%d: %d lines instead of %d, with %d there before", app, len(numbers), limit, len(a.seen[app]))
	}
	for n := range a.seen[app] {
		if limit < 0 && !has[n] {
			a.blame("app-%d: line %d is gone from %d lines", app, n, len(numbers))
			break
		}
	}
	for n := range has {
		a.seen[app][n] = true
	}
}

// end stops the asker and returns once it has stopped.
func (a *asker) end() {
	a.once.Do(func() { close(a.stop) })
	<-a.done
}

// status returns the tally of the answers with that status.
func (a *asker) status(code int) tally {
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.answers[code]; t != nil {
		return *t
	}
	return tally{}
}

// faulty returns what was wrong with answers, and forgets it.
func (a *asker) faulty() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := a.wrong
	a.wrong = nil
	return out
}

// String returns the tallies as a part of a line of a test's log.
func (a *asker) String() string {
	var b strings.Builder
	for _, code := range []int{http.StatusOK, http.StatusNoContent, http.StatusServiceUnavailable, 0} {
		if t := a.status(code); t.count > 0 {
			fmt.Fprintf(&b, " %d×%d (slowest %s)", t.count, code, t.slowest.Round(time.Millisecond))
		}
	}
	return b.String()
}

// parseLog returns the numbers in an app's log. A line that is not numbered is an error.
func parseLog(app int, body string) ([]int, error) {
	prefix := fmt.Sprintf("2026-01-02T03:04:05+00:00 app-%d[web.v1.abcde]: number ", app)
	numbers := make([]int, 0, len(body)/(len(prefix)+4))
	for line := range strings.Lines(body) {
		digits, ok := strings.CutPrefix(line, prefix)
		if ok {
			digits, ok = strings.CutSuffix(digits, "\n")
		}
		n, err := strconv.Atoi(digits)
		if !ok || err != nil {
			return nil, fmt.Errorf("%.200q is no numbered line of the app", line)
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}
