package pipeline

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/deis/logger/sdk"
)

// Reason says why a message was rejected, as a metric's label.
type Reason string

// The reasons for which messages are rejected. Such a message is counted, logged
// and acknowledged: it would be no better the next time.
const (
	// Malformed is not a JSON object of the known shape.
	Malformed Reason = "malformed"
	// BadTime has a time that is not RFC 3339.
	BadTime Reason = "bad_time"
	// NoApp is an app's line without the label that names the app.
	NoApp Reason = "no_app"
	// BadApp names an app that cannot exist.
	BadApp Reason = "bad_app"
	// BadControllerLine is a controller's line of another form than
	// "LEVEL [app]: text".
	BadControllerLine Reason = "bad_controller_line"
	// Refused is an entry that the storage says it can never store.
	Refused Reason = "refused"
	// Failed is an entry that the storage failed on again and again while it stored others.
	Failed Reason = "storage_failed"
)

// reasons lists them all, so that each is there from the start at 0.
var reasons = []Reason{Malformed, BadTime, NoApp, BadApp, BadControllerLine, Refused, Failed}

// rejection is the error of a message that is rejected for good.
type rejection struct {
	reason Reason
	detail string
}

func (r *rejection) Error() string { return string(r.reason) + ": " + r.detail }

// controllerContainer is in the container name of the platform's controller.
const controllerContainer = "deis-controller"

// decoder turns messages into entries, one at a time.
type decoder struct {
	maxLine int       // bytes
	arrival time.Time // of the messages

	scan       scanner
	fields     fields
	scratch    []byte      // for what has escapes
	containers *containers // nil to know none
}

// decode reads one message into e, which is zero, and returns its app. The strings do
// not hold on to the payload. Its error is always a *rejection, after which e means
// nothing.
func (d *decoder) decode(m *sdk.Message, e *sdk.Entry) (app string, err error) {
	defer d.tidy()
	f := &d.fields
	d.scan.reset(m.Payload)
	f.containers = d.containers
	if !f.read(&d.scan) {
		return "", &rejection{Malformed, fmt.Sprintf("%s at byte %d", d.scan.fault, d.scan.i)}
	}
	if e.Time, err = d.time(); err != nil {
		return "", &rejection{BadTime, err.Error()}
	}
	k := f.known
	if k == nil {
		k = new(container)
		if err = d.describe(k); err != nil {
			return "", err
		}
	}
	if k.controller {
		e.Source = sdk.SourceController
		if app, err = d.controllerLine(e); err != nil {
			return "", err
		}
	} else {
		e.Source = sdk.SourceApp
		app = k.app
		d.appLine(e)
	}
	e.Published = d.published(m)
	e.Process, e.Release, e.Pod, e.Container, e.Host = k.process, k.release, k.pod, k.container, k.host
	e.Stream = d.stream()
	if at := &f.described; f.known == nil && f.containers != nil && f.named == 1 {
		k.kubernetes = at.kubernetes - at.start
		f.containers.remember(k, m.Payload[at.start:at.end])
	}
	return app, nil
}

// published is the message's place in the order of publishing: when the transport took it,
// or when it arrived if the transport does not say, or says a time that is yet to come. So
// a clock that is ahead makes no entries that stay the newest until that time.
func (d *decoder) published(m *sdk.Message) time.Time {
	if m.Published.IsZero() || m.Published.After(d.arrival) {
		return d.arrival
	}
	return m.Published
}

// describe fills in what the kubernetes object says.
func (d *decoder) describe(k *container) error {
	o := &d.fields.kubernetes
	name := d.unquote(&o.containerName, math.MaxInt)
	if k.controller = bytes.Contains(name, []byte(controllerContainer)); !k.controller {
		if k.app = string(d.unquote(&o.labels.app, math.MaxInt)); k.app == "" {
			return &rejection{NoApp, "no kubernetes.labels.app"}
		}
		if err := sdk.CheckApp(k.app); err != nil {
			return &rejection{BadApp, err.Error()}
		}
	}
	k.process = d.label(&o.labels.process)
	k.release = d.label(&o.labels.version)
	k.pod = d.label(&o.podName)
	k.container = d.label(&o.containerName)
	k.host = d.label(&o.host)
	return nil
}

// tidy lets go of the message.
func (d *decoder) tidy() {
	d.scan.reset(nil)
	d.fields = fields{}
	if cap(d.scratch) > maxScratch {
		d.scratch = nil
	}
}

