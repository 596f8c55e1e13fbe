package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/internal/testwait"
)

// runToEnd runs a logger that is expected to exit by itself.
func runToEnd(t *testing.T, args []string, envs ...map[string]string) (code int, stderr string) {
	t.Helper()
	cmd, _ := harness.Command(t, args, envs...)
	var out bytes.Buffer
	cmd.Stderr = &out
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		killed := <-ended
		t.Fatalf("it goes on (%v): %s", killed, out.String())
	}
	return cmd.ProcessState.ExitCode(), out.String()
}

// TestBadSettingsAreRefused: if a variable has a bad value, the logger exits at its start with one
// line. The line names the variable, its value and what is accepted.
func TestBadSettingsAreRefused(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() }) // runs after the subtests
	for _, tc := range []struct {
		env, value string
		want       []string // besides the variable and its value
		with       map[string]string
	}{
		{"STORAGE_ADAPTER", "postgres", []string{"installed: memory, redis", harness.Binary("plugins")}, nil},
		{"STORAGE_ADAPTER", "../redis", []string{"installed: memory, redis"}, nil},
		{"AGGREGATOR_TYPE", "kafka", []string{"installed: nsq"}, nil},
		{"LOGGER_PLUGIN_PATH", "/nonexistent", []string{"none is installed", "STORAGE_ADAPTER"}, nil},
		{"NUMBER_OF_LINES", "many", []string{"a whole number"}, nil},
		{"NUMBER_OF_LINES", "0", []string{"a whole number"}, map[string]string{"STORAGE_ADAPTER": "memory"}},
		{"NUMBER_OF_LINES", "-5", []string{"a whole number"}, map[string]string{"STORAGE_ADAPTER": "memory"}},
		{"DEIS_NSQD_SERVICE_PORT_TRANSPORT", "70000", []string{"from 1 to 65535"}, nil},
		{"NSQ_TOPIC", "white space", nil, nil},
		{"NSQ_CHANNEL", "white space", nil, nil},
		{"NSQ_HANDLER_COUNT", "0", []string{"a whole number"}, nil},
		{"AGGREGATOR_STOP_TIMEOUT_SEC", "soon", []string{"a number of seconds"}, nil},
		{"DEIS_LOGGER_REDIS_SERVICE_PORT", "six", []string{"from 1 to 65535"}, nil},
		{"DEIS_LOGGER_REDIS_DB", "-1", []string{"a whole number"}, nil},
		{"DEIS_LOGGER_REDIS_PIPELINE_LENGTH", "0", []string{"a whole number"}, nil},
		{"DEIS_LOGGER_REDIS_PIPELINE_TIMEOUT_SECONDS", "-1", []string{"a number of seconds"}, nil},
		{"DEIS_LOGGER_REDIS_DB", "2", []string{"LOGGER_REDIS_MODE=cluster"}, map[string]string{"LOGGER_REDIS_MODE": "cluster"}},
		{"LOGGER_REDIS_URLS", "redis.example", []string{"host:port"}, nil},
		{"LOGGER_REDIS_TLS_CA_FILE", "/nonexistent", []string{"a readable file"}, map[string]string{"LOGGER_REDIS_TLS": "true"}},
		{"LOGGER_LISTEN_ADDR", taken.Addr().String(), []string{"address already in use"}, nil},
		{"LOGGER_LISTEN_ADDR", "nowhere", []string{"missing port"}, nil},
		{"LOGGER_LOG_LEVEL", "loud", []string{"trace, debug, info, warn, error"}, nil},
		{"LOGGER_LOG_FORMAT", "xml", []string{"text, json"}, nil},
		{"LOGGER_MAX_LINE_BYTES", "64KB", []string{"64KiB"}, nil},
		{"LOGGER_PLUGIN_CHECKSUMS", "/nonexistent", []string{"no such file or directory"}, nil},
		{"LOGGER_PLUGIN_MAX_OPEN_FILES", "5", []string{"at least 32"}, nil},
		{"LOGGER_PLUGIN_MAX_MEMORY", "1024", []string{"at least 16MiB"}, nil},
		{"LOGGER_RUN_DIR", "/nonexistent", []string{"no such file or directory"}, nil},
		{"LOGGER_MEMORY_MAX_BYTES", "1", []string{"a size in bytes"}, map[string]string{"STORAGE_ADAPTER": "memory"}},
	} {
		t.Run(tc.env+"="+tc.value, func(t *testing.T) {
			t.Parallel()
			code, stderr := runToEnd(t, nil, map[string]string{"LOGGER_LOG_LEVEL": "error"}, tc.with, map[string]string{tc.env: tc.value})
			if code != 1 || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d and %d lines, want 1 and 1: %s", code, strings.Count(stderr, "\n"), stderr)
			}
			for _, want := range append(tc.want, tc.env, tc.value) {
				if !strings.Contains(stderr, want) {
					t.Errorf("%q is not in: %s", want, stderr)
				}
			}
		})
	}
}

