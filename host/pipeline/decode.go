package pipeline

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/deis/logger/host/level"
	"github.com/deis/logger/sdk"
)

// Reason says why a record was rejected, as a metric's label.
type Reason string

// These are the reasons for which records are rejected. Such a record is counted, logged and
// acknowledged: it would be no better the next time.
const (
	// Malformed: the record is not JSON, or not an object.
	Malformed Reason = "malformed"
	// NoLog: it has no text under any of the keys that collectors use.
	NoLog Reason = "no_log"
	// NoApp: it is an app's line, without the label that names the app.
	NoApp Reason = "no_app"
	// BadApp: it names an app that cannot exist.
	BadApp Reason = "bad_app"
	// BadControllerLine: it is a controller's line that does not have the form "LEVEL [app]: text".
	BadControllerLine Reason = "bad_controller_line"
	// NotSelected: the settings leave the line out. It is not logged.
	NotSelected Reason = "not_selected"
	// Refused: the storage says that it can never store the entry.
	Refused Reason = "refused"
	// Failed: the storage failed on the entry again and again while it stored others.
	Failed Reason = "storage_failed"
)

// reasons lists all reasons, so that the metric has each from the start, at 0.
var reasons = []Reason{Malformed, NoLog, NoApp, BadApp, BadControllerLine, NotSelected, Refused, Failed}

// rejection tells why a record is rejected for good.
type rejection struct {
	reason Reason
	detail string // names the value that is at fault

	namespace string // of what is not selected
}

func (r *rejection) Error() string { return string(r.reason) + ": " + r.detail }

// decoder turns messages into entries, one message at a time.
type decoder struct {
	maxLine   int // bytes
	selection *Selection
	arrival   time.Time // of the messages

	scan       scanner
	fields     fields
	start      int         // where the record begins in the message
	made       sdk.Entry   // of the record
	scratch    []byte      // for what has escapes
	containers *containers // nil to know none
	forms      recordForms // of the records since they were counted last
}

// byteOrderMark is what some editors and shells put before a text. It is not part of the text.
var byteOrderMark = []byte("\xef\xbb\xbf")

// decode reads the records of a message, one after the other: JSON objects and the elements of JSON
// arrays, with or without white space between. For each record it calls emit with the app and the
// entry, or with a *rejection. The entry is valid until emit returns. Its strings do not hold on to
// the payload.
//
// A text that is no record is one rejection, even if parts of it are sound JSON. Such a text ends
// where a record begins, or with the element of an array. Behind a fault, in a text or in a record,
// decode goes on at the next line that begins with an object.
func (d *decoder) decode(m *sdk.Message, emit func(app string, e *sdk.Entry, err error)) {
	defer d.tidy()
	s := &d.scan
	s.reset(m.Payload)
	if bytes.HasPrefix(s.b, byteOrderMark) {
		s.i = len(byteOrderMark)
	}
	if s.space(); s.i == len(s.b) {
		d.start = s.i
		emit("", nil, malformed("nothing", s.i))
		return
	}
	text := -1 // where the last rejected part of a text begins; -1 behind a record
	reject := func(fault string, at int, object bool) {
		if text < 0 || object && bytes.IndexByte(s.b[text:d.start], '\n') >= 0 {
			emit("", nil, malformed(fault, at))
		}
		text = d.start
	}
	for array := false; array || s.i < len(s.b); s.space() {
		object := s.peek() == '{'
		d.start = s.i
		switch {
		case !array && s.peek() == '[':
			s.i++
			array = true
			continue
		case object && d.object():
			app, err := d.entry(m, &d.made)
			emit(app, &d.made, err)
			text = -1
		case !object && s.skip(1):
			reject("not a JSON object", d.start, false)
		default:
			reject(s.fault, s.i, object)
			s.nextLine()
			array = false
			continue
		}
		if !array {
			continue
		}
		switch s.space() {
		case ',':
			s.i++
			text = -1
		case ']':
			s.i++
			array = false
		default:
			reject("want a comma or the array's end", s.i, object)
			s.nextLine()
			array = false
		}
	}
}

// object reads the record that begins here.
func (d *decoder) object() bool {
	d.made, d.fields = sdk.Entry{}, fields{containers: d.containers}
	return d.scan.object(&d.fields, d.selection, (*fields).member)
}

