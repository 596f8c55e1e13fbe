package pipeline

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/deis/logger/host/level"
	"github.com/deis/logger/sdk"
)

// oracle decodes messages with a JSON library, token by token, and times with the time package. It
// defines what decoder has to return.
type oracle struct {
	maxLine   int
	arrival   time.Time
	selection *Selection
}

// outcome holds what becomes of a record: an entry of an app, or a rejection.
type outcome struct {
	app    string
	entry  sdk.Entry
	reason Reason
}

// lenient accepts what collectors write: invalid UTF-8, which becomes U+FFFD, and duplicate names.
var lenient = json.JoinOptions(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))

// part holds a part of a message: a record, a broken record, a text, or the comma of an array.
type part struct {
	kind  byte // '{', '!', 't' or ','
	at    int
	value jsontext.Value
}

// decode reads all records of a message. What follows a text and is not a text itself belongs to
// it.
func (o *oracle) decode(m *sdk.Message) (out []outcome) {
	text := -1
	for _, p := range partsOf(m.Payload) {
		switch {
		case p.kind == '{':
			out = append(out, o.record(m, p.value))
			text = -1
			continue
		case p.kind == ',':
			text = -1
			continue
		case text < 0, p.kind == '!' && bytes.Contains(m.Payload[text:p.at], []byte("\n")):
			out = append(out, outcome{reason: Malformed})
		}
		text = p.at
	}
	if len(out) == 0 {
		return []outcome{{reason: Malformed}}
	}
	return out
}

func partsOf(b []byte) (out []part) {
	at, array := len(b)-len(strings.TrimPrefix(string(b), "\ufeff")), false
	space := func() { at = len(b) - len(bytes.TrimLeft(b[at:], " \t\r\n")) }
	// After a fault, everything is lost up to a line that begins with an object.
	goOn := func(fault int) {
		array = false
		if at = len(b); fault < len(b) {
			if next := bytes.Index(b[fault:], []byte("\n{")); next >= 0 {
				at = fault + next + 1
			}
		}
	}
	for space(); array || at < len(b); space() {
		if !array && b[at] == '[' {
			at++
			array = true
			continue
		}
		object := at < len(b) && b[at] == '{'
		d := jsontext.NewDecoder(bytes.NewReader(b[at:]), lenient)
		v, err := d.ReadValue()
		switch fault := (*jsontext.SyntacticError)(nil); {
		case err == nil && object:
			out = append(out, part{'{', at, v})
		case err == nil:
			out = append(out, part{'t', at, nil})
		default:
			kind := byte('t')
			if object {
				kind = '!'
			}
			out = append(out, part{kind, at, nil})
			if errors.As(err, &fault) {
				goOn(at + int(fault.ByteOffset))
			} else {
				goOn(len(b))
			}
			continue
		}
		if at += int(d.InputOffset()); !array {
			continue
		}
		switch space(); {
		case at < len(b) && b[at] == ',':
			out = append(out, part{',', at, nil})
			at++
		case at < len(b) && b[at] == ']':
			at++
			array = false
		default:
			out = append(out, part{'t', at, nil})
			goOn(at)
		}
	}
	return out
}

// members calls each for every member of an object, in order.
func members(object jsontext.Value, each func(name string, v jsontext.Value)) {
	d := jsontext.NewDecoder(bytes.NewReader(object), lenient)
	_, _ = d.ReadToken()
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			panic(err) // it has been read before
		}
		text := name.String()
		v, _ := d.ReadValue()
		each(text, v.Clone())
	}
}

// stringOr returns the string's value, or the default for any other value.
func stringOr(v jsontext.Value) string {
	if v.Kind() != '"' {
		return ""
	}
	b, _ := jsontext.AppendUnquote(nil, v)
	return strings.ToValidUTF8(string(b), "\ufffd")
}

// kubernetesOf holds what a record says of its container.
type kubernetesOf struct {
	pod, container, host, namespace string
	labels                          [][2]string
}

// label returns the last label of that name, in which underscores may replace dots.
func (k *kubernetesOf) label(name string) (value string, ok bool) {
	for _, l := range slices.Backward(k.labels) {
		if l[0] == name || l[0] == strings.ReplaceAll(name, ".", "_") {
			return l[1], true
		}
	}
	return "", false
}

