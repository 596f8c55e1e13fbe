package e2e

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/internal/testrun"
)

// TestHostsOnOnePlugin: two hosts share a storage plugin that neither has started. If one host
// stops, the other loses nothing. A host that trusts another authority is refused.
func TestHostsOnOnePlugin(t *testing.T) {
	t.Parallel()
	ours, foreign := redistest.NewCertificates(t), redistest.NewCertificates(t)
	_, reattach := harness.Elsewhere(t, "storage-memory", "tcp://127.0.0.1:0",
		"LOGGER_PLUGIN_TLS_CERT_FILE="+ours.CertFile, "LOGGER_PLUGIN_TLS_KEY_FILE="+ours.KeyFile, "LOGGER_PLUGIN_TLS_CA_FILE="+ours.CAFile)
	_, at, _ := strings.Cut(reattach, `"String":"`)
	at, _, _ = strings.Cut(at, `"`)
	env := map[string]string{
		"STORAGE_ADAPTER": "memory", "LOGGER_STORAGE_ADDR": "dns:///" + at, "LOGGER_STORAGE_TLS_CERT_FILE": ours.CertFile,
		"LOGGER_STORAGE_TLS_KEY_FILE": ours.KeyFile, "LOGGER_STORAGE_TLS_CA_FILE": ours.CAFile,
	}
	queues := []string{"a", "b"}
	var hosts []*harness.Logger
	for i := range queues {
		queue := harness.NewQueue(t)
		l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), env)
		queue.Publish("logs", harness.Numbered(1, i))
		hosts = append(hosts, l)
	}
	for _, l := range hosts {
		l.Until("the lines of both", func() bool { return l.Lines("app-0") != "" && l.Lines("app-1") != "" })
	}
	for _, l := range hosts { // the plugin counts for both hosts together
		l.Until("the plugin's own metrics", func() bool { return l.Metrics()["logger_storage_memory_known_apps"] == 2 })
	}
	hosts[0].Signal(syscall.SIGTERM)
	hosts[0].Ended(0)
	if hosts[1].Lines("app-0") != harness.NumberedLine(1, 0) {
		t.Errorf("after the other host's end: %q", hosts[1].Lines("app-0"))
	}
	stranger := harness.Launch(t, harness.NSQEnv(harness.NewQueue(t).TCPAddr()), env, map[string]string{"LOGGER_STORAGE_TLS_CA_FILE": foreign.CAFile})
	stranger.Until("the reason is told", func() bool {
		return strings.Contains(stranger.Plugin("storage").Reason, "certificate signed by unknown authority")
	})
	code, stderr := runToEnd(t, nil, harness.NSQEnv("127.0.0.1:1"), env, map[string]string{"NUMBER_OF_LINES": "7"})
	if code != 1 || !strings.Contains(stderr, "other values of NUMBER_OF_LINES: want the same settings from every logger") {
		t.Errorf("a host with other settings: exit code %d: %s", code, stderr)
	}
}

// devOn starts `logger dev` and waits until both its plugins are up.
func devOn(t *testing.T, env map[string]string) (l *harness.Logger, stdout, log *testrun.Output) {
	t.Helper()
	cmd, runDir := harness.Command(t, []string{"dev"}, env)
	stdout, log = &testrun.Output{}, &testrun.Output{}
	cmd.Stdout, cmd.Stderr = stdout, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l = harness.Attach(t, cmd, runDir)
	l.Until("both plugins are up", func() bool { return strings.Count(log.String(), "plugin is up") == 2 })
	return l, stdout, log
}