func malformed(fault string, at int) *rejection {
	return &rejection{reason: Malformed, detail: fmt.Sprintf("%s at byte %d", fault, at)}
}

// entry makes an entry of the record that was read. Its error is always a *rejection.
func (d *decoder) entry(m *sdk.Message, e *sdk.Entry) (app string, err error) {
	f := &d.fields
	k := f.known
	if k == nil {
		k = d.describe()
		if at := &f.described; f.containers != nil && f.named == 1 {
			k.kubernetes = at.kubernetes - at.start
			f.containers.remember(k, m.Payload[at.start:at.end])
		}
	}
	if k.rejected != nil {
		return "", k.rejected
	}
	log := d.log()
	if log == nil {
		return "", &rejection{reason: NoLog, detail: fmt.Sprintf("pod %.80q: no text under log, message or msg", k.pod)}
	}
	e.Published = d.published(m)
	e.Time = d.time(e.Published)
	if k.controller {
		e.Source = sdk.SourceController
		if app, err = d.controllerLine(log, e); err != nil {
			return "", err
		}
	} else {
		e.Source, app = sdk.SourceApp, k.app
		d.appLine(log, e)
		if e.Level = d.fields.level; e.Level == sdk.LevelUnknown {
			e.Level = level.Of(e.Message)
		}
		e.Partial = d.partial(log, uint64(len(e.Message))+e.CutBytes)
	}
	e.Process, e.Release, e.Pod, e.Container, e.Host = k.process, k.release, k.pod, k.container, k.host
	e.Stream = d.stream()
	return app, nil
}

// log returns the text of the line: the value of the first key that has one.
func (d *decoder) log() *value {
	for i := range d.fields.texts {
		if v := &d.fields.texts[i]; v.kind != absent {
			d.forms.texts[i]++
			d.forms.text = i
			return v
		}
	}
	return nil
}

// published returns the time by which the message is ordered: when the transport took it, or when
// it arrived if the transport does not say, or says a time in the future. So a clock that is ahead
// makes no entries that stay the newest until that time.
func (d *decoder) published(m *sdk.Message) time.Time {
	if m.Published.IsZero() || m.Published.After(d.arrival) {
		return d.arrival
	}
	return m.Published
}

// describe returns the container that the kubernetes object describes.
func (d *decoder) describe() *container {
	o := &d.fields.kubernetes
	k := &container{
		process:    d.label(&o.process),
		release:    d.label(&o.version),
		pod:        d.label(&o.podName),
		container:  d.label(&o.containerName),
		host:       d.label(&o.host),
		controller: d.isController(o),
	}
	if k.rejected = d.leftOut(o); k.rejected != nil || k.controller {
		return k
	}
	k.app = string(d.unquote(&o.app, longestLabel+1))
	if k.app == "" {
		k.rejected = &rejection{reason: NoApp, detail: fmt.Sprintf("pod %.80q in namespace %.80q has no label %s",
			k.pod, d.label(&o.namespace), d.selection.AppLabel)}
	} else if err := sdk.CheckApp(k.app); err != nil {
		k.rejected = &rejection{reason: BadApp, detail: err.Error()}
	}
	return k
}

// tidy drops the references to the message.
func (d *decoder) tidy() {
	d.scan.reset(nil)
	d.fields, d.made = fields{}, sdk.Entry{}
	if cap(d.scratch) > maxScratch {
		d.scratch = nil
	}
}

// time returns the record's own time: the first usable value of the keys for it, or else the time
// of publishing.
func (d *decoder) time(published time.Time) time.Time {
	form := timeMissing
	for i := range d.fields.times {
		v := &d.fields.times[i]
		if v.kind == absent {
			continue
		}
		if t, is := d.scan.timeOf(v); is != timeUnusable {
			d.forms.times[is]++
			d.forms.time = is
			return t
		}
		form = timeUnusable
	}
	d.forms.times[form]++
	d.forms.time = form
	return published.UTC()
}

// maxScratch is the most memory that is kept after a rare long text.
const maxScratch = 256 << 10

