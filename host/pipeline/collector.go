package pipeline

import (
	"bytes"
	"regexp"
)

// origin says what a record looks like: which collector made it, and in which form. It is a guess
// for the operator, by what only that collector writes.
type origin struct{ collector, form string }

// The forms of a record.
const (
	formLabels       = "labels"        // JSON with labels
	formNoLabels     = "no_labels"     // JSON with a kubernetes object that has no labels
	formNoKubernetes = "no_kubernetes" // JSON without a kubernetes object
	formMessagePack  = "messagepack"
	formCompressed   = "compressed"
	formCRI          = "cri"    // a line of containerd's files
	formSyslog       = "syslog" // a line with a priority in front
	formText         = "text"   // anything else
)

// originBytes bounds the part of a record that originOf looks at.
const originBytes = 4 << 10

var (
	criLine    = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\S+ std(out|err) [FP] `)
	syslogLine = regexp.MustCompile(`^<\d{1,3}>`)

	// collectorMarks are keys that only one collector writes.
	collectorMarks = []struct{ mark, collector string }{
		{`"source_type":`, "vector"},
		{`"pod_labels":`, "vector"},
		{`"date":`, "fluent-bit"},
		{`"_p":`, "fluent-bit"},
		{`"docker_id":`, "fluent-bit"},
		{`"docker":{"container_id"`, "fluentd"},
		{`"logtag":`, "fluentd"},
		{`"_ts":`, "fluentd"},
		{`"@timestamp":`, "fluentd"},
		{`"container_image_id":`, "fluentd"},
	}
)

// originOf guesses the origin of the record at the beginning of b.
func originOf(b []byte) origin {
	b = bytes.TrimLeft(b[:min(len(b), originBytes)], " \t\r\n[")
	has := func(mark string) bool { return bytes.Contains(b, []byte(mark)) }
	switch {
	case len(b) == 0:
		return origin{"unknown", formText}
	case b[0] == 0x1f && bytes.HasPrefix(b, []byte("\x1f\x8b")):
		return origin{"unknown", formCompressed}
	case b[0] >= 0x80 && b[0] <= 0x9f, b[0] >= 0xdc && b[0] <= 0xdf && len(b) > 1 && b[1] < 0x80:
		return origin{"fluent-bit", formMessagePack}
	case criLine.Match(b):
		return origin{"unknown", formCRI}
	case syslogLine.Match(b):
		return origin{"syslog", formSyslog}
	case b[0] != '{':
		return origin{"unknown", formText}
	}
	o := origin{"unknown", formNoKubernetes}
	for _, m := range collectorMarks {
		if has(m.mark) {
			o.collector = m.collector
			break
		}
	}
	switch {
	case has(`labels":`):
		o.form = formLabels
	case has(`"kubernetes":`):
		o.form = formNoLabels
	}
	return o
}
