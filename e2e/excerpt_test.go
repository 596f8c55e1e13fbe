package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/deis/logger/e2e/harness"
)

// excerptRound publishes the lines of a stack trace between lines of another pod, and returns what
// they are with group=true.
func excerptRound(publish func(pod, text string), n int) (groups []string) {
	trace := []string{fmt.Sprintf("ERROR cannot sell %d", n), "java.lang.RuntimeException: boom", "\tat a.B.c(B.java:1)", "Caused by: java.lang.Error: why", "\t... 12 more"}
	for i, text := range trace {
		publish("web-1-a", text)
		publish("web-1-b", fmt.Sprintf("other %d.%d", n, i))
		groups = append(groups, fmt.Sprintf("other %d.%d", n, i))
	}
	return append(groups, strings.Join(trace, "\n"))
}

// TestExcerpts: a stack trace between the lines of another pod is one group. It is whole in /v1's
// logs, through filters, as context, and in a tail that is cut after each record and resumed. The
// command shows the same.
func TestExcerpts(t *testing.T) {
	for name, env := range harness.Storages {
		t.Run(name, func(t *testing.T) {
			queue := harness.NewQueue(t)
			l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), env(t))
			var want []string
			round := func(n int) {
				want = append(want, excerptRound(func(pod, text string) {
					queue.Publish("logs", fmt.Appendf(nil, `{"log":%q,"stream":"stdout","kubernetes":{"pod_name":"foo-%s","container_name":"foo-web","labels":{"app":"foo"}}}`, text+"\n", pod))
				}, n)...)
			}
			for n := range 3 {
				round(n)
			}
			l.Settled(3 * 10)
			get := func(query string) (texts []string) {
				t.Helper()
				var answer struct {
					Entries []struct {
						Message, Level string
						Context, Apart bool
					}
				}
				status, _, body := l.Do(http.MethodGet, "/v1/apps/foo/logs?format=json&"+query)
				if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK {
					t.Fatalf("%s: %d %.300q", query, status, body)
				}
				for _, e := range answer.Entries {
					if e.Context {
						e.Message = "c " + e.Message
					}
					if e.Apart {
						e.Message = "| " + e.Message
					}
					texts = append(texts, e.Message)
				}
				return texts
			}
			l.Until("the last lines are no longer open", func() bool { return len(get("group=true")) == len(want) })
			trace := func(n int) string { return want[6*n+5] }
			for query, want := range map[string][]string{
				"group=true&include=Caused&lines=2":          {trace(1), trace(2)},
				"group=true&level=error":                     {trace(0), trace(1), trace(2)},
				"include=^other.1.0$&context=1":              {"c ERROR cannot sell 1", "other 1.0", "c java.lang.RuntimeException: boom"},
				"include=^other.[01].0$&context_before=1":    {"c ERROR cannot sell 0", "other 0.0", "| c ERROR cannot sell 1", "other 1.0"},
				"include=^other.[01].0$&context=1&pod=b":     {"other 0.0", "c other 0.1", "| c other 0.4", "other 1.0", "c other 1.1"},
				"include=boom&lines=1":                       {"java.lang.RuntimeException: boom"},
				"group=true&include=^other.2.4$&context=100": nil,
			} {
				got := get(query)
				if want == nil { // nil stands for the whole log
					for i := range got {
						got[i] = strings.TrimPrefix(got[i], "c ")
					}
					want = get("group=true&lines=-1")
				}
				if !slices.Equal(got, want) {
					t.Errorf("%s: %q, want %q", query, got, want)
				}
			}
			if _, _, body := l.Do(http.MethodGet, "/logs/foo?log_lines=-1"); strings.Count(string(body), "\n") != 30 {
				t.Errorf("/logs: %s", body)
			}
			c := newCLI(t, l.URL)
			c.want(0, "ERROR cannot sell 1\nother 1.0\njava.lang.RuntimeException: boom\n--\nERROR cannot sell 2\nother 2.0\njava.lang.RuntimeException: boom\n", "",
				"tail", "foo", "-i", "^other [12].0$", "-C", "1", "-o", "raw")
			c.want(0, trace(2)+"\n", "", "tail", "foo", "--group", "-i", "boom", "-n", "1", "-o", "raw")

			var tailed []string
			cursor := ""
			var publishing sync.WaitGroup
			for len(tailed) < 5*6 { // the last round is published while the tail runs
				if len(tailed) == 2*6 {
					publishing.Go(func() { round(3); round(4) })
				}
				text, at := tailOne(t, l, "group=true&", cursor)
				tailed, cursor = append(tailed, text), at
			}
			publishing.Wait()
			if !slices.Equal(slices.Sorted(slices.Values(tailed)), slices.Sorted(slices.Values(want))) {
				t.Errorf("tailed: %q, want %q", tailed, want)
			}
		})
	}
}
