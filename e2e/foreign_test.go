package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/host/plugin"
)

// readiness returns the status of /readyz, and what it says of the plugin of that kind.
func readiness(l *harness.Logger, kind string) (int, plugin.Status) {
	status, _, body := l.Do(http.MethodGet, "/readyz")
	var r struct{ Plugins []plugin.Status }
	_ = json.Unmarshal(body, &r) // if it is no JSON, nothing in it matches
	for _, p := range r.Plugins {
		if p.Kind == kind {
			return status, p
		}
	}
	return status, plugin.Status{}
}

// downLines returns the reasons that the host's log gives for the plugin being down.
func downLines(l *harness.Logger, name string) (reasons []string) {
	for _, text := range l.Logs() {
		var line struct {
			Message string `json:"@message"`
			Module  string `json:"@module"`
			Reason  string `json:"reason"`
		}
		if json.Unmarshal([]byte(text), &line) == nil && line.Message == "plugin is down" && strings.HasSuffix(line.Module, name) {
			reasons = append(reasons, line.Reason)
		}
	}
	return reasons
}

// TestForeignPlugins: whatever a stranger's plugin does wrong, the log has one clear line about it,
// /readyz shows the right state, reads are answered at once, and the host ends in order.
func TestForeignPlugins(t *testing.T) {
	for mode, tc := range map[string]struct {
		states []plugin.State // the state is one of these
		want   []string       // parts of the reason, and of the log's line
		serves bool           // /readyz answers 200
		quiet  bool           // the log does not call it down
	}{
		"handshake":   {[]plugin.State{plugin.BackingOff, plugin.Starting, plugin.Failed}, []string{"no handshake", "welcome to my storage"}, false, false},
		"older":       {[]plugin.State{plugin.BackingOff, plugin.Starting, plugin.Failed}, []string{"speaks version 0", "this logger 1", "install a newer version of the plugin"}, false, false},
		"newer":       {[]plugin.State{plugin.BackingOff, plugin.Starting, plugin.Failed}, []string{"speaks version 99", "this logger 1", "install a newer logger"}, false, false},
		"aggregator":  {[]plugin.State{plugin.BackingOff, plugin.Starting, plugin.Failed}, []string{`logger-storage-hostile is aggregator plugin "hostile", not storage plugin "hostile"`}, false, false},
		"exits":       {[]plugin.State{plugin.BackingOff, plugin.Starting, plugin.Failed}, []string{"the plugin ended before it was ready: exit status 7; its last line: no licence found"}, false, false},
		"silent":      {[]plugin.State{plugin.BackingOff, plugin.Starting, plugin.Failed}, []string{"no handshake"}, false, false},
		"junk":        {[]plugin.State{plugin.BackingOff, plugin.Starting, plugin.Failed}, []string{"describe"}, false, false},
		"never-ready": {[]plugin.State{plugin.Degraded}, []string{"hostile.example:1 is away"}, false, true},
		"floods":      {[]plugin.State{plugin.Ready}, nil, true, true},
		"grandchild":  {[]plugin.State{plugin.Ready}, nil, true, true},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			path := installHostile(t, "logger-storage-hostile", mode)
			queue := harness.NewQueue(t)
			l := harness.Launch(t, harness.NSQEnv(queue.TCPAddr()), map[string]string{
				"STORAGE_ADAPTER": "hostile", "LOGGER_PLUGIN_PATH": path + ":" + harness.Binary("plugins"),
			})
			matches := func(text string) bool {
				for _, want := range tc.want {
					if !strings.Contains(text, want) {
						return false
					}
				}
				return !strings.Contains(text, "\n")
			}
			l.Until("the state and its reason: "+strings.Join(tc.want, ", "), func() bool {
				code, p := readiness(l, "storage")
				state := false
				for _, s := range tc.states {
					state = state || p.State == s
				}
				return state && matches(p.Reason) && (code == http.StatusOK || !tc.serves) && (code == http.StatusServiceUnavailable || tc.serves)
			})
			began := time.Now()
			if code := l.Status("/logs/foo"); (code == http.StatusServiceUnavailable) == tc.serves && mode != "never-ready" {
				t.Errorf("a read: %d", code)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("a read took %s", took)
			}
			down := downLines(l, "storage-hostile")
			switch {
			case tc.quiet && len(down) > 0:
				t.Errorf("it is down: %q", down)
			case !tc.quiet && (len(down) == 0 || !matches(down[0])):
				t.Errorf("the log says %q, want one line with %q", down, tc.want)
			}
			if mode == "floods" {
				l.Until("the flood is cut", func() bool { return strings.Contains(l.Log(), "lines were left out") })
				time.Sleep(time.Second) // long enough to measure the flood
				if n := len(l.Logs()); n > 2000 {
					t.Errorf("%d lines in the host's log", n)
				}
			}
			l.Stop() // checks that it takes at most 10 s and leaves nothing behind
		})
	}
}

