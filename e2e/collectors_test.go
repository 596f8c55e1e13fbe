package e2e

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/deis/logger/e2e/harness"
)

// TestCurlOfTheDocs runs the commands of docs/collectors.md.
func TestCurlOfTheDocs(t *testing.T) {
	queue := harness.NewQueue(t)
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.MemoryEnv())
	commands := examplesOf(t, "collectors.md", "\n## curl\n")
	for i, command := range commands {
		cmd := exec.CommandContext(t.Context(), "bash", "-c", strings.Replace(command, "127.0.0.1:4151", queue.HTTPAddr(), 1))
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "OK") {
			t.Fatalf("%s: %v, %s", command, err, out)
		}
		l.Settled(i + 1)
	}
	want := regexp.MustCompile(`^\S+ foo\[\.\]: hello\n2026-01-02T03:04:05\+00:00 foo\[web\.v2\.x\]: hello\n$`)
	if got := l.Lines("foo"); len(commands) != 2 || !want.MatchString(got) {
		t.Errorf("%d commands; got %q", len(commands), got)
	}
}

// TestWhichLinesAreWhose: the settings of label, selector, namespaces and controller decide which
// app a line belongs to, and which lines are rejected.
func TestWhichLinesAreWhose(t *testing.T) {
	queue := harness.NewQueue(t)
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.MemoryEnv(), map[string]string{
		"LOGGER_APP_LABEL": "app.kubernetes.io/name", "LOGGER_LABEL_SELECTOR": "heritage=drycc", "LOGGER_NAMESPACES_EXCLUDE": "kube-system",
		"LOGGER_CONTROLLER_CONTAINER": "drycc-controller", "LOGGER_CONTROLLER_NAMESPACE": "drycc", "LOGGER_CONTROLLER_NAME": "drycc",
	})
	for _, m := range []string{
		`{"log":"mine","time":1476822578,"kubernetes":{"labels":{"app.kubernetes.io/name":"foo","heritage":"drycc"}}}`,
		`{"log":"underscores","time":1476822578,"kubernetes":{"labels":{"app_kubernetes_io/name":"foo","heritage":"drycc"}}}`,
		`{"log":"INFO [foo]: believed","time":1476822578,"kubernetes":{"namespace_name":"drycc","container_name":"drycc-controller","labels":{"heritage":"drycc"}}}`,
		`{"log":"INFO [foo]: forged","time":1476822578,"kubernetes":{"namespace_name":"evil","container_name":"x-drycc-controller","labels":{"app.kubernetes.io/name":"evil","heritage":"drycc"}}}`,
		`{"log":"another's","kubernetes":{"labels":{"app.kubernetes.io/name":"foo"}}}`,
		`{"log":"the cluster's","kubernetes":{"namespace_name":"kube-system","labels":{"app.kubernetes.io/name":"foo","heritage":"drycc"}}}`,
		`{"log":"of no app","kubernetes":{"labels":{"app":"foo","heritage":"drycc"}}}`,
	} {
		queue.Publish("logs", []byte(m))
	}
	m := l.Settled(7)
	const at = "2016-10-18T20:29:38+00:00 "
	for app, want := range map[string]string{
		"foo":  at + "foo[.]: mine\n" + at + "foo[.]: underscores\n" + at + "drycc[controller]: INFO believed\n",
		"evil": at + "evil[.]: INFO [foo]: forged\n",
	} {
		if got := l.Lines(app); got != want {
			t.Errorf("%s: got %q, want %q", app, got, want)
		}
		newCLI(t, l.URL).want(0, want, "", "tail", app, "-t") // with -t, times keep the lines' own zone
	}
	for name, want := range map[string]float64{
		`logger_messages_rejected_total{reason="not_selected"}`: 2, `logger_messages_rejected_total{reason="no_app"}`: 1,
		`logger_messages_text_total{key="log"}`: 4, `logger_messages_time_total{form="epoch_s"}`: 4,
	} {
		if m[name] != want {
			t.Errorf("%s is %v, want %v", name, m[name], want)
		}
	}
	if log := l.Log(); strings.Contains(log, "the cluster's") || !strings.Contains(log, "no_app") {
		t.Errorf("the log: %s", log)
	}
}
