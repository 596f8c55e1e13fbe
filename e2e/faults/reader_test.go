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

// reader asks for the apps' logs all the time. It expects each answer in time, and either right or
// a 503.
type reader struct {
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

func read(t *testing.T, url string, apps int, every time.Duration) *reader {
	t.Helper()
	r := &reader{
		url: url, apps: apps, answers: map[int]*tally{},
		client: &http.Client{Transport: &http.Transport{}, Timeout: 3 * slowest},
		stop:   make(chan struct{}), done: make(chan struct{}),
	}
	r.forget()
	go r.run(every)
	t.Cleanup(r.end)
	return r
}

// forget makes the reader expect logs that begin anew.
func (r *reader) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.age++
	r.seen = make([]map[int]bool, r.apps)
	for app := range r.seen {
		r.seen[app] = map[int]bool{}
	}
}

// without runs f while no request is under way.
func (r *reader) without(f func()) {
	r.turn.Lock()
	defer r.turn.Unlock()
	f()
}

// expect sets whether there may be no host to answer from now on.
func (r *reader) expect(away bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = away
}

// allowRepeats sets whether lines may be there twice from now on.
func (r *reader) allowRepeats(allow bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.repeats = allow
}

func (r *reader) run(every time.Duration) {
	defer close(r.done)
	defer r.client.CloseIdleConnections()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-r.stop:
			return
		case <-ticker.C:
		}
		limit := 100
		if i%5 == 0 {
			limit = -1
		}
		r.ask(i%r.apps, limit)
	}
}

// ask sends one request, and records and checks its answer.
func (r *reader) ask(app, limit int) {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.mu.Lock()
	awayBefore, age := r.away, r.age
	r.mu.Unlock()
	began := time.Now()
	resp, err := r.client.Get(fmt.Sprintf("%s/logs/app-%d?log_lines=%d", r.url, app, limit))
	var body []byte
	if err == nil {
		body, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
	}
	took := time.Since(began)

	r.mu.Lock()
	defer r.mu.Unlock()
	status := 0
	switch {
	case err != nil && (awayBefore || r.away):
	case err != nil:
		r.blame("app-%d: no whole answer after %s: %v", app, took, err)
	default:
		status = resp.StatusCode
		if age == r.age {
			r.judge(app, limit, resp, string(body))
		}
	}
	if took > slowest {
		r.blame("app-%d: %d after %s", app, status, took)
	}
	if r.answers[status] == nil {
		r.answers[status] = &tally{}
	}
	r.answers[status].count++
	r.answers[status].slowest = max(r.answers[status].slowest, took)
}

func (r *reader) blame(format string, args ...any) {
	if len(r.wrong) < 10 {
		r.wrong = append(r.wrong, fmt.Sprintf(format, args...))
	}
}

// judge checks an answer against what the log has shown before.
func (r *reader) judge(app, limit int, resp *http.Response, body string) {
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNoContent:
		if len(r.seen[app]) > 0 {
			r.blame("app-%d: 204, but %d lines were there before", app, len(r.seen[app]))
		}
		return
	case http.StatusServiceUnavailable:
		if resp.Header.Get("Retry-After") == "" || strings.Count(body, "\n") != 1 {
			r.blame("app-%d: 503 with Retry-After %q: %.200q", app, resp.Header.Get("Retry-After"), body)
		}
		return
	default:
		r.blame("app-%d: status %d: %.200q", app, resp.StatusCode, body)
		return
	}
	numbers, err := parseLog(app, body)
	if err != nil {
		r.blame("app-%d: %v", app, err)
		return
	}
	has := make(map[int]bool, len(numbers))
	for i, n := range numbers {
		if has[n] && !r.repeats {
			r.blame("app-%d: line %d twice", app, n)
		}
		if i > 0 && n < numbers[i-1] {
			r.blame("app-%d: line %d behind line %d, which was published later", app, n, numbers[i-1])
		}
		has[n] = true
	}
	if limit >= 0 && (len(numbers) > limit || len(numbers) < min(limit, len(r.seen[app]))) {
		r.blame("app-%d: %d lines instead of %d, with %d there before", app, len(numbers), limit, len(r.seen[app]))
	}
	for n := range r.seen[app] {
		if limit < 0 && !has[n] {
			r.blame("app-%d: line %d is gone from %d lines", app, n, len(numbers))
			break
		}
	}
	for n := range has {
		r.seen[app][n] = true
	}
}

// end stops the reader and returns once it has stopped.
func (r *reader) end() {
	r.once.Do(func() { close(r.stop) })
	<-r.done
}

// status returns the tally of the answers with that status.
func (r *reader) status(code int) tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.answers[code]; t != nil {
		return *t
	}
	return tally{}
}

// faulty returns what was wrong with answers, and forgets it.
func (r *reader) faulty() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.wrong
	r.wrong = nil
	return out
}

// String returns the tallies as a part of a line of a test's log.
func (r *reader) String() string {
	var b strings.Builder
	for _, code := range []int{http.StatusOK, http.StatusNoContent, http.StatusServiceUnavailable, 0} {
		if t := r.status(code); t.count > 0 {
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
