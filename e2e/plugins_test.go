package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/redistest"
)

func sha256sum(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))
}

// command runs `logger` with these arguments until it ends.
func command(t *testing.T, env map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	cmd, _ := harness.Command(t, args, env)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slow := time.AfterFunc(3*time.Minute, func() { _ = cmd.Process.Kill() })
	defer slow.Stop()
	if err := cmd.Wait(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// TestPluginsAreListed: `logger plugins` lists every plugin with its settings, and shows no secret.
// If a plugin is broken, the list has the reason.
func TestPluginsAreListed(t *testing.T) {
	path := installHostile(t, "logger-storage-hostile", "exits")
	env := map[string]string{
		"LOGGER_PLUGIN_PATH": path + ":" + harness.Binary("plugins"), "DEIS_LOGGER_REDIS_PASSWORD": "hunter2",
		"NSQ_TOPIC": "other", "NSQ_HANDLER_COUNT": "many",
		"LOGGER_REDIS_URLS": "redis://:hunter2@redis:6379",
	}
	code, out, stderr := command(t, env, "plugins")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{
		"storage hostile: BROKEN: the plugin ended before it was ready: exit status 7; its last line: no licence found",
		"storage memory dev: ", "aggregator nsq dev: ", "protocol 1", "checksum unchecked",
		"********", "other (default logs)", `REFUSED: NSQ_HANDLER_COUNT="many"`, "256MiB (default)", "redis://********@redis:6379",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in:\n%s", want, out)
		}
	}
	if strings.Contains(out, "hunter2") {
		t.Error("a secret is shown")
	}
	code, out, _ = command(t, env, "plugins", "-o", "json")
	var list []struct {
		Kind, Name, Path, Checksum, Error string
		Protocol                          int
		Settings                          []struct{ Name, Default, Value, Error string }
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != 0 || len(list) != 4 {
		t.Fatalf("%v, exit code %d: %s", err, code, out)
	}
	for _, p := range list {
		if (p.Error != "") != (p.Name == "hostile") || p.Error == "" && (p.Protocol != 1 || len(p.Settings) == 0) || p.Path == "" {
			t.Errorf("got %+v", p)
		}
	}
	if strings.Contains(out, "hunter2") {
		t.Error("a secret is shown in JSON")
	}
}

// TestSecretsOfOtherPlugins: if a plugin declares another plugin's secret as plain text, it does
// not run, and no output shows the secret.
func TestSecretsOfOtherPlugins(t *testing.T) {
	const secret = "hunter2-of-some-length"
	path := installHostile(t, "logger-storage-owner", "owner") + ":" + installHostile(t, "logger-storage-thief", "thief")
	queue := harness.NewQueue(t)
	env := map[string]string{"HOSTILE_TOKEN": secret, "LOGGER_PLUGIN_PATH": path + ":" + harness.Binary("plugins")}
	const refused = "plugin storage-thief declares HOSTILE_TOKEN, which is a secret of plugin storage-owner"
	for _, args := range [][]string{{"plugins"}, {"plugins", "-o", "json"}} {
		code, out, stderr := command(t, env, args...)
		if code != 0 || stderr != "" || strings.Contains(out, secret) || strings.Count(out, refused) != 1 || strings.Count(out, "********") != 1 {
			t.Errorf("%q: exit code %d: %s%s", args, code, out, stderr)
		}
	}
	thief := map[string]string{"STORAGE_ADAPTER": "thief", "LOGGER_LOG_LEVEL": "error"}
	code, stderr := runToEnd(t, nil, env, harness.NSQEnv(queue.TCPAddr()), thief)
	if code != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, refused) || strings.Contains(stderr, secret) {
		t.Errorf("exit code %d: %s", code, stderr)
	}
	env["STORAGE_ADAPTER"] = "thief"
	if code, out, stderr := command(t, env, "doctor"); code != 1 || !strings.Contains(out, refused) || strings.Contains(out+stderr, secret) {
		t.Errorf("doctor: exit code %d: %s%s", code, out, stderr)
	}
	env["STORAGE_ADAPTER"] = "owner"
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), env)
	if p := l.Plugin("storage"); p.Name != "owner" {
		t.Errorf("the storage is %+v", p)
	}
}

