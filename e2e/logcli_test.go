//go:build logcli

package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/testrun"
)

// logcli runs Loki's own client, which `make logcli-test` builds.
type logcli struct {
	t    *testing.T
	addr string

	mu       sync.Mutex
	requests []string
}

// newLogcli makes a logcli that asks through a proxy, which records its requests.
func newLogcli(t *testing.T, l *harness.Logger) *logcli {
	t.Helper()
	to, err := url.Parse(l.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := &logcli{t: t}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport = &http.Transport{DisableKeepAlives: true}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.requests = append(c.requests, r.Method+" "+strings.TrimPrefix(r.URL.RequestURI(), "/loki/api/v1/"))
		c.mu.Unlock()
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	c.addr = server.URL
	return c
}

// command returns logcli with these arguments.
func (c *logcli) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(c.t.Context(), filepath.Join("..", "bin", "logcli"), append([]string{"--addr", c.addr, "--quiet"}, args...)...)
	cmd.Env = []string{"HOME=" + c.t.TempDir()}
	return cmd
}

// run returns what logcli prints.
func (c *logcli) run(args ...string) string {
	c.t.Helper()
	cmd, stderr := c.command(args...), &bytes.Buffer{}
	cmd.Stderr = stderr
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("logcli %q: %v\n%s", args, err, stderr)
	}
	return string(out)
}

// TestLogcli: logcli prints the lines that /v1 shows, in batches, and labels and series. The
// requests that it sends are those of TestLogcliRequests.
func TestLogcli(t *testing.T) {
	for name, env := range harness.Storages {
		t.Run(name, func(t *testing.T) {
			l := with300(t, env(t))
			c := newLogcli(t, l)
			within := []string{"--from", "2026-01-02T12:00:00Z", "--to", "2026-01-02T13:00:00Z"}
			query := func(args ...string) string {
				return c.run(slices.Concat([]string{"query", "--output", "raw"}, within, args, []string{`{app="app-0"}`})...)
			}
			want := v1Lines(t, l, "app-0")
			for _, args := range [][]string{{"--forward", "--limit", "5000", "--batch", "37"}, {"--forward", "--limit", "5000"}} {
				if got := query(args...); got != strings.Join(want, "\n")+"\n" {
					t.Errorf("logcli query %q: %.500s", args, got)
				}
			}
			slices.Reverse(want)
			if got := query("--limit", "200", "--batch", "60"); got != strings.Join(want[:200], "\n")+"\n" {
				t.Errorf("backward: %.500s", got)
			}
			for _, tc := range []struct {
				args []string
				want string
			}{
				{slices.Concat([]string{"labels"}, within), "app\ncontainer\ndetected_level\nhost\nlevel\npod\nprocess\nrelease\nservice_name\nsource\nstream\n"},
				{slices.Concat([]string{"labels"}, within, []string{"process"}), "web\n"},
				{slices.Concat([]string{"series"}, within, []string{`{app="app-0"}`}), `{app="app-0", container="app-0-web", detected_level="warn", host="node-1", level="warn", pod="app-0-web-1234567890-abcde", process="web", release="v1", service_name="app-0", source="app", stream="stdout"}` + "\n"},
			} {
				if got := c.run(tc.args...); got != tc.want {
					t.Errorf("logcli %q: %s, want %s", tc.args, got, tc.want)
				}
			}
			metric := c.run(slices.Concat([]string{"query", "--step", "60s"}, within, []string{`sum by (level) (count_over_time({app="app-0"}[1m]))`})...)
			if !strings.Contains(metric, `"level": "warn"`) || !strings.Contains(metric, `"60"`) {
				t.Errorf("a metric: %s", metric)
			}
			instant := c.run("instant-query", "--now", "2026-01-02T13:00:00Z", `sum by (level) (count_over_time({app="app-0"}[87600h]))`)
			if !strings.Contains(instant, `"level":"warn"`) || !strings.Contains(instant, `"300"`) {
				t.Errorf("an instant query: %s", instant)
			}
			if got := query("--forward", "--limit", "20", "--interval", "10s"); strings.Count(got, "\n") != 20 || !strings.HasPrefix(got, "level=warn number=0\nlevel=warn number=10\n") {
				t.Errorf("with an interval: %s", got)
			}
			golden, err := os.ReadFile(logcliRequests)
			if got := strings.Join(c.requests, "\n") + "\n"; err != nil || got != string(golden) {
				t.Errorf("%v; logcli sent, and %s has not:\n%s", err, logcliRequests, got)
			}
		})
	}
}

// TestLogcliTail: logcli keeps following while a storage plugin is killed. The lines that it prints
// and those that it reports as dropped are together the published ones.
func TestLogcliTail(t *testing.T) {
	for name, env := range harness.Storages {
		t.Run(name, func(t *testing.T) {
			queue := harness.NewQueue(t)
			l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), env(t), map[string]string{"NUMBER_OF_LINES": "500"})
			c := newLogcli(t, l)
			cmd, out, stderr := c.command("query", "--tail", "--from", "2026-01-02T12:00:00Z", "--output", "raw", `{app="app-0"}`), &testrun.Output{}, &testrun.Output{}
			cmd.Stdout, cmd.Stderr = out, stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			})
			l.Until("logcli tails", func() bool { return l.Metrics()["logger_followers"] == 1 })
			c.mu.Lock()
			got := strings.Join(c.requests, "\n")
			c.mu.Unlock()
			if want := "GET tail?delay_for=0&from=1767355200000000000&limit=30&query=%7Bapp%3D%22app-0%22%7D"; got != want {
				t.Errorf("logcli sent %s, want %s", got, want)
			}
			counts := func() (lines, dropped int) {
				return strings.Count(out.String(), "number "), strings.Count(stderr.String(), "reason=")
			}
			all := func(n int) {
				t.Helper()
				l.Until(fmt.Sprintf("logcli has %d lines", n), func() bool { lines, dropped := counts(); return lines+dropped >= n })
				if lines, dropped := counts(); lines+dropped != n {
					t.Errorf("%d lines and %d dropped, want %d together: %.1000s", lines, dropped, n, stderr)
				}
			}
			numbers(queue, 1, 1, 300)
			all(300)
			if err := syscall.Kill(l.Plugin("storage").PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			numbers(queue, 1, 301, 600)
			all(600)
			if lines, dropped := counts(); dropped > 0 {
				t.Errorf("%d lines, and %d dropped over the kill of a plugin", lines, dropped)
			}
			if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil { // so that the client is slow
				t.Fatal(err)
			}
			// 80 MB are more than the buffers of all connections between the logger and logcli.
			for first := 601; first < 40601; first += 1000 {
				longNumbers(queue, first, first+999)
			}
			l.Settled(40600)
			if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			all(40600)
			numbers(queue, 1, 40601, 40700)
			all(40700)
			if _, dropped := counts(); dropped == 0 {
				t.Error("nothing was dropped")
			}
			l.Signal(syscall.SIGTERM)
			l.Ended(0)
			_ = cmd.Wait()
			if !strings.Contains(stderr.String(), "close 1006 (abnormal closure)") {
				t.Errorf("at the end: %.1000s", stderr)
			}
		})
	}
}
