package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// record holds what the host reads: docs/plugins/payload.md.
type record struct {
	Log        string     `json:"log"`
	Time       string     `json:"time,omitempty"`
	Kubernetes kubernetes `json:"kubernetes"`
}

type kubernetes struct {
	Host   string `json:"host,omitempty"`
	Labels labels `json:"labels"`
}

type labels struct {
	App  string `json:"app"`
	Type string `json:"type,omitempty"`
}

// toRecord makes the payload of a message. What is no syslog is text without a header: no line
// is lost for its form.
func toRecord(message []byte, defaultApp string) []byte {
	r := parse(string(message))
	if r.Kubernetes.Labels.App = appName(r.Kubernetes.Labels.App); r.Kubernetes.Labels.App == "" {
		r.Kubernetes.Labels.App = defaultApp
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(r) // texts always have an encoding
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// appName makes a name that the logger takes as an app's: postfix/smtpd is postfix-smtpd.
func appName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' {
			return r
		}
		return '-'
	}, name)
	return strings.Trim(name, "-.")
}

// parse reads a message by RFC 5424, by RFC 3164, or by neither.
func parse(message string) (r record) {
	rest, ok := cutPriority(message)
	if !ok {
		return record{Log: message}
	}
	if r, ok := parse5424(rest); ok {
		return r
	}
	return parse3164(rest)
}

// cutPriority cuts <N> off, N from 0 to 191.
func cutPriority(s string) (rest string, ok bool) {
	number, rest, found := strings.Cut(strings.TrimPrefix(s, "<"), ">")
	if !found || !strings.HasPrefix(s, "<") || len(number) < 1 || len(number) > 3 || strings.Trim(number, "0123456789") != "" {
		return "", false
	}
	return rest, len(number) < 3 || number <= "191"
}

// parse5424 reads "1 TIME HOST APP PROCID MSGID DATA TEXT", in which "-" stands for nothing.
func parse5424(s string) (r record, ok bool) {
	s, ok = strings.CutPrefix(s, "1 ")
	var fields [5]string
	for i := range fields {
		var found bool
		if fields[i], s, found = strings.Cut(s, " "); !found || fields[i] == "" {
			return r, false
		}
		if fields[i] == "-" {
			fields[i] = ""
		}
	}
	text, sound := cutData(s)
	if !ok || !sound {
		return r, false
	}
	r.Log = strings.TrimPrefix(text, "\ufeff")
	r.Time, r.Kubernetes.Host = fields[0], fields[1]
	r.Kubernetes.Labels = labels{App: fields[2], Type: fields[3]}
	return r, true
}

// cutData cuts off the structured data: "-", or elements such as [id key="a \"value\""].
func cutData(s string) (text string, ok bool) {
	quoted, inside, end := false, false, 0
	for end < len(s) && (inside || s[end] == '[' || s[end] == '-' && end == 0) {
		switch c := s[end]; {
		case quoted && c == '\\':
			end++
		case c == '"':
			quoted = !quoted && inside
		case !quoted && (c == '[' || c == ']'):
			inside = c == '['
		}
		end++
	}
	if end == 0 || end > len(s) || inside {
		return "", false
	}
	if end == len(s) {
		return "", true
	}
	return s[end+1:], s[end] == ' '
}

// stampLayout is RFC 3164's time. It has neither a year nor a zone, so it is of no use: the logger
// shows when the message came instead.
const stampLayout = "Jan _2 15:04:05"

// parse3164 reads "TIME HOST TAG[PID]: TEXT", in which the time may also be of RFC 3339, and
// whatever is missing, missing.
func parse3164(s string) (r record) {
	header := s
	if len(s) > len(stampLayout) {
		if _, err := time.Parse(stampLayout, s[:len(stampLayout)]); err == nil {
			header = strings.TrimPrefix(s[len(stampLayout):], " ")
		}
	}
	if stamp, rest, ok := strings.Cut(s, " "); ok {
		if _, err := time.Parse(time.RFC3339, stamp); err == nil {
			r.Time, header = stamp, rest
		}
	}
	// A host is a word before the tag, which ends in a colon.
	host, rest, ok := strings.Cut(header, " ")
	tag, text, tagged := cutTag(rest)
	if !ok || !tagged || strings.HasSuffix(host, ":") {
		host = ""
		tag, text, tagged = cutTag(header)
	}
	r.Log = header
	if tagged {
		r.Log, r.Kubernetes.Host = text, host
		app, pid, _ := strings.Cut(strings.TrimSuffix(tag, "]"), "[")
		r.Kubernetes.Labels = labels{App: app, Type: pid}
	}
	return r
}

// cutTag cuts "TAG: " off, TAG a word.
func cutTag(s string) (tag, text string, ok bool) {
	tag, text, ok = strings.Cut(s, ":")
	if !ok || tag == "" || len(tag) > 64 || strings.ContainsAny(tag, " \t\"{") {
		return "", s, false
	}
	return tag, strings.TrimPrefix(text, " "), true
}