// TestPluginsThatHangAreListed: plugins that hang delay the list only a little.
func TestPluginsThatHangAreListed(t *testing.T) {
	began := time.Now()
	code, out, stderr := command(t, map[string]string{"LOGGER_PLUGIN_PATH": installHostile(t, "logger-storage-hostile", "silent")}, "plugins")
	if code != 0 || !strings.Contains(out, "storage hostile: BROKEN: no handshake") {
		t.Errorf("exit code %d: %s%s", code, out, stderr)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
}

// TestCheckSpeaksAsTheHost: a plugin that does not run under the host does not run under the check,
// and both give the same reason.
func TestCheckSpeaksAsTheHost(t *testing.T) {
	for mode, tc := range map[string]struct {
		args []string
		want string
	}{
		"older":      {nil, "the plugin speaks version 0 of the plugin protocol and this logger 1: install a newer version of the plugin"},
		"exits":      {nil, "the plugin ended before it was ready: exit status 7; its last line: no licence found"},
		"dies":       {nil, "the plugin ended before it was ready: exit status 8; its last line: no disk found"},
		"handshake":  {nil, "no handshake: context deadline exceeded; its last line: welcome to my storage"},
		"aggregator": {nil, `logger-storage-hostile is aggregator plugin "hostile", not storage plugin "hostile"`},
		"demanding":  {nil, "HOSTILE_URL is not set: want text"},
		"greedy":     {nil, "plugin storage-hostile declares NSQ_AUTH_SECRET, which is for plugin aggregator-nsq alone"},
		"writable":   {nil, "group or others may write to it (mode -rwxrwx---)"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			path := installHostile(t, "logger-storage-hostile", mode) + "/logger-storage-hostile"
			if mode == "writable" {
				if err := os.Chmod(path, 0o770); err != nil {
					t.Fatal(err)
				}
			}
			code, out, stderr := command(t, nil, "plugins", "check", path)
			if code != 1 || out != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, tc.want) {
				t.Errorf("exit code %d: %s%s, want %s", code, out, stderr, tc.want)
			}
		})
	}
}

// TestCheckPassesOverAGreeting: a plugin may print a line on stdout before the handshake. It runs
// nevertheless, under the check as under the host, and the check warns of the line.
func TestCheckPassesOverAGreeting(t *testing.T) {
	t.Parallel() // it mostly waits
	path := installHostile(t, "logger-storage-hostile", "greets") + "/logger-storage-hostile"
	_, out, stderr := command(t, nil, "plugins", "check", path)
	if !strings.Contains(out, "pass     Describe") || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, `warning: the plugin printed "good morning" on stdout`) {
		t.Errorf("%s%s", out, stderr)
	}
}

// TestCheckTakesSecretsUnseen: the check takes a secret from a file or from a variable of the
// environment, so that no command line shows it.
func TestCheckTakesSecretsUnseen(t *testing.T) {
	t.Parallel() // it mostly waits
	const secret = "hunter2-of-some-length"
	redis := redistest.Start(t, "--requirepass", secret)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"DEIS_LOGGER_REDIS_PASSWORD": secret, "OTHER": secret}
	check := func(args ...string) (code int, out string) {
		t.Helper()
		code, out, stderr := command(t, env, append([]string{
			"plugins", "check", harness.Binary("plugins/logger-storage-redis"),
			"--setting", "DEIS_LOGGER_REDIS_SERVICE_HOST=" + redis.Host, "--setting", fmt.Sprintf("DEIS_LOGGER_REDIS_SERVICE_PORT=%d", redis.Port),
		}, args...)...)
		if strings.Contains(out+stderr, secret) {
			t.Errorf("%q: the secret is shown: %s%s", args, out, stderr)
		}
		return code, out + stderr
	}
	if code, out := check("--setting", "DEIS_LOGGER_REDIS_PASSWORD_FILE="+file); code != 0 {
		t.Errorf("by the variable for a file: exit code %d: %s", code, out)
	}
	for _, how := range [][]string{ // each mistake ends the command before the checks
		{"--setting-file", "DEIS_LOGGER_REDIS_PASSWORD=" + file},
		{"--setting-env", "DEIS_LOGGER_REDIS_PASSWORD"},
		{"--setting-env", "DEIS_LOGGER_REDIS_PASSWORD=OTHER"},
	} {
		if code, out := check(append(how, "--without", "NoSuch=x")...); code != 1 || !strings.Contains(out, "NoSuch") {
			t.Errorf("by %q: exit code %d: %s", how, code, out)
		}
	}
	if code, out := check(); code != 1 || !strings.Contains(out, "NOAUTH") {
		t.Errorf("without: exit code %d: %s", code, out)
	}
	for _, args := range [][]string{
		{"--setting-file", "DEIS_LOGGER_REDIS_PASSWORD=" + file + "-none"},
		{"--setting-env", "NO_SUCH_VARIABLE"},
		{"--setting-file", "A=" + file, "--setting", "A=x"},
	} {
		if code, out := check(args...); code != 2 || strings.Count(out, "\n") != 1 {
			t.Errorf("%q: exit code %d: %s", args, code, out)
		}
	}
}