// unquote returns what the text stands for, up to limit bytes. The result is valid until the next
// call.
func (d *decoder) unquote(t *extent, limit int) []byte {
	if t.verbatim() {
		return d.scan.raw(t)
	}
	d.scratch, _, _ = d.scan.unquote(t, d.scratch[:0], limit)
	return d.scratch
}

// longestLabel bounds the bytes of a label that are kept. Nothing in Kubernetes has a longer name.
// Without this bound a message could make an entry larger than a line may be.
const longestLabel = 253

// label returns the text without control characters.
func (d *decoder) label(t *extent) string {
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

// stream returns the stream's name. It is nearly always one of two, which take no memory.
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

// appLine takes an app's line. The line's final newline is not part of the text: it is added where
// text is shown.
func (d *decoder) appLine(log *value, e *sdk.Entry) {
	raw := d.scan.raw(&log.extent)
	switch n := len(raw) - len(`\n`); {
	case log.kind != stringOf:
		text := d.written(log)
		e.Message, e.CutBytes = d.cut(text, len(text))
		return
	case log.ascii && log.escape == log.start+n && raw[n+1] == 'n':
		e.Message, e.CutBytes = d.cut(raw[:n], n) // as nearly all lines are
		return
	case log.verbatim():
		e.Message, e.CutBytes = d.cut(raw, len(raw))
		return
	}
	// Beyond the longest line only the length matters.
	line, size, last := d.scan.unquote(&log.extent, d.scratch[:0], d.maxLine+1)
	d.scratch = line
	if last == '\n' {
		size--
	}
	e.Message, e.CutBytes = d.cut(line[:min(size, len(line))], size)
}

// written returns a value that is not a string as compact JSON.
func (d *decoder) written(v *value) []byte {
	raw := d.scan.raw(&v.extent)
	if v.kind != nestedOf {
		return raw
	}
	// It was read once, so it is JSON. Strings become valid UTF-8.
	d.scratch, _ = jsontext.AppendFormat(d.scratch[:0], raw, jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	return d.scratch
}

// controllerLine reads "LEVEL [app]: text", with any white space before the bracket. The message is
// "LEVEL text". From the text it drops the final newline, then the spaces around it.
func (d *decoder) controllerLine(value *value, e *sdk.Entry) (app string, err error) {
	if value.kind != stringOf {
		return "", badControllerLine(d.scan.raw(&value.extent))
	}
	log, _, _ := d.scan.unquote(&value.extent, d.scratch[:0], math.MaxInt)
	d.scratch = log
	end := max(0, bytes.IndexAny(log, " \t"))
	word, rest := log[:end], bytes.TrimLeft(log[end:], " \t")
	name, line, ok := bytes.Cut(rest, []byte("]:"))
	name, bracket := bytes.CutPrefix(name, []byte("["))
	if app = string(name); !ok || !bracket || !isLevel(word) || sdk.CheckApp(app) != nil {
		return "", badControllerLine(log)
	}
	line = bytes.Trim(bytes.TrimSuffix(line, []byte("\n")), " ")
	e.Level = level.Of(string(word))
	// The message is put together in place: level and space are before the text.
	log[end] = ' '
	n := copy(log[end+1:], line)
	log = bytes.TrimSuffix(log[:end+1+n], []byte("\n"))
	e.Message, e.CutBytes = d.cut(log, len(log))
	return app, nil
}

func isLevel(word []byte) bool {
	switch string(word) {
	case "INFO", "WARN", "WARNING", "DEBUG", "ERROR", "CRITICAL":
		return true
	}
	return false
}

func badControllerLine(log []byte) *rejection {
	return &rejection{reason: BadControllerLine, detail: fmt.Sprintf("%.80q is not LEVEL [app]: text", log[:min(len(log), 400)])}
}

// cut shortens a line to at most maxLine bytes, at the boundary of a rune, and returns by how many
// bytes. size is the length of the whole line. line may be only the beginning of that, of at least
// maxLine+1 bytes.
func (d *decoder) cut(line []byte, size int) (kept string, cutBytes uint64) {
	end := whole(line[:min(size, len(line))], d.maxLine)
	return string(line[:end]), uint64(size - end)
}

// whole returns the length of the text, or of its longest beginning that has at most limit bytes
// and ends with a whole rune.
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
