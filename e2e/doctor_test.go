package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	gonsq "github.com/nsqio/go-nsq"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/redistest"
)

// patient holds the environment that the doctor runs in, and the app whose lines are missed.
type patient struct {
	env map[string]string
	app string
}

// examine runs `logger doctor` and returns its exit code and output.
func (p patient) examine(t *testing.T, args ...string) (code int, output string) {
	t.Helper()
	if p.app != "" {
		args = append([]string{p.app}, args...)
	}
	cmd, runDir := harness.Command(t, append([]string{"doctor"}, args...), p.env)
	began := time.Now()
	out, err := cmd.Output()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
	if left, _ := filepath.Glob(filepath.Join(runDir, "*")); len(left) > 0 && p.env["LOGGER_RUN_DIR"] == "" {
		t.Errorf("left behind: %q", left)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// together merges several environments.
func together(envs ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, env := range envs {
		maps.Copy(all, env)
	}
	return all
}

// visible returns an environment in which the doctor can see the queue and the logger. Without a
// logger, nothing listens at its address.
func visible(queue *nsqtest.Server, l *harness.Logger) map[string]string {
	env := together(harness.NSQEnv(queue.TCPAddr()), map[string]string{"LOGGER_DOCTOR_NSQD_HTTP": queue.HTTPAddr(), "LOGGER_URL": "http://127.0.0.1:1"})
	if l != nil {
		env["LOGGER_URL"] = l.URL
	}
	return env
}

// running starts a queue and a logger with memory storage, and returns an environment to see them.
func running(t *testing.T, envs ...map[string]string) (*nsqtest.Server, *harness.Logger, map[string]string) {
	t.Helper()
	queue := harness.NewQueue(t)
	all := together(append([]map[string]string{harness.NSQEnv(queue.TCPAddr()), harness.MemoryEnv()}, envs...)...)
	l := harness.Start(t, all)
	l.Until("it is connected", func() bool { return l.Plugin("aggregator").State == "ready" })
	return queue, l, together(all, visible(queue, l))
}

// pluginFolder makes a folder with the bundled aggregator, and a script as the storage plugin.
func pluginFolder(t *testing.T, storage, script string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil { // despite the umask
		t.Fatal(err)
	}
	if err := os.Symlink(harness.Binary("plugins/logger-aggregator-nsq"), filepath.Join(dir, "logger-aggregator-nsq")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "logger-storage-"+storage), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return map[string]string{"LOGGER_PLUGIN_PATH": dir, "STORAGE_ADAPTER": storage}
}

// fed returns a queue that has a message for the logger, so that the verdict does not blame the
// collectors.
func fed(t *testing.T) *nsqtest.Server {
	t.Helper()
	queue := harness.NewQueue(t)
	queue.Publish("logs", harness.Numbered(1, 1))
	return queue
}

// TestDoctorNamesTheCulprit: whichever one thing is broken, the verdict names it.
func TestDoctorNamesTheCulprit(t *testing.T) {
	for _, tc := range []struct {
		name    string
		breakIt func(t *testing.T) patient
		want    string // the beginning of the verdict; PORT stands for any port
		follow  string // the other hops that fail because of the culprit
	}{
		{"bad setting", func(*testing.T) patient {
			return patient{env: map[string]string{"LOGGER_LOG_LEVEL": "loud"}}
		}, `configuration: LOGGER_LOG_LEVEL="loud": want one of trace, debug, info, warn, error. `, ""},
		{"bad setting of a plugin", func(t *testing.T) patient {
			t.Helper()
			return patient{env: together(visible(fed(t), nil), map[string]string{"NUMBER_OF_LINES": "many"})}
		}, `storage plugin: NUMBER_OF_LINES="many": want a whole number of at least 1. `, "logger"},
		{"unknown storage adapter", func(t *testing.T) patient {
			t.Helper()
			return patient{env: together(visible(fed(t), nil), map[string]string{"STORAGE_ADAPTER": "postgres"})}
		}, `storage plugin: STORAGE_ADAPTER="postgres": no storage plugin "postgres": installed: memory, redis `, "logger"},
		{"nsqd down", func(t *testing.T) patient {
			t.Helper()
			queue, _, env := running(t)
			queue.Stop()
			return patient{env, "foo"}
		}, `nsqd: nsqd cannot be reached: nothing listens at 127.0.0.1:`, "app"},
		{"nsqd's HTTP port", func(t *testing.T) patient {
			t.Helper()
			queue := fed(t)
			wrong := together(harness.NSQEnv(queue.HTTPAddr()), harness.MemoryEnv())
			l := harness.Start(t, wrong)
			return patient{together(visible(queue, l), wrong), "foo"}
		}, `nsqd: 127.0.0.1:PORT is an HTTP port, not nsqd's TCP port. Set DEIS_NSQD_SERVICE_PORT_TRANSPORT `, "app"},
		{"topic never published to", func(t *testing.T) patient {
			t.Helper()
			_, _, env := running(t)
			return patient{env, "foo"}
		}, `topic: nobody has published to topic "logs". Look at the collectors`, "app"},
		{"collector publishes to another topic", func(t *testing.T) patient {
			t.Helper()
			queue, _, env := running(t)
			queue.Publish("log", harness.Numbered(1, 1), harness.Numbered(2, 1))
			return patient{env, "app-1"}
		}, `topic: nobody has published to topic "logs", but 2 messages went to topic "log". Let the collectors publish to "logs", or set NSQ_TOPIC=log`, "app"},
		{"all messages rejected", func(t *testing.T) patient {
			t.Helper()
			queue, l, env := running(t)
			queue.Publish("logs", []byte("plain text"), []byte("{"), []byte(`["no object"]`))
			l.Settled(3)
			return patient{env, "foo"}
		}, `rejects: all messages are rejected, for being malformed: the collector sends bare text. Let it send JSON`, "app"},
		{"all messages of one app rejected", func(t *testing.T) patient {
			t.Helper()
			queue, l, env := running(t)
			queue.Publish("logs", harness.Numbered(1, 1), harness.Numbered(2, 1),
				[]byte(`{"text":"x","kubernetes":{"pod_name":"foo-web-1-2-a","container_name":"foo-web","labels":{"app":"foo"}}}`))
			l.Settled(3)
			return patient{env, "foo"}
		}, `app: no line of "foo" was stored, and its records may be among those that are rejected (1 of 3: 1 no_log). Let the collectors send the text under ` + "`log`", ""},
		{"no message selected", func(t *testing.T) patient {
			t.Helper()
			queue, l, env := running(t, map[string]string{"LOGGER_LABEL_SELECTOR": "heritage=deis"})
			queue.Publish("logs", harness.Numbered(1, 1))
			l.Settled(1)
			return patient{env, "app-1"}
		}, `rejects: the settings leave all messages out. Look at LOGGER_LABEL_SELECTOR and LOGGER_NAMESPACES_EXCLUDE`, "app"},
		{"another consumer", func(t *testing.T) patient {
			t.Helper()
			queue, l, env := running(t)
			queue.Publish("logs", harness.Numbered(1, 1))
			l.Settled(1)
			config := gonsq.NewConfig()
			config.UserAgent = "nsq_to_file/1.3.0"
			thief, err := gonsq.NewConsumer("logs", "consume", config)
			if err != nil {
				t.Fatal(err)
			}
			thief.SetLoggerLevel(gonsq.LogLevelMax)
			thief.AddHandler(gonsq.HandlerFunc(func(*gonsq.Message) error { return nil }))
			if err := thief.ConnectToNSQD(queue.TCPAddr()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { thief.Stop(); <-thief.StopChan })
			l.Until("the other is there", func() bool { return len(queue.Channel("logs", "consume").Clients) == 2 })
			return patient{env, "app-2"}
		}, `consumer: another consumer takes messages of channel "consume": nsq_to_file/1.3.0 of `, "app"},
		{"channel paused", func(t *testing.T) patient {
			t.Helper()
			queue, l, env := running(t)
			queue.Publish("logs", harness.Numbered(1, 1))
			l.Settled(1)
			resp, err := http.Post("http://"+queue.HTTPAddr()+"/channel/pause?topic=logs&channel=consume", "", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			http.DefaultClient.CloseIdleConnections()
			queue.Publish("logs", harness.Numbered(1, 2))
			return patient{env, "app-2"}
		}, `channel: channel "consume" is paused. Unpause it: curl -X POST 'http://127.0.0.1:PORT/channel/unpause?topic=logs&channel=consume'`, "app"},
		{"Redis down", func(t *testing.T) patient {
			t.Helper()
			redis, queue := redistest.Start(t), fed(t)
			env := together(harness.NSQEnv(queue.TCPAddr()), harness.RedisEnv(redis.Addr))
			l := harness.Start(t, env)
			redis.Stop()
			return patient{together(env, visible(queue, l)), "foo"}
		}, `storage: Redis cannot be reached: nothing listens at 127.0.0.1:PORT. Start Redis, or correct DEIS_LOGGER_REDIS_SERVICE_HOST`, "logger"},
		{"no such host of Redis", func(t *testing.T) patient {
			t.Helper()
			queue := fed(t)
			env := together(harness.NSQEnv(queue.TCPAddr()), harness.RedisEnv("redis.invalid:6379"))
			l := harness.Launch(t, env)
			return patient{together(env, visible(queue, l)), "foo"}
		}, `storage: Redis cannot be reached: the name "redis.invalid" `, "logger"},
		{"Redis wrong password", func(t *testing.T) patient {
			t.Helper()
			redis, queue := redistest.Start(t, "--requirepass", "right-one"), fed(t)
			env := together(harness.NSQEnv(queue.TCPAddr()), harness.RedisEnv(redis.Addr), map[string]string{"DEIS_LOGGER_REDIS_PASSWORD": "wrong-one"})
			l := harness.Launch(t, env)
			return patient{together(env, visible(queue, l)), "foo"}
		}, `storage: Redis refuses the password. Set DEIS_LOGGER_REDIS_PASSWORD `, "logger"},
		{"Redis full", func(t *testing.T) patient {
			t.Helper()
			redis, queue := redistest.Start(t, "--maxmemory", "1"), fed(t)
			env := together(harness.NSQEnv(queue.TCPAddr()), harness.RedisEnv(redis.Addr))
			l := harness.Launch(t, env)
			return patient{together(env, visible(queue, l)), "foo"}
		}, `storage: Redis is full. Raise its maxmemory, or lower NUMBER_OF_LINES`, "logger,app"},
		{"storage plugin ends at once", func(t *testing.T) patient {
			t.Helper()
			queue := fed(t)
			env := together(harness.NSQEnv(queue.TCPAddr()), pluginFolder(t, "broken", "echo cannot open the pod bay doors >&2; exit 3"))
			l := harness.Launch(t, env)
			return patient{together(env, visible(queue, l)), "foo"}
		}, `storage plugin: the storage plugin broken does not start: the plugin ended before it was ready: exit status 3; its last line: cannot open the pod bay doors. `, "logger,channel"},
		{"storage plugin crashes again and again", func(t *testing.T) patient {
			t.Helper()
			queue := fed(t)
			// Only the plugin of the logger crashes. The doctor starts one too, which may take its
			// time.
			env := together(harness.NSQEnv(queue.TCPAddr()), pluginFolder(t, "memory",
				fmt.Sprintf("{ tr '\\0' '\\n' </proc/$PPID/cmdline | grep -qx doctor || { sleep 2; kill -9 $$; }; } >/dev/null 2>&1 </dev/null &\nexec '%s'", harness.Binary("plugins/logger-storage-memory"))))
			l := harness.Launch(t, env)
			l.Until("it crashed", func() bool { return l.Plugin("storage").Restarts >= 3 })
			return patient{together(env, visible(queue, l)), ""} // without an app: whether its lines can be read depends on the moment
		}, `logger: the storage plugin memory `, ""},
		{"host not running", func(t *testing.T) patient {
			t.Helper()
			redis, queue := redistest.Start(t), fed(t)
			return patient{together(harness.RedisEnv(redis.Addr), visible(queue, nil)), "foo"}
		}, `logger: no logger runs there: nothing listens at 127.0.0.1:1. Start it (logger serve), or set LOGGER_URL`, ""},
		{"app name misspelt", func(t *testing.T) patient {
			t.Helper()
			queue, l, env := running(t)
			queue.Publish("logs", harness.Numbered(1, 1), harness.Message("frontend", "x\n"))
			l.Settled(2)
			return patient{env, "fronend"}
		}, `app: there is no app "fronend": did you mean "frontend"? `, ""},
		{"app prints nothing", func(t *testing.T) patient {
			t.Helper()
			queue, l, env := running(t)
			queue.Publish("logs", harness.Message("frontend", "x\n"))
			l.Settled(1)
			return patient{env, "billing"}
		}, `app: no line of "billing" came, though those of others do. `, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := tc.breakIt(t)
			code, output := p.examine(t)
			_, verdict, _ := strings.Cut(output, "verdict: ")
			pattern := strings.Split(tc.want, "PORT")
			ok := strings.HasPrefix(verdict, pattern[0])
			for _, part := range pattern[1:] {
				ok = ok && strings.Contains(verdict, part)
			}
			if !ok || code != 1 {
				t.Errorf("exit code %d\n%s\nwant %s", code, output, tc.want)
			}
			culprit, _, _ := strings.Cut(tc.want, ":")
			if want := strings.TrimSuffix(culprit+","+tc.follow, ","); strings.Join(failing(output), ",") != want {
				t.Errorf("%q fail, want %s:\n%s", failing(output), want, output)
			}
			if strings.Contains(output, "wrong-one") {
				t.Errorf("the password is printed: %s", output)
			}
		})
	}
}

// failing returns the hops that failed, in the order of the output.
func failing(output string) (hops []string) {
	for line := range strings.Lines(output) {
		if rest, ok := strings.CutPrefix(line, "FAIL     "); ok {
			hops = append(hops, strings.TrimSpace(rest[:min(len(rest), 18)]))
		}
	}
	return hops
}

// TestDoctorOfTheHealthy: if nothing is broken, the doctor says so, shows what is there, and prints
// no secret.
func TestDoctorOfTheHealthy(t *testing.T) {
	const secret = "hunter2hunter2"
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, []byte("# of the tests\n"+secret+"-token-of-some-length\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	redis := redistest.Start(t, "--requirepass", secret)
	queue, l, env := running(t, harness.RedisEnv(redis.Addr), map[string]string{"DEIS_LOGGER_REDIS_PASSWORD": secret, "LOGGER_API_TOKENS_FILE": tokens})
	queue.Publish("logs", harness.Numbered(1, 1), []byte("nonsense"), harness.Numbered(2, 1))
	l.Settled(3)
	env["TMPDIR"] = "/nonexistent" // a missing folder, as in a container with a read-only root
	p := patient{env, "app-1"}
	code, text := p.examine(t)
	if code != 0 || strings.Contains(text, secret) || !strings.Contains(text, `"app-1": 2 lines are kept, the newest `) ||
		!strings.Contains(text, "1 of 3: 1 malformed") {
		t.Errorf("exit code %d\n%s", code, text)
	}
	code, document := p.examine(t, "-o", "json")
	var report struct {
		App     string
		Healthy bool
		Verdict string
		Hops    []struct{ Hop, Status, Seen string }
	}
	if err := json.Unmarshal([]byte(document), &report); err != nil || code != 0 || !report.Healthy || report.App != "app-1" {
		t.Errorf("exit code %d, %v: %s", code, err, document)
	}
	var hops []string
	for _, h := range report.Hops {
		hops = append(hops, h.Hop)
	}
	const want = "configuration,aggregator plugin,storage plugin,environment,storage,logger,nsqd,topic,channel,consumer,messages,rejects,app"
	if got := strings.Join(hops, ","); got != want || strings.Contains(document, secret) {
		t.Errorf("hops %s, want %s\n%s", got, want, document)
	}
}

// TestDoctorChangesNothing: on a queue without a consumer, the doctor leaves no trace.
func TestDoctorChangesNothing(t *testing.T) {
	queue := harness.NewQueue(t)
	queue.Publish("logs", harness.Numbered(1, 1))
	stats := func() string {
		resp, err := http.Get("http://" + queue.HTTPAddr() + "/stats?topic=logs&include_mem=false")
		if err != nil {
			t.Fatal(err)
		}
		defer http.DefaultClient.CloseIdleConnections()
		defer func() { _ = resp.Body.Close() }()
		var b strings.Builder
		_, _ = fmt.Fprint(&b, resp.Status)
		buf := make([]byte, 4096)
		n, _ := resp.Body.Read(buf)
		_, rest, _ := strings.Cut(string(buf[:n]), "Topics:")
		return b.String() + rest
	}
	before := stats()
	for _, p := range []patient{{together(harness.MemoryEnv(), visible(queue, nil)), "foo"}, {env: together(harness.MemoryEnv(), visible(queue, nil))}} {
		if code, output := p.examine(t); code != 1 || !strings.Contains(output, `unknown  channel            nsqd has no channel "consume"`) {
			t.Errorf("exit code %d\n%s", code, output)
		}
	}
	if after := stats(); after != before || !strings.Contains(after, "logs") {
		t.Errorf("before: %s\nafter: %s", before, after)
	}
}

func TestDoctorUsage(t *testing.T) {
	for _, args := range [][]string{{"doctor", "a", "b"}, {"doctor", "-o", "xml"}, {"doctor", "--what"}} {
		if code, stderr := runToEnd(t, args); code != 2 || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: exit code %d: %s", args, code, stderr)
		}
	}
	if code, _ := runToEnd(t, []string{"doctor", "--help"}); code != 0 {
		t.Errorf("--help: exit code %d", code)
	}
}
