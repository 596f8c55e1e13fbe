package doctor

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	dto "github.com/prometheus/client_model/go"
)

// rejectAdvice tells, by reason, what to do about messages that can never be stored.
var rejectAdvice = map[string]string{
	"malformed":           "Let the collectors publish JSON: objects, or an array of them",
	"no_log":              "Let the collectors send the text under `log`, `message` or `msg`",
	"no_app":              "Let the pods have the label that LOGGER_APP_LABEL names (`app`), and the collectors send kubernetes.labels; LOGGER_LABEL_SELECTOR leaves other pods out",
	"bad_app":             "An app's name has letters, digits, '-', '_' or '.', with a letter or digit at both ends: correct the label that LOGGER_APP_LABEL names",
	"bad_controller_line": "Lines of the controller read `LEVEL [app]: text`: does another container have LOGGER_CONTROLLER_CONTAINER in its name? LOGGER_CONTROLLER_NAMESPACE tells them apart",
	notSelected:           "Look at LOGGER_LABEL_SELECTOR and LOGGER_NAMESPACES_EXCLUDE",
	"refused":             "The logger's log says why the storage refuses them",
}

// messages judges what became of the messages that the logger received.
func (d *doctor) messages() {
	v := d.logger
	if v.err != nil {
		d.unknown(hopMessages, "no logger to ask")
		return
	}
	received, ok := v.metric("logger_messages_received_total")
	if !ok {
		d.unknown(hopMessages, "the logger's /metrics does not tell")
		return
	}
	stored, _ := v.metric("logger_messages_stored_total")
	copies, _ := v.metric("logger_messages_duplicate_total")
	waiting, _ := v.metric("logger_messages_waiting")
	retries, _ := v.metric("logger_append_retries_total")
	last, _ := v.metric("logger_last_received_timestamp_seconds")
	seen := fmt.Sprintf("%.0f received, %.0f stored, %.0f duplicates, %.0f waiting", received, stored, copies, waiting)
	if last > 0 {
		seen += fmt.Sprintf("; the last came %s ago", ago(time.Now(), time.UnixMilli(int64(last*1000))))
	}
	if shape := v.info("logger_latest_record_info"); shape != nil {
		seen += fmt.Sprintf("; the latest look like %s: text under %s, time %s", senders[shape["collector"]], shape["text"], timeForms[shape["time"]])
	}
	if retries > 0 {
		seen += fmt.Sprintf("; %.0f appends were tried again", retries)
	}
	seen += "; " + d.selection()
	switch {
	case received == 0:
		d.warn(hopMessages, "the logger has received none since it started")
	case waiting > 0:
		d.warn(hopMessages, "%s", seen)
	default:
		d.ok(hopMessages, "%s", seen)
	}
	d.rejects(received, copies)
}

// notSelected is the reason of records that the settings leave out. That is a fault only if they
// leave out everything.
const notSelected = "not_selected"

// rejects judges the messages that can never be stored. Good messages may still wait behind them,
// so all count as rejected only if everything received was rejected or a duplicate.
func (d *doctor) rejects(received, copies float64) {
	type reason struct {
		name  string
		count float64
	}
	var reasons []reason
	total, leftOut := 0.0, 0.0
	for _, m := range d.logger.metrics["logger_messages_rejected_total"].GetMetric() {
		for _, l := range m.GetLabel() {
			switch n := value(m); {
			case l.GetName() != "reason" || n == 0:
			case l.GetValue() == notSelected:
				leftOut = n
			default:
				reasons = append(reasons, reason{l.GetValue(), n})
				total += n
			}
		}
	}
	received -= leftOut
	namespaces := d.leftOutNamespaces()
	switch {
	case leftOut > 0 && received == copies:
		d.fail(hopRejects, fmt.Sprintf("%.0f of %.0f are not selected%s", leftOut, received+leftOut, namespaces), "the settings leave all messages out", rejectAdvice[notSelected])
		return
	case total == 0 && leftOut > 0:
		d.ok(hopRejects, "none; %.0f are not selected%s", leftOut, namespaces)
		return
	case total == 0:
		d.ok(hopRejects, "none")
		return
	}
	slices.SortFunc(reasons, func(a, b reason) int { return cmp.Compare(b.count, a.count) })
	parts := make([]string, len(reasons))
	for i, r := range reasons {
		parts[i] = fmt.Sprintf("%.0f %s", r.count, r.name)
	}
	seen := fmt.Sprintf("%.0f of %.0f: %s", total, received, strings.Join(parts, ", "))
	if leftOut > 0 {
		seen += fmt.Sprintf("; %.0f more are not selected%s", leftOut, namespaces)
	}
	cause, advice := "", cmp.Or(rejectAdvice[reasons[0].name], "The logger's log shows how they begin")
	if r := d.logger.info("logger_latest_reject_info"); r != nil && r["reason"] == reasons[0].name {
		if s, ok := sendersFaults[fault{r["reason"], r["collector"], r["form"]}]; ok {
			cause, advice = ": "+s.cause, s.advice
		} else if s, ok := sendersFaults[fault{reason: r["reason"], form: r["form"]}]; ok {
			cause, advice = ": "+s.cause, s.advice
		}
	}
	if total+copies >= received {
		d.fail(hopRejects, seen, fmt.Sprintf("all messages are rejected, for being %s%s", reasons[0].name, cause),
			advice+"; the logger's log shows how the messages begin")
		return
	}
	d.rejected, d.remedy = seen, advice
	d.warn(hopRejects, "%s%s (%s)", seen, cause, advice)
}