// TestForeignPluginWithoutItsSetting: if a required setting is missing, the host ends at its start
// with one line.
func TestForeignPluginWithoutItsSetting(t *testing.T) {
	path := installHostile(t, "logger-storage-hostile", "demanding")
	code, stderr := runToEnd(t, nil, map[string]string{
		"STORAGE_ADAPTER": "hostile", "LOGGER_PLUGIN_PATH": path + ":" + harness.Binary("plugins"), "LOGGER_LOG_LEVEL": "error",
	})
	if code != 1 || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "HOSTILE_URL is not set: want text") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}

// TestForeignPluginWhoseAppendsHang: a plugin whose appends hang is replaced, and reads are
// answered meanwhile.
func TestForeignPluginWhoseAppendsHang(t *testing.T) {
	t.Parallel() // it mostly waits
	path := installHostile(t, "logger-storage-hostile", "hangs")
	queue := harness.NewQueue(t)
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), map[string]string{
		"STORAGE_ADAPTER": "hostile", "LOGGER_PLUGIN_PATH": path + ":" + harness.Binary("plugins"),
	})
	queue.Publish("logs", harness.Numbered(1, 1))
	l.Until("the plugin is replaced", func() bool { return len(downLines(l, "storage-hostile")) > 0 })
	if reason := downLines(l, "storage-hostile")[0]; reason != "its appends do not return" {
		t.Errorf("reason %q", reason)
	}
	l.Until("another serves", func() bool { _, p := readiness(l, "storage"); return p.Restarts > 0 && p.State == plugin.Ready })
	if n := l.Metrics()["logger_messages_waiting"]; n != 1 {
		t.Errorf("%v messages wait, want the one", n)
	}
}

// TestUntrustedPlugins: with checksums, only plugins that the list contains run.
func TestUntrustedPlugins(t *testing.T) {
	queue := harness.NewQueue(t)
	dir := t.TempDir()
	sums := filepath.Join(dir, "SHA256SUMS")
	write := func(text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(sums, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(sums, mode); err != nil {
			t.Fatal(err)
		}
	}
	nsq, memory := harness.Binary("plugins/logger-aggregator-nsq"), harness.Binary("plugins/logger-storage-memory")
	good := sha256sum(t, nsq) + "  " + nsq + "\n" + sha256sum(t, memory) + "  " + memory + "\n"
	env := []map[string]string{harness.MemoryEnv(), harness.NSQEnv(queue.TCPAddr()), {"LOGGER_PLUGIN_CHECKSUMS": sums, "LOGGER_LOG_LEVEL": "error"}}
	for name, tc := range map[string]struct {
		text string
		mode os.FileMode
		want []string
	}{
		"differs":   {sha256sum(t, nsq) + "  " + nsq + "\n" + sha256sum(t, nsq) + "  " + memory + "\n", 0o600, []string{memory, sha256sum(t, memory), sha256sum(t, nsq), "line 2"}},
		"unlisted":  {sha256sum(t, nsq) + "  " + nsq + "\n", 0o600, []string{memory, sha256sum(t, memory), "not listed"}},
		"malformed": {"# sums\n" + good + "oops\n", 0o600, []string{"line 4", "oops"}},
		"writable":  {good, 0o666, []string{sums, "mode -rw-rw-rw-"}},
	} {
		t.Run(name, func(t *testing.T) {
			write(tc.text, tc.mode)
			code, stderr := runToEnd(t, nil, env...)
			if code != 1 || strings.Count(stderr, "\n") != 1 {
				t.Errorf("exit code %d: %s", code, stderr)
			}
			for _, want := range tc.want {
				if !strings.Contains(stderr, want) {
					t.Errorf("%q is not in: %s", want, stderr)
				}
			}
		})
	}
	write(good, 0o600)
	l := harness.Start(t, append(env, map[string]string{"LOGGER_LOG_LEVEL": "info"})...)
	for _, pid := range l.Plugins() {
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
		if err != nil || !strings.HasPrefix(exe, l.RunDir) {
			t.Errorf("process %d runs %s (%v), not a copy in %s", pid, exe, err, l.RunDir)
		}
	}
	queue.Publish("logs", harness.Numbered(1, 1))
	l.Settled(1)
}
