package doctor

import "strings"

// senders maps the collector in the metrics' labels to its name in a sentence.
var senders = map[string]string{
	"fluentd": "fluentd's", "fluent-bit": "fluent-bit's", "vector": "Vector's", "syslog": "rsyslog's or syslog-ng's", "unknown": "nobody's that is known",
}

// timeForms describes how a record's time is written.
var timeForms = map[string]string{
	"rfc3339": "as RFC 3339", "no_offset": "as a date without offset, taken for UTC", "epoch_s": "as a number of seconds", "epoch_ms": "as a number of milliseconds",
	"epoch_us": "as a number of microseconds", "epoch_ns": "as a number of nanoseconds",
	"missing": "missing, so that of publishing is shown", "unusable": "unusable, so that of publishing is shown",
}

// fault tells why a record is rejected, and what the record looks like. An empty collector stands
// for any.
type fault struct{ reason, collector, form string }

// sendersFaults tells what makes collectors send such records, and what to do about it.
var sendersFaults = map[fault]struct{ cause, advice string }{
	{"malformed", "fluent-bit", "messagepack"}: {"fluent-bit sends MessagePack", "Set `Format json_lines` in its [OUTPUT]"},
	{"malformed", "", "compressed"}:            {"the collector compresses, and nsqd does not decompress", "Remove `compress gzip` from fluent-bit's [OUTPUT], `compression` from Vector's sink"},
	{"malformed", "", "cri"}: {
		"the collector sends the lines of containerd's files as they are",
		"Let it make records of them: in fluent-bit `multiline.parser docker, cri`, in fluentd <parse> of the source, and JSON at the output",
	},
	{"malformed", "syslog", "syslog"}: {"rsyslog or syslog-ng sends syslog's own lines", "Give its output a template of JSON: docs/collectors.md has one"},
	{"malformed", "", "text"}:         {"the collector sends bare text", "Let it send JSON: in Vector `encoding: {codec: json}`, in fluent-bit `Format json_lines`"},

	{"no_app", "fluent-bit", "no_kubernetes"}: {"fluent-bit has no Kubernetes filter, or none that matches the tag", "Add [FILTER] `Name kubernetes` with `Match` of the input's Tag"},
	{"no_app", "fluent-bit", "no_labels"}:     {"fluent-bit sends no labels", "Set `Labels On` in its Kubernetes filter, and let its account read pods from the API server"},
	{"no_app", "fluentd", "no_kubernetes"}:    {"fluentd has no kubernetes_metadata filter", "Add <filter kubernetes.**> `@type kubernetes_metadata`"},
	{"no_app", "fluentd", "no_labels"}:        {"fluentd sends no labels", "Remove `skip_labels true` from its kubernetes_metadata filter, and let its account read pods from the API server"},
	{"no_app", "vector", "no_kubernetes"}:     {"Vector's source is no kubernetes_logs", "Set `type: kubernetes_logs`"},
	{"no_app", "vector", "no_labels"}:         {"Vector sends no pod_labels", "Let no `pod_annotation_fields`, `remap` or `except_fields` take them away"},

	{"no_log", "fluent-bit", "labels"}: {"fluent-bit sends the text under another key", "Set `Keep_Log On` in its Kubernetes filter, or let the parser name the text `log`"},
	{"no_log", "fluentd", "labels"}:    {"fluentd sends the text under another key", "Let the expression of its <parse> name the text `message`, or set `reserve_data true` where a parser follows"},
	{"no_log", "vector", "labels"}:     {"Vector sends the text under another key", "Let the `remap` keep `.message`, and set no `log_schema.message_key`"},
}

// selection describes which lines belong to which app, according to this environment.
func (d *doctor) selection() string {
	s := "the label " + d.host.AppLabel + " names the app"
	if d.host.LabelSelector != "" {
		s += ", of pods with " + d.host.LabelSelector
	}
	if d.host.NamespacesExclude != "" {
		s += ", except in " + strings.ReplaceAll(d.host.NamespacesExclude, ",", ", ")
	}
	return s
}