// leftOutNamespaces lists the namespaces whose records are not selected, the most frequent first.
func (d *doctor) leftOutNamespaces() string {
	metrics := slices.SortedFunc(slices.Values(d.logger.metrics["logger_messages_not_selected_total"].GetMetric()), func(a, b *dto.Metric) int {
		return cmp.Compare(value(b), value(a))
	})
	metrics = metrics[:min(len(metrics), maxNamespaces)]
	parts := make([]string, 0, len(metrics))
	for _, m := range metrics {
		parts = append(parts, fmt.Sprintf("%.0f of %s", value(m), cmp.Or(m.GetLabel()[0].GetValue(), "no namespace")))
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// maxNamespaces bounds how many namespaces are listed.
const maxNamespaces = 5

// app judges whether there are lines to read.
func (d *doctor) app() {
	v := d.logger
	names := make([]string, len(v.apps))
	for i, a := range v.apps {
		names[i] = a.App
	}
	switch {
	case v.err != nil:
		d.unknown(hopApp, "no logger to ask")
	case v.appsErr != nil && d.App != "" && v.status == http.StatusOK:
		d.ok(hopApp, "GET /logs/%s has lines (the list of apps is not known: %v)", d.App, v.appsErr)
	case v.appsErr != nil:
		d.warn(hopApp, "the list of apps is not known: %v", v.appsErr)
	case d.App == "" && len(names) == 0:
		d.nothingKept()
	case d.App == "":
		d.ok(hopApp, "%d have lines", len(names))
	default:
		d.oneApp(names)
	}
}

func (d *doctor) oneApp(names []string) {
	v := d.logger
	i := slices.Index(names, d.App)
	switch {
	case i >= 0 && v.status == http.StatusOK && v.apps[i].Entries > 0:
		seen := fmt.Sprintf("%q: %d lines are kept", d.App, v.apps[i].Entries)
		if newest := v.apps[i].Newest; newest != nil {
			seen += fmt.Sprintf(", the newest %s old", ago(time.Now(), *newest))
		}
		d.ok(hopApp, "%s", seen)
	case v.status == http.StatusOK: // the list may be some seconds old, this answer is not
		d.ok(hopApp, "%q: lines are kept (the list of apps does not have it yet)", d.App)
	case v.status == http.StatusServiceUnavailable:
		d.fail(hopApp, fmt.Sprintf("GET /logs/%s answers %d", d.App, v.status), "the storage does not answer the logger: "+v.reason, "See the storage above")
	case v.status == http.StatusBadRequest:
		d.fail(hopApp, fmt.Sprintf("GET /logs/%s answers %d", d.App, v.status), v.reason, "Correct the name")
	case len(names) == 0:
		d.nothingKept()
	default:
		seen := fmt.Sprintf("nothing is kept of %q; %d others have lines", d.App, len(names))
		if near := d.nearest(names); len(near) > 0 {
			d.fail(hopApp, seen, fmt.Sprintf("there is no app %q: did you mean %s?", d.App, strings.Join(near, " or ")), "logger apps lists them all")
			return
		}
		reason, advice := fmt.Sprintf("no line of %q came, though those of others do", d.App),
			"Does the app print anything, do its pods have the label app="+d.App+", and does a collector run on their nodes? Was its log deleted?"
		if d.rejected != "" {
			reason = fmt.Sprintf("no line of %q was stored, and its records may be among those that are rejected (%s)", d.App, d.rejected)
			advice = d.remedy + "; the logger's log shows how they begin. If none is of this app: " + advice
		}
		d.fail(hopApp, seen, reason, advice)
	}
}

// nothingKept tells that no app has lines. If earlier hops could not be examined because of this
// environment, the environment is blamed.
func (d *doctor) nothingKept() {
	if len(d.foreign) > 0 && !d.failed("") {
		d.blameEnvironment("this environment is not the running logger's, so the cause cannot be seen from here: "+d.differences(), ownEnvironment)
	}
	d.fail(hopApp, "no app has lines", "nothing is kept of any app", "See the hops above; if all are ok, no line was published since the logger started")
}

// maxNearest bounds how many names are offered.
const maxNearest = 3

// nearest returns the apps that may be meant, the likeliest first.
func (d *doctor) nearest(names []string) (near []string) {
	for len(near) < maxNearest {
		name := d.likely(d.App, names)
		if name == "" {
			break
		}
		near = append(near, fmt.Sprintf("%q", name))
		names = slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
	}
	return near
}

// fine describes what is there when nothing is broken.
func (d *doctor) fine() string {
	if n := len(d.Findings); n > 0 && d.Findings[n-1].Hop == hopApp {
		return d.Findings[n-1].Seen
	}
	return "every hop was looked at"
}

func ago(now, then time.Time) time.Duration {
	d := now.Sub(then)
	if d < 10*time.Second {
		return max(0, d.Round(100*time.Millisecond))
	}
	return d.Round(time.Second)
}