// TestPluginIsCheckedWithoutItsBackend kills and freezes a Redis while its plugin is checked. The
// check finds out if the Redis loses lines when it is killed.
func TestPluginIsCheckedWithoutItsBackend(t *testing.T) {
	t.Parallel()
	for name, persists := range map[string]string{"keeps": "yes", "forgets": "no"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, addr := t.TempDir(), harness.FreeAddr(t)
			host, port, _ := net.SplitHostPort(addr)
			pid := filepath.Join(dir, "pid")
			start := fmt.Sprintf("redis-server --bind %s --port %s --dir '%s' --pidfile '%s' --save '' --appendonly %s --appendfsync always --daemonize yes >'%s/log'",
				host, port, dir, pid, persists, dir)
			signal := func(name string) string { return fmt.Sprintf("kill -%s $(cat '%s')", name, pid) }
			if out, err := exec.CommandContext(t.Context(), "sh", "-c", start).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			t.Cleanup(func() { _ = exec.CommandContext(context.Background(), "sh", "-c", signal("KILL")).Run() })
			code, out, stderr := command(t, nil, "plugins", "check", harness.Binary("plugins/logger-storage-redis"),
				"--setting", "DEIS_LOGGER_REDIS_SERVICE_HOST="+host, "--setting", "DEIS_LOGGER_REDIS_SERVICE_PORT="+port,
				"--break", signal("KILL"), "--mend", start, "--freeze", signal("STOP"), "--thaw", signal("CONT"))
			if kept := strings.Contains(out, " 0 failed, 0 left out"); stderr != "" || kept != (persists == "yes") || kept != (code == 0) {
				t.Errorf("exit code %d: %s%s", code, out, stderr)
			}
			if lost := strings.Contains(out, "fail     AwayKeeps"); lost != (persists == "no") || !strings.Contains(out, "pass     FrozenKeeps") {
				t.Errorf("AwayKeeps finds a loss: %t", lost)
			}
		})
	}
}

// TestPluginIsChecked: the check takes a plugin's name or its path, and its exit code agrees with
// its report.
func TestPluginIsChecked(t *testing.T) {
	t.Parallel() // it mostly waits
	redis := redistest.Start(t)
	redis.MustDo("SET", "somebody-elses", "value")
	bundled := map[string]string{"LOGGER_PLUGIN_PATH": harness.Binary("plugins"), "DEIS_LOGGER_REDIS_SERVICE_PORT": "1"}
	code, out, stderr := command(t, bundled, "plugins", "check", "redis",
		"--setting", "DEIS_LOGGER_REDIS_SERVICE_HOST="+redis.Host, "--setting", fmt.Sprintf("DEIS_LOGGER_REDIS_SERVICE_PORT=%d", redis.Port))
	if code != 0 || stderr != "" || !strings.Contains(out, "pass     ConcurrentWriters") || !strings.Contains(out, " 0 failed, 8 left out") {
		t.Errorf("redis: exit code %d: %s%s", code, out, stderr)
	}
	// Besides somebody-elses, only the count of deleted entries stays: the marks of followed apps
	// expire.
	for _, keyspace := range strings.Fields(redis.MustDo("INFO", "keyspace")) {
		var keys, expire int
		if n, _ := fmt.Sscanf(keyspace, "db0:keys=%d,expires=%d", &keys, &expire); n == 2 && keys-expire != 2 {
			t.Errorf("the check left something behind: %s", keyspace)
		}
	}
	code, out, stderr = command(t, nil, "plugins", "check", "--without", "OneLine=not today", harness.Binary("plugins/logger-storage-memory"))
	if code != 0 || !strings.Contains(out, "opt-out  OneLine") || !strings.Contains(out, "not today") || !strings.Contains(out, "9 left out") {
		t.Errorf("memory: exit code %d: %s%s", code, out, stderr)
	}
	hostilePath := map[string]string{"LOGGER_PLUGIN_PATH": installHostile(t, "logger-storage-hostile", "mute")}
	code, out, stderr = command(t, hostilePath, "plugins", "check", "hostile", "--setting", "HOSTILE_WORD=x", "-o", "json", "--break", "true", "--mend", "true")
	if falsely := regexp.MustCompile(`"check":"AwayKeeps",.*"outcome":"fail"`); !falsely.MatchString(out) {
		t.Errorf("one that acknowledges falsely: %s", out)
	}
	if code != 1 || !strings.Contains(out, `"check":"OrderOfPublishing"`) || !strings.Contains(out, `"outcome":"fail"`) || stderr != "" {
		t.Errorf("one that forgets: exit code %d: %s%s", code, out, stderr)
	}
	for _, args := range [][]string{
		{"nosuch"},
		{"redis", "--kind", "aggregator"},
		{harness.Binary("plugins/logger-storage-memory"), "--kind", "aggregator"},
		{"memory", "--setting", "NO_SUCH=1"},
		{"memory", "--without", "NoSuch=x"},
		{"redis", "--setting", "DEIS_LOGGER_REDIS_DB=x"},
	} {
		code, out, stderr := command(t, bundled, append([]string{"plugins", "check"}, args...)...)
		if code != 1 || strings.Count(stderr, "\n") != 1 || strings.Contains(out, "pass") {
			t.Errorf("%q: exit code %d: %s%s", args, code, out, stderr)
		}
	}
	for _, args := range [][]string{{}, {"memory", "redis"}, {"memory", "--setting", "x"}, {"memory", "-o", "xml"}, {"nsq", "--publish", "cat"}, {"memory", "--break", "true"}, {"memory", "--freeze", "true"}, {"memory", "--freeze", "true", "--thaw", "true"}} {
		if code, _, stderr := command(t, bundled, append([]string{"plugins", "check"}, args...)...); code != 2 {
			t.Errorf("%q: exit code %d: %s", args, code, stderr)
		}
	}
}
