package e2e

import (
	"strings"
	"testing"
)

// TestDoctorNamesTheCollector: if a collector's configuration is wrong, the verdict names the
// collector, the reason and the remedy. The test publishes what such a collector would.
func TestDoctorNamesTheCollector(t *testing.T) {
	const fluentBit = `"date":1476822578.5,"stream":"stdout",`
	const pod = `"kubernetes":{"pod_name":"foo-web-1-x","namespace_name":"foo","labels":{"app":"foo"}}}`
	for name, tc := range map[string]struct{ payload, want string }{
		"fluent-bit: the default format": {
			"\x92\xd7\x00\x58\x06\x85\x72\x1d\xcd\x65\x00\x82\xa3log\xa5hello\xa6stream\xa6stdout",
			"malformed: fluent-bit sends MessagePack. Set `Format json_lines`",
		},
		"fluent-bit: compress gzip": {
			"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\xaa\x56\xca\xc9\x4f\x57\xb2\x52",
			"malformed: the collector compresses, and nsqd does not decompress. Remove `compress gzip`",
		},
		"no parser": {
			"2016-10-18T20:29:38.123456789+00:00 stdout F hello",
			"malformed: the collector sends the lines of containerd's files as they are. Let it make records of them: in fluent-bit `multiline.parser docker, cri`",
		},
		"rsyslog: no template": {
			"<14>Oct 18 20:29:38 node-1 foo-web: hello",
			"malformed: rsyslog or syslog-ng sends syslog's own lines. Give its output a template of JSON",
		},
		"vector: codec text": {
			"hello", "malformed: the collector sends bare text. Let it send JSON: in Vector `encoding: {codec: json}`",
		},
		"fluent-bit: no Kubernetes filter": {
			`{` + fluentBit + `"log":"hello"}`, "no_app: fluent-bit has no Kubernetes filter, or none that matches the tag. Add [FILTER] `Name kubernetes`",
		},
		"fluent-bit: Labels Off": {
			`{` + fluentBit + `"log":"hello","kubernetes":{"pod_name":"foo-web-1-x","namespace_name":"foo"}}`,
			"no_app: fluent-bit sends no labels. Set `Labels On`",
		},
		"fluent-bit: Merge_Log without Keep_Log": {
			`{` + fluentBit + `"event":"hello",` + pod, "no_log: fluent-bit sends the text under another key. Set `Keep_Log On`",
		},
		"fluentd: no kubernetes_metadata": {
			`{"stream":"stdout","logtag":"F","message":"hello","_ts":1476822578}`, "no_app: fluentd has no kubernetes_metadata filter. Add <filter kubernetes.**>",
		},
		"fluentd: a parser that names the text otherwise": {
			`{"stream":"stdout","logtag":"F","content":"hello",` + pod, "no_log: fluentd sends the text under another key. Let the expression of its <parse> name the text `message`",
		},
		"vector: source file": {
			`{"file":"/var/log/pods/x/0.log","host":"node-1","message":"hello","source_type":"file","timestamp":"2016-10-18T20:29:38Z"}`,
			"no_app: Vector's source is no kubernetes_logs. Set `type: kubernetes_logs`",
		},
		"vector: a remap without message": {
			`{"text":"hello","source_type":"kubernetes_logs","timestamp":"2016-10-18T20:29:38Z","kubernetes":{"pod_labels":{"app":"foo"}}}`,
			"no_log: Vector sends the text under another key. Let the `remap` keep `.message`",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			queue, l, env := running(t)
			queue.Publish("logs", []byte(tc.payload))
			l.Settled(1)
			code, output := patient{env, "foo"}.examine(t)
			if want := "verdict: rejects: all messages are rejected, for being " + tc.want; code != 1 || !strings.Contains(output, want) {
				t.Errorf("exit code %d\n%s\nwant %s", code, output, want)
			}
		})
	}
}

// TestDoctorTellsTheShape: the doctor says what the latest messages look like, how their apps are
// found, and how many were not selected.
func TestDoctorTellsTheShape(t *testing.T) {
	queue, l, env := running(t, map[string]string{"LOGGER_LABEL_SELECTOR": "heritage=deis", "LOGGER_NAMESPACES_EXCLUDE": "kube-system"})
	const labels = `"labels":{"app":"foo","heritage":"deis"}}}`
	for _, m := range []string{
		`{"log":"x","kubernetes":{"namespace_name":"kube-system",` + labels,
		`{"log":"x","kubernetes":{"namespace_name":"kube-system",` + labels,
		`{"log":"x","kubernetes":{"namespace_name":"other","labels":{"app":"foo"}}}`,
		`{"message":"x","timestamp":"2016-10-18T20:29:38Z","source_type":"kubernetes_logs","kubernetes":{"pod_labels":{"app":"foo","heritage":"deis"}}}`,
		`{"log":"x","date":1476822578.5,"kubernetes":{"namespace_name":"foo",` + labels,
	} {
		queue.Publish("logs", []byte(m))
	}
	l.Settled(5)
	code, output := patient{env, "foo"}.examine(t)
	for _, want := range []string{
		"the latest look like fluent-bit's: text under log, time as a number of seconds",
		"the label app names the app, of pods with heritage=deis, except in kube-system",
		"3 are not selected (2 of kube-system, 1 of other)",
	} {
		if code != 0 || !strings.Contains(output, want) {
			t.Errorf("exit code %d, want %q in\n%s", code, want, output)
		}
	}
}