func (o *oracle) record(m *sdk.Message, object jsontext.Value) outcome {
	texts, times := map[string]jsontext.Value{}, map[string][]jsontext.Value{}
	stream, tag, k, stated := "", "", kubernetesOf{}, sdk.LevelUnknown
	members(object, func(name string, v jsontext.Value) {
		if stated == sdk.LevelUnknown && level.Key(name) {
			stated = level.Value(string(v))
		}
		switch name {
		case "log", "message", "msg":
			blank := v.Kind() == '"' && (stringOr(v) == "" || stringOr(v) == "\n")
			if v.Kind() != 'n' && (!blank || texts[name] == nil) {
				texts[name] = v
			}
		case "time", "timestamp", "@timestamp", "date", "ts", "_ts":
			times[name] = append(times[name], v)
		case "stream":
			stream = stringOr(v)
		case "logtag", "_p", "tags":
			if first, _, _ := strings.Cut(stringOr(v), ":"); first == "P" || first == "F" {
				tag = first
			}
		case "kubernetes":
			k.read(v)
		}
	})
	if reason := o.unselected(&k); reason != "" {
		return outcome{reason: reason}
	}
	container := strings.Contains(k.container, o.selection.ControllerContainer)
	controller := container && (o.selection.ControllerNamespace == "" || k.namespace == o.selection.ControllerNamespace)
	app, _ := k.label(o.selection.AppLabel)
	switch {
	case controller:
	case app == "":
		return outcome{reason: NoApp}
	case sdk.CheckApp(app) != nil:
		return outcome{reason: BadApp}
	}
	var text jsontext.Value
	for _, name := range []string{"log", "message", "msg"} {
		if text == nil {
			text = texts[name]
		}
	}
	if text == nil {
		return outcome{reason: NoLog}
	}
	process, _ := k.label("type")
	release, _ := k.label("version")
	e := sdk.Entry{
		Source: sdk.SourceApp, Published: o.arrival, Process: onOneLine(process), Release: onOneLine(release), Pod: onOneLine(k.pod),
		Container: onOneLine(k.container), Stream: onOneLine(stream), Host: onOneLine(k.host), Message: written(text),
	}
	if !m.Published.IsZero() && m.Published.Before(o.arrival) {
		e.Published = m.Published
	}
	e.Time = e.Published.UTC()
	if t, form := firstTime(times); form < timeMissing {
		e.Time = t
	}
	if controller {
		e.Source = sdk.SourceController
		var ok bool
		if app, e.Message, ok = controllerLineOf(e.Message); !ok || text.Kind() != '"' {
			return outcome{reason: BadControllerLine}
		}
	}
	n, newline := len(e.Message), strings.HasSuffix(e.Message, "\n")
	docker := tag == "" && text.Kind() == '"' && texts["log"] != nil && !newline && n >= 16384 && n <= 16396
	e.Partial = !controller && (tag == "P" || docker)
	// The line's own final newline is not part of the text: it is added where the text is shown.
	if e.Level = stated; controller {
		word, _, _ := strings.Cut(e.Message, " ")
		e.Level = map[string]sdk.Level{
			"DEBUG": sdk.LevelDebug, "INFO": sdk.LevelInfo, "WARN": sdk.LevelWarn, "WARNING": sdk.LevelWarn,
			"ERROR": sdk.LevelError, "CRITICAL": sdk.LevelFatal,
		}[word]
	}
	e.Message, e.CutBytes = cutLine(strings.TrimSuffix(e.Message, "\n"), o.maxLine)
	if !controller && stated == sdk.LevelUnknown {
		e.Level = level.Of(e.Message)
	}
	return outcome{app: app, entry: e}
}

func (k *kubernetesOf) read(v jsontext.Value) {
	switch kind := byte(v.Kind()); kind {
	case 'n':
		*k = kubernetesOf{}
	case '{':
		members(v, func(name string, v jsontext.Value) {
			switch name {
			case "pod_name":
				k.pod = stringOr(v)
			case "container_name":
				k.container = stringOr(v)
			case "host", "pod_node_name":
				k.host = stringOr(v)
			case "namespace_name", "pod_namespace":
				k.namespace = stringOr(v)
			case "labels", "pod_labels":
				switch kind := byte(v.Kind()); kind {
				case 'n':
					k.labels = nil
				case '{':
					members(v, func(name string, v jsontext.Value) { k.labels = append(k.labels, [2]string{name, stringOr(v)}) })
				}
			}
		})
	}
}

// unselected compares with the text of the settings.
func (o *oracle) unselected(k *kubernetesOf) Reason {
	for name := range strings.SplitSeq(o.selection.NamespacesExclude, ",") {
		if name = strings.TrimSpace(name); name != "" && name == k.namespace {
			return NotSelected
		}
	}
	for part := range strings.SplitSeq(o.selection.LabelSelector, ",") {
		part = strings.ReplaceAll(strings.ReplaceAll(part, " ", ""), "==", "=")
		name, want, equation := strings.Cut(part, "=")
		not := strings.HasPrefix(name, "!") || strings.HasSuffix(name, "!")
		value, met := k.label(strings.Trim(name, "!"))
		if part != "" && (met && (!equation || value == want)) == not {
			return NotSelected
		}
	}
	return ""
}

