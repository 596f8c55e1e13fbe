package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/corpus"
	"github.com/deis/logger/internal/redistest"
)

// TestCorpus: the logger returns the published corpus byte for byte.
func TestCorpus(t *testing.T) {
	for name, env := range harness.Storages {
		t.Run(name, func(t *testing.T) {
			queue := harness.NewQueue(t)
			l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), env(t))
			before := time.Now().UTC().Truncate(time.Second)
			began := time.Now()
			queue.Publish("logs", corpus.Messages()...)
			m := l.Settled(corpus.Records())
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("it took %s: something was held up", took)
			}
			arrived := arrivalIn(t, l.Lines("foo"), before)
			for app, want := range corpus.Expected(arrived) {
				status, header, body := l.Do(http.MethodGet, "/logs/"+app+"?log_lines=-1")
				if status != http.StatusOK || header.Get("Content-Type") != "text/plain; charset=utf-8" {
					t.Errorf("%s: %d %v", app, status, header)
				}
				if got := publishTime.ReplaceAllString(string(body), arrived); got != want {
					t.Errorf("%s: %s", app, difference(got, want))
				}
			}
			for reason, want := range corpus.Rejected() {
				if got := m[`logger_messages_rejected_total{reason="`+reason+`"}`]; got != float64(want) {
					t.Errorf("rejected as %s: %v, want %d", reason, got, want)
				}
			}
			l.Until("all are finished in nsqd", func() bool { return queue.Drained("logs", "consume") })
			if stats := queue.Channel("logs", "consume"); stats.Requeued != 0 {
				t.Errorf("given back to nsqd: %+v", stats)
			}
			if status := l.Status("/logs/deis-controller"); status != http.StatusNoContent {
				t.Errorf("the controller's own label has a log: %d", status)
			}
			for range 2 {
				if status, _, _ := l.Do(http.MethodDelete, "/logs/foo"); status != http.StatusOK {
					t.Errorf("delete: %d", status)
				}
				if status := l.Status("/logs/foo"); status != http.StatusNoContent {
					t.Errorf("after the delete: %d", status)
				}
			}
		})
	}
}

// publishTime matches the time of a line whose message states none. All times in the corpus are of
// 2016.
var publishTime = regexp.MustCompile(`(?m)^20[2-9][0-9]-\S+`)

// arrivalIn returns the time that the logger gave to the message without one.
func arrivalIn(t *testing.T, text string, notBefore time.Time) string {
	t.Helper()
	found := regexp.MustCompile(`(?m)^(\S+) \S+ no time field$`).FindStringSubmatch(text)
	if found == nil {
		t.Fatal("the message without a time is missing")
	}
	at, err := time.Parse("2006-01-02T15:04:05-07:00", found[1])
	if err != nil || at.Before(notBefore) || at.After(time.Now()) {
		t.Errorf("arrival %s, %v: want from %s to now", found[1], err, notBefore)
	}
	return found[1]
}

// difference shows where two texts begin to differ.
func difference(got, want string) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	from := max(0, i-60)
	return fmt.Sprintf("at byte %d: got %.200q, want %.200q", i, got[from:], want[from:])
}

// TestManyMessages: after 200,000 messages of 50 apps, each app keeps its newest 1000 lines, in
// order.
func TestManyMessages(t *testing.T) {
	const total, apps, kept = 200_000, 50, 1000
	for name, env := range harness.Storages {
		t.Run(name, func(t *testing.T) {
			queue := harness.NewQueue(t)
			publish := func(from, to int) {
				bodies := make([][]byte, 0, to-from)
				for i := from; i < to; i++ {
					bodies = append(bodies, harness.Numbered(i, i%apps))
				}
				queue.Publish("logs", bodies...)
			}
			queue.CreateChannel("logs", "consume")
			for i := 0; i < total/2; i += 2000 {
				publish(i, i+2000)
			}
			l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), env(t))
			for i := total / 2; i < total; i += 2000 { // this half is published while the first drains
				publish(i, i+2000)
			}
			m := l.Settled(total)
			if m["logger_messages_stored_total"] != total || m["logger_messages_duplicate_total"] != 0 {
				t.Errorf("stored %v, duplicates %v", m["logger_messages_stored_total"], m["logger_messages_duplicate_total"])
			}
			for app := range apps {
				var want strings.Builder
				for i := total - kept*apps + app; i < total; i += apps {
					want.WriteString(harness.NumberedLine(i, app))
				}
				if got := l.Lines(fmt.Sprintf("app-%d", app)); got != want.String() {
					t.Errorf("app-%d: %s", app, difference(got, want.String()))
				}
			}
			l.Until("all are finished in nsqd", func() bool { return queue.Drained("logs", "consume") })
			if stats := queue.Channel("logs", "consume"); stats.Requeued != 0 || stats.TimedOut != 0 {
				t.Errorf("nsqd: %+v", stats)
			}
		})
	}
}

// TestSecretsStayWhereTheyBelong: no secret is in the environment or arguments of a plugin, in the
// arguments of the host, or in the log.
func TestSecretsStayWhereTheyBelong(t *testing.T) {
	const password = "correct-horse-battery"
	redis := redistest.Start(t, "--requirepass", password)
	queue := harness.NewQueue(t)
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.RedisEnv(redis.Addr), map[string]string{
		"DEIS_LOGGER_REDIS_PASSWORD": password, "LOGGER_LOG_LEVEL": "trace", "SOMETHING_ELSE": "private",
	})
	queue.Publish("logs", harness.Numbered(1, 1))
	l.Settled(1)
	if got := l.Lines("app-1"); !strings.Contains(got, "number 1") {
		t.Errorf("the line did not get to Redis: %q", got)
	}
	pids := l.Plugins()
	if len(pids) != 2 {
		t.Fatalf("%d plugin processes, want 2", len(pids))
	}
	for _, pid := range pids {
		for _, file := range []string{"environ", "cmdline"} {
			b, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), file))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(b), password) || strings.Contains(string(b), "private") {
				t.Errorf("plugin process %d shows a secret in its %s", pid, file)
			}
		}
	}
	if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", l.Cmd.Process.Pid)); err != nil || strings.Contains(string(b), password) {
		t.Errorf("the host's arguments: %q, %v", b, err)
	}
	l.Signal(syscall.SIGTERM)
	l.Ended(0)
	for _, line := range l.Logs() {
		if strings.Contains(line, password) {
			t.Errorf("the password is in the log: %s", line)
		}
	}
}