// time is the message's own time, or that of its arrival if it states none.
func (d *decoder) time() (time.Time, error) {
	t := &d.fields.time
	switch d.fields.timeKind {
	case timeMissing:
		return d.arrival.UTC(), nil
	case timeOther:
		return time.Time{}, errNotRFC3339
	case timeText:
	}
	return parseTime(d.unquote(t, longestTime+1))
}

// maxScratch is the most memory that a rare long text may leave in use.
const maxScratch = 256 << 10

// unquote is what the text stands for, up to limit bytes of it, until the next call.
func (d *decoder) unquote(t *text, limit int) []byte {
	if t.verbatim() {
		return d.scan.raw(t)
	}
	d.scratch, _, _ = d.scan.unquote(t, d.scratch[:0], limit)
	return d.scratch
}

// longestLabel is how much of a label is kept, in bytes: nothing in Kubernetes has a
// longer name. A message must not make an entry larger than a line may be.
const longestLabel = 253

// label is the text without control characters.
func (d *decoder) label(t *text) string {
	if t.start == t.end {
		return ""
	}
	b := d.unquote(t, longestLabel+1)
	s := string(b[:whole(b, longestLabel)])
	if t.verbatim() && strings.IndexByte(s, '\x7f') < 0 {
		return s
	}
	return oneLine(s)
}

// stream is nearly always one of two, which need no memory.
func (d *decoder) stream() string {
	t := &d.fields.stream
	switch string(d.scan.raw(t)) {
	case "stdout":
		return "stdout"
	case "stderr":
		return "stderr"
	}
	return d.label(t)
}

// appLine takes an app's line. The line's own final newline is not part of the text:
// it is added where text is shown.
func (d *decoder) appLine(e *sdk.Entry) {
	log := &d.fields.log
	raw := d.scan.raw(log)
	if n := len(raw) - len(`\n`); log.ascii && log.escape == log.start+n && raw[n+1] == 'n' {
		e.Message, e.CutBytes = d.cut(raw[:n], n) // as nearly all lines are
		return
	}
	if log.verbatim() {
		e.Message, e.CutBytes = d.cut(raw, len(raw))
		return
	}
	// Of what is beyond the longest line only the length matters.
	line, size, last := d.scan.unquote(log, d.scratch[:0], d.maxLine+1)
	d.scratch = line
	if last == '\n' {
		size--
	}
	e.Message, e.CutBytes = d.cut(line[:min(size, len(line))], size)
}

// controllerLine reads "LEVEL [app]: text". The message is "LEVEL text", of which
// the line's final newline, then spaces around the text are dropped.
func (d *decoder) controllerLine(e *sdk.Entry) (app string, err error) {
	bad := &rejection{BadControllerLine, "not LEVEL [app]: text"}
	log, _, _ := d.scan.unquote(&d.fields.log, d.scratch[:0], math.MaxInt)
	d.scratch = log
	level, rest, ok := bytes.Cut(log, []byte(" "))
	if !ok || !bytes.HasPrefix(rest, []byte("[")) {
		return "", bad
	}
	switch string(level) {
	case "INFO", "WARN", "WARNING", "DEBUG", "ERROR", "CRITICAL":
	default:
		return "", bad
	}
	name, line, ok := bytes.Cut(rest[1:], []byte("]:"))
	if app = string(name); !ok || sdk.CheckApp(app) != nil {
		return "", bad
	}
	line = bytes.Trim(bytes.TrimSuffix(line, []byte("\n")), " ")
	// The message is put together in place: level and space are before the text.
	n := copy(log[len(level)+1:], line)
	log = bytes.TrimSuffix(log[:len(level)+1+n], []byte("\n"))
	e.Message, e.CutBytes = d.cut(log, len(log))
	return app, nil
}

// cut keeps a line of the size, shortened to at most maxLine bytes on a rune boundary,
// and says by how many. The line may be less than its size, but not than maxLine+1.
func (d *decoder) cut(line []byte, size int) (kept string, cutBytes uint64) {
	end := whole(line[:min(size, len(line))], d.maxLine)
	return string(line[:end]), uint64(size - end)
}

// whole is how long the text is, or the longest of its beginnings of at most limit
// bytes that ends with a rune.
func whole(b []byte, limit int) int {
	if len(b) <= limit {
		return len(b)
	}
	end := limit
	for end > 0 && end > limit-utf8.UTFMax && !utf8.RuneStart(b[end]) {
		end--
	}
	return end
}