// written returns the text of a line: that of a string, or any other value as compact JSON.
func written(v jsontext.Value) string {
	switch kind := byte(v.Kind()); kind {
	case '"':
		return stringOr(v)
	case '{', '[':
		var b bytes.Buffer
		d, e := jsontext.NewDecoder(bytes.NewReader(v), lenient), jsontext.NewEncoder(&b, lenient)
		for {
			t, err := d.ReadToken()
			if err != nil {
				return strings.TrimSuffix(b.String(), "\n")
			}
			if t.Kind() == '0' {
				n, _ := jsontext.NewDecoder(strings.NewReader(t.String())).ReadValue()
				err = e.WriteValue(n)
			} else {
				err = e.WriteToken(t)
			}
			if err != nil {
				panic(err)
			}
		}
	}
	return string(v)
}

// onOneLine removes control characters, which could forge a line where the text precedes another
// one.
func onOneLine(text string) string {
	text, _ = cutLine(text, longestLabel)
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, text)
}

// firstTime returns the time of the first key that has one.
func firstTime(times map[string][]jsontext.Value) (time.Time, timeForm) {
	none := timeMissing
	for _, name := range []string{"time", "timestamp", "@timestamp", "date", "ts", "_ts"} {
		for _, v := range times[name] {
			t, form := time.Time{}, timeUnusable
			switch kind := byte(v.Kind()); kind {
			case 'n':
				continue
			case '"':
				t, form = parseTimeSlowly(stringOr(v))
			case '0':
				t, form = parseEpochSlowly(string(v))
			}
			if form != timeUnusable {
				return t, form
			}
			none = timeUnusable
		}
	}
	return time.Time{}, none
}

var timePattern = regexp.MustCompile(`^(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:)(\d\d)(?:[.,](\d+))?(?:([Zz])|([+-][01]\d|[+-]2[0-3]):?([0-5]\d))?$`)

// parseTimeSlowly leaves the checks of ranges to the time package.
func parseTimeSlowly(s string) (time.Time, timeForm) {
	part := timePattern.FindStringSubmatch(s)
	if part == nil || len(s) > longestTime {
		return time.Time{}, timeUnusable
	}
	second, fraction, offset, form := part[3], part[4], "Z", timeRFC3339
	if second == "60" {
		second = "59"
	}
	if part[6] != "" {
		offset = part[6] + ":" + part[7]
	} else if part[5] == "" {
		form = timeNoOffset
	}
	t, err := time.Parse(time.RFC3339Nano, fmt.Sprintf("%sT%s%s.%.9s%s", part[1], part[2], second, fraction+"000000000", offset))
	if err != nil {
		return time.Time{}, timeUnusable
	}
	return t, form
}

// parseEpochSlowly uses numbers that cannot overflow.
func parseEpochSlowly(s string) (time.Time, timeForm) {
	if len(s) > longestTime {
		return time.Time{}, timeUnusable
	}
	if strings.ContainsAny(s, "eE") {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return time.Time{}, timeUnusable
		}
		s = strconv.FormatFloat(f, 'f', -1, 64)
	}
	n, ok := new(big.Rat).SetString(s)
	if !ok || n.Cmp(big.NewRat(1e8, 1)) < 0 {
		return time.Time{}, timeUnusable
	}
	form, perSecond := timeSeconds, int64(1)
	for least := int64(1e11); form < timeNanos && n.Cmp(big.NewRat(least, 1)) >= 0; least *= 1000 {
		form++
		perSecond *= 1000
	}
	if !new(big.Int).Div(n.Num(), n.Denom()).IsInt64() {
		return time.Time{}, timeUnusable
	}
	n.Mul(n, big.NewRat(1e9, perSecond))
	seconds, nanos := new(big.Int).DivMod(new(big.Int).Div(n.Num(), n.Denom()), big.NewInt(1e9), new(big.Int))
	return time.Unix(seconds.Int64(), nanos.Int64()).UTC(), form
}

var controllerPattern = regexp.MustCompile(`^(INFO|WARN|WARNING|DEBUG|ERROR|CRITICAL)[ \t]+\[([^\]]*)\]:((?s).*)$`)

func controllerLineOf(log string) (app, message string, ok bool) {
	part := controllerPattern.FindStringSubmatch(log)
	if part == nil || sdk.CheckApp(part[2]) != nil {
		return "", "", false
	}
	return part[2], part[1] + " " + strings.Trim(strings.TrimSuffix(part[3], "\n"), " "), true
}

// cutLine does what [decoder.cut] does, on strings.
func cutLine(line string, size int) (kept string, cutBytes uint64) {
	if len(line) <= size {
		return line, 0
	}
	end := size
	for end > 0 && end > size-utf8.UTFMax && !utf8.RuneStart(line[end]) {
		end--
	}
	return line[:end], uint64(len(line) - end)
}