func TestBadArgumentsAreRefused(t *testing.T) {
	for _, args := range [][]string{{"sreve"}, {"serve", "--now"}, {"version", "x", "y"}} {
		code, stderr := runToEnd(t, args)
		if args[0] == "version" {
			continue // it accepts any arguments
		}
		if code != 2 || !strings.Contains(stderr, args[len(args)-1]) {
			t.Errorf("%q: exit code %d: %s", args, code, stderr)
		}
	}
}

// TestSettingsHaveAnEffect sets each variable of the specification whose effect shows from outside,
// and checks the effect. The effects of NSQ_HANDLER_COUNT and of the two pipeline variables show
// only inside their plugins, whose own tests check them.
func TestSettingsHaveAnEffect(t *testing.T) {
	const password = "s3cret"
	redis := redistest.Start(t, "--requirepass", password)
	queue := harness.NewQueue(t)
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.RedisEnv(redis.Addr), map[string]string{
		"NUMBER_OF_LINES": "3", "NSQ_TOPIC": "other-topic", "NSQ_CHANNEL": "other-channel", "NSQ_HANDLER_COUNT": "2",
		"DEIS_LOGGER_REDIS_PASSWORD": password, "DEIS_LOGGER_REDIS_DB": "5",
		"DEIS_LOGGER_REDIS_PIPELINE_LENGTH": "2", "DEIS_LOGGER_REDIS_PIPELINE_TIMEOUT_SECONDS": "0.5",
		"LOGGER_MAX_LINE_BYTES": "256", "LOGGER_LOG_LEVEL": "debug",
	})
	for i := range 9 {
		queue.Publish("other-topic", harness.Numbered(i, 1))
	}
	queue.Publish("other-topic", bytes.Replace(harness.Numbered(9, 1), []byte("number"), bytes.Repeat([]byte("x"), 300), 1))
	l.Settled(10)
	const head = "2026-01-02T03:04:05+00:00 app-1[web.v1.abcde]: "
	want := head + "number 7\n" + head + "number 8\n" + head + strings.Repeat("x", 256) + " [cut: 46 more bytes]\n"
	if got := l.Lines("app-1"); got != want {
		t.Errorf("NUMBER_OF_LINES, LOGGER_MAX_LINE_BYTES: %s", difference(got, want))
	}
	if stats := queue.Channel("other-topic", "other-channel"); len(stats.Clients) != 1 || stats.Messages != 10 {
		t.Errorf("NSQ_TOPIC, NSQ_CHANNEL: %+v", stats)
	}
	if keys := keyspace(t, redis, password); !strings.Contains(keys, "db5:keys=") || strings.Contains(keys, "db0:") {
		t.Errorf("DEIS_LOGGER_REDIS_DB: %q", keys)
	}
	if !strings.Contains(l.Log(), `"@level":"debug"`) {
		t.Error("LOGGER_LOG_LEVEL, LOGGER_LOG_FORMAT: no debug line in JSON")
	}
}

// keyspace returns what Redis says of its databases that hold keys.
func keyspace(t *testing.T, r *redistest.Server, password string) string {
	t.Helper()
	cmd := exec.Command("redis-cli", "-h", r.Host, "-p", fmt.Sprint(r.Port), "INFO", "keyspace")
	cmd.Env = append(os.Environ(), "REDISCLI_AUTH="+password)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestStopTimeout: a host that stops waits for messages in flight as long as
// AGGREGATOR_STOP_TIMEOUT_SEC says, and then gives them back to nsqd. The test takes Redis away, so
// that nothing can be stored.
func TestStopTimeout(t *testing.T) {
	for _, seconds := range []float64{0.2, 1.5} {
		queue := harness.NewQueue(t)
		redis := redistest.Start(t)
		l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.RedisEnv(redis.Addr), map[string]string{"AGGREGATOR_STOP_TIMEOUT_SEC": fmt.Sprint(seconds)})
		redis.Stop()
		queue.Publish("logs", harness.Numbered(1, 1))
		l.Until("the message waits in the host", func() bool { return l.Metrics()["logger_messages_waiting"] == 1 })
		began := time.Now()
		l.Stop()
		took := time.Since(began).Seconds()
		if took < seconds || took > seconds+2 {
			t.Errorf("AGGREGATOR_STOP_TIMEOUT_SEC=%v: the stop took %.2f s: %s", seconds, took, l.Log())
		}
		testwait.Within(t, 10*time.Second, "the message is back in nsqd", func() bool { return queue.Channel("logs", "consume").Depth == 1 })
	}
}

// TestVersion: `logger version` and `logger --help` need no environment.
func TestVersion(t *testing.T) {
	out, err := exec.Command(harness.Binary("logger"), "version").Output()
	if want := regexp.MustCompile(`^logger dev ([0-9a-f]{40}(-dirty)? \S+Z )?go1\.\S+ linux/\S+\n$`); err != nil || !want.Match(out) {
		t.Errorf("got %q, %v, want %s", out, err, want)
	}
	out, err = exec.Command(harness.Binary("logger"), "--help").Output()
	if err != nil || !strings.Contains(string(out), "serve") {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err := os.Stat(harness.Binary("logger")); err != nil {
		t.Fatal(err)
	}
}