// TestReattach: `logger dev` attaches to the plugin that the variable names. If that plugin stands
// still, for longer than a host would allow, it can go on afterwards. `logger serve` refuses the
// variable.
func TestReattach(t *testing.T) {
	t.Parallel()
	plugin, reattach := harness.Elsewhere(t, "storage-memory", "unix://"+filepath.Join(harness.RunDir(t), "s"))
	env := map[string]string{
		"LOGGER_DEV_NSQD_TCP_ADDR": "127.0.0.1:0", "LOGGER_DEV_NSQD_HTTP_ADDR": "127.0.0.1:0", "LOGGER_PLUGIN_REATTACH": reattach,
	}
	code, stderr := runToEnd(t, nil, harness.MemoryEnv(), env)
	if code != 1 || !strings.Contains(stderr, "LOGGER_PLUGIN_REATTACH is for debugging, with logger dev") {
		t.Errorf("logger serve: exit code %d: %s", code, stderr)
	}
	l, stdout, log := devOn(t, env)
	if !strings.Contains(log.String(), "ATTACHED FOR DEBUGGING") {
		t.Errorf("no banner in %s", log)
	}
	if out := paste(t, stdout.String(), "publish a line"); out != "OK" {
		t.Errorf("publish: %q", out)
	}
	kept := func() bool { return paste(t, stdout.String(), "read its lines") != "" }
	l.Until("the line is there", kept)
	if err := plugin.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	l.Until("it is told", func() bool { return strings.Contains(log.String(), "breakpoint") })
	time.Sleep(4 * time.Second) // by now a host would have killed a plugin that it started itself
	if err := plugin.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	l.Until("it goes on", func() bool { return strings.Contains(log.String(), "plugin is ready again") })
	if n := strings.Count(log.String(), "plugin is up"); n != 2 || !kept() {
		t.Errorf("%d times a plugin came up, want 2: %s", n, log)
	}
	l.Signal(syscall.SIGTERM)
	l.Ended(0)
	if err := plugin.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("the plugin ended with its host: %v", err)
	}
}

// TestDevReloads: if a plugin's file changes, `logger dev` restarts the plugin within a second, and
// keeps the lines in memory.
func TestDevReloads(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"logger-storage-memory", "logger-aggregator-nsq"} {
		copyProgram(t, filepath.Join(dir, name), harness.Binary("plugins/"+name))
	}
	l, stdout, log := devOn(t, map[string]string{
		"LOGGER_DEV_NSQD_TCP_ADDR": "127.0.0.1:0", "LOGGER_DEV_NSQD_HTTP_ADDR": "127.0.0.1:0", "LOGGER_PLUGIN_PATH": dir,
	})
	paste(t, stdout.String(), "publish a line")
	l.Until("the line is there", func() bool { return paste(t, stdout.String(), "read its lines") != "" })
	path := filepath.Join(dir, "logger-storage-memory")
	copyProgram(t, path+".new", path)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	l.Until("it is up again", func() bool { return strings.Count(log.String(), "plugin is up") == 3 })
	t.Logf("up again after %s", time.Since(began))
	if paste(t, stdout.String(), "read its lines") == "" {
		t.Error("the lines in memory are gone")
	}
	if strings.Contains(log.String(), "plugin is down") {
		t.Errorf("a changed file counts as a failure: %s", log)
	}
}

// copyProgram copies an executable.
func copyProgram(t *testing.T, to, from string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestAggregatorElsewhere: an aggregator that the host has not started may be killed and started
// again. After the first host has stopped it serves the next one.
func TestAggregatorElsewhere(t *testing.T) {
	t.Parallel()
	queue, address := harness.NewQueue(t), "unix://"+filepath.Join(harness.RunDir(t), "s")
	plugin, _ := harness.Elsewhere(t, "aggregator-nsq", address)
	env := []map[string]string{harness.NSQEnv(queue.TCPAddr()), harness.MemoryEnv(), {"LOGGER_AGGREGATOR_ADDR": address}}
	first := harness.Start(t, env...)
	keeps := func(l *harness.Logger, app int) {
		t.Helper()
		queue.Publish("logs", harness.Numbered(1, app))
		want := harness.NumberedLine(1, app)
		l.Until("the line is kept", func() bool { return l.Lines(fmt.Sprint("app-", app)) == want })
	}
	keeps(first, 0)
	if err := plugin.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = plugin.Wait()
	harness.Elsewhere(t, "aggregator-nsq", address)
	keeps(first, 1)
	if n := len(first.Plugins()); n != 1 {
		t.Errorf("%d processes of the host's, want the storage's alone", n)
	}
	first.Signal(syscall.SIGTERM)
	first.Ended(0)
	keeps(harness.Start(t, env...), 2)
	if stats := queue.Channel("logs", "consume"); stats.Messages != 3 {
		t.Errorf("the channel: %+v", stats)
	}
}
