package pipeline

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/deis/logger/sdk"
)

// oracle decodes messages with a JSON library, and times with the time package: what
// it says is right, decoder says too.
type oracle struct {
	maxLine int
	arrival time.Time
}

// oracleMessage is what a collector publishes, as far as it matters here. Names match
// exactly: collectors that merge an app's own JSON into the message put "Log" or
// "TIME" beside these.
type oracleMessage struct {
	Log        string         `json:"log"`
	Stream     oracleText     `json:"stream"`
	Time       jsontext.Value `json:"time"`
	Kubernetes struct {
		PodName       oracleText `json:"pod_name"`
		ContainerName oracleText `json:"container_name"`
		Host          oracleText `json:"host"`
		Labels        struct {
			App     oracleText `json:"app"`
			Type    oracleText `json:"type"`
			Version oracleText `json:"version"`
		} `json:"labels"`
	} `json:"kubernetes"`
}

// text is an optional string: a value of another type is as good as none.
type oracleText string

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (t *oracleText) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*t = ""
	if d.PeekKind() != jsontext.KindString {
		return d.SkipValue()
	}
	token, err := d.ReadToken()
	*t = oracleText(token.String())
	return err
}

// lenient takes what encoding/json takes: invalid UTF-8 becomes U+FFFD, and of equal
// names the last counts.
var lenient = json.JoinOptions(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))

// decode reads one message. Its error is always a *rejection.
func (d *oracle) decode(m *sdk.Message) (app string, e sdk.Entry, err error) {
	if !isObject(m.Payload) {
		return "", e, &rejection{Malformed, "not a JSON object"}
	}
	var f oracleMessage
	if err := json.Unmarshal(m.Payload, &f, lenient); err != nil {
		return "", e, &rejection{Malformed, err.Error()}
	}
	e = sdk.Entry{
		Published: d.arrival,
		Process:   f.Kubernetes.Labels.Type.oneLine(),
		Release:   f.Kubernetes.Labels.Version.oneLine(),
		Pod:       f.Kubernetes.PodName.oneLine(),
		Container: f.Kubernetes.ContainerName.oneLine(),
		Stream:    f.Stream.oneLine(),
		Host:      f.Kubernetes.Host.oneLine(),
	}
	if !m.Published.IsZero() && m.Published.Before(d.arrival) {
		e.Published = m.Published
	}
	if e.Time, err = d.time(f.Time); err != nil {
		return "", e, &rejection{BadTime, err.Error()}
	}
	if strings.Contains(string(f.Kubernetes.ContainerName), controllerContainer) {
		e.Source = sdk.SourceController
		app, e.Message, err = controllerLineOf(f.Log)
		if err != nil {
			return "", e, err
		}
	} else {
		e.Source = sdk.SourceApp
		app = string(f.Kubernetes.Labels.App)
		e.Message = f.Log
		if app == "" {
			return "", e, &rejection{NoApp, "no kubernetes.labels.app"}
		}
	}
	if err := sdk.CheckApp(app); err != nil {
		return "", e, &rejection{BadApp, err.Error()}
	}
	// The line's own final newline is not part of the text: it is added where
	// text is shown.
	e.Message = strings.TrimSuffix(e.Message, "\n")
	e.Message, e.CutBytes = cutLine(e.Message, d.maxLine)
	return app, e, nil
}

// oneLine is the text without control characters, which could forge a line where the
// text is shown before one.
func (t oracleText) oneLine() string {
	cut, _ := cutLine(string(t), longestLabel)
	t = oracleText(cut)
	if strings.IndexFunc(string(t), unicode.IsControl) < 0 {
		return string(t)
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, string(t))
}

// time is the message's own time, or that of its arrival if it states none.
func (d *oracle) time(value jsontext.Value) (time.Time, error) {
	if value == nil || value.Kind() == jsontext.KindNull {
		return d.arrival.UTC(), nil
	}
	if value.Kind() != jsontext.KindString {
		return time.Time{}, errNotRFC3339
	}
	b, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return time.Time{}, errNotRFC3339
	}
	return parseTimeSlowly(string(b))
}

// isObject says that the first byte that is not JSON's white space opens an object.
// The decoder alone would take null for one.
func isObject(b []byte) bool {
	for _, c := range b {
		switch c {
		case ' ', '\t', '\r', '\n':
		default:
			return c == '{'
		}
	}
	return false
}

// controllerLineOf is [decoder.controllerLine] on strings.
func controllerLineOf(log string) (app, message string, err error) {
	bad := &rejection{BadControllerLine, "not LEVEL [app]: text"}
	level, rest, ok := strings.Cut(log, " ")
	if !ok || !strings.HasPrefix(rest, "[") {
		return "", "", bad
	}
	switch level {
	case "INFO", "WARN", "WARNING", "DEBUG", "ERROR", "CRITICAL":
	default:
		return "", "", bad
	}
	app, text, ok := strings.Cut(rest[1:], "]:")
	if !ok || sdk.CheckApp(app) != nil {
		return "", "", bad
	}
	text = strings.Trim(strings.TrimSuffix(text, "\n"), " ")
	return app, level + " " + text, nil
}

// cutLine is [decoder.cut] on strings.
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

// parseTimeSlowly checks the shape, and leaves the rest to the time package.
func parseTimeSlowly(s string) (time.Time, error) {
	if len(s) < len(rfc3339Shape)+1 || len(s) > 64 {
		return time.Time{}, errNotRFC3339
	}
	b := []byte(s)
	upper(&b[len("2006-01-02")])
	upper(&b[len(b)-1])
	const second = len("2006-01-02T15:04:")
	if b[second] == '6' && b[second+1] == '0' {
		b[second], b[second+1] = '5', '9'
	}
	if !matches(b[:len(rfc3339Shape)], rfc3339Shape) || !fractionAndOffset(b[len(rfc3339Shape):]) {
		return time.Time{}, errNotRFC3339
	}
	t, err := time.Parse(time.RFC3339, string(b)) // checks the ranges, days of months included
	if err != nil {
		return time.Time{}, errNotRFC3339
	}
	return t, nil
}

// rfc3339Shape is the fixed part of an RFC 3339 time, with 0 for a digit.
const rfc3339Shape = "0000-00-00T00:00:00"

func upper(b *byte) {
	if *b == 't' || *b == 'z' {
		*b -= 'a' - 'A'
	}
}

// matches says that b has the shape: a digit for each 0, else the same byte.
func matches(b []byte, shape string) bool {
	if len(b) != len(shape) {
		return false
	}
	for i, c := range b {
		if shape[i] == '0' && (c < '0' || c > '9') || shape[i] != '0' && c != shape[i] {
			return false
		}
	}
	return true
}

func fractionAndOffset(b []byte) bool {
	if b[0] == '.' {
		digits := 1
		for digits < len(b) && b[digits] >= '0' && b[digits] <= '9' {
			digits++
		}
		if digits == 1 {
			return false
		}
		b = b[digits:]
	}
	return matches(b, "Z") || matches(b, "+00:00") && offsetInRange(b) || matches(b, "-00:00") && offsetInRange(b)
}

// offsetInRange keeps an offset within a day.
func offsetInRange(b []byte) bool { return string(b[1:3]) < "24" && string(b[4:6]) < "60" }
