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
)

// reasons lists them all, so that each is there from the start at 0.
var reasons = []Reason{Malformed, BadTime, NoApp, BadApp, BadControllerLine, Refused}

// rejection is the error of a message that is rejected for good.
type rejection struct {
	reason Reason
	detail string
}

func (r *rejection) Error() string { return string(r.reason) + ": " + r.detail }

// fluentMessage is what a collector publishes, as far as it matters here. Names match
// exactly: collectors that merge an app's own JSON into the message put "Log" or
// "TIME" beside these.
type fluentMessage struct {
	Log        string         `json:"log"`
	Stream     text           `json:"stream"`
	Time       jsontext.Value `json:"time"`
	Kubernetes struct {
		PodName       text `json:"pod_name"`
		ContainerName text `json:"container_name"`
		Host          text `json:"host"`
		Labels        struct {
			App     text `json:"app"`
			Type    text `json:"type"`
			Version text `json:"version"`
		} `json:"labels"`
	} `json:"kubernetes"`
}

// text is an optional string: a value of another type is as good as none.
type text string

// UnmarshalJSONFrom implements [json.UnmarshalerFrom].
func (t *text) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	*t = ""
	if d.PeekKind() != jsontext.KindString {
		return d.SkipValue()
	}
	token, err := d.ReadToken()
	*t = text(token.String())
	return err
}

// lenient takes what encoding/json takes: invalid UTF-8 becomes U+FFFD, and of equal
// names the last counts.
var lenient = json.JoinOptions(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))

// controllerContainer is in the container name of the platform's controller.
const controllerContainer = "deis-controller"

// decoder turns messages into entries.
type decoder struct {
	maxLine int // bytes
	now     func() time.Time
}

// decode reads one message. Its error is always a *rejection.
func (d *decoder) decode(m *sdk.Message) (app string, e sdk.Entry, err error) {
	if !isObject(m.Payload) {
		return "", e, &rejection{Malformed, "not a JSON object"}
	}
	var f fluentMessage
	if err := json.Unmarshal(m.Payload, &f, lenient); err != nil {
		return "", e, &rejection{Malformed, err.Error()}
	}
	e = sdk.Entry{
		Published: m.Published,
		Process:   f.Kubernetes.Labels.Type.oneLine(),
		Release:   f.Kubernetes.Labels.Version.oneLine(),
		Pod:       f.Kubernetes.PodName.oneLine(),
		Stream:    f.Stream.oneLine(),
		Host:      f.Kubernetes.Host.oneLine(),
	}
	if e.Time, err = d.time(f.Time); err != nil {
		return "", e, &rejection{BadTime, err.Error()}
	}
	if strings.Contains(string(f.Kubernetes.ContainerName), controllerContainer) {
		e.Source = sdk.SourceController
		app, e.Message, err = controllerLine(f.Log)
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
	e.Message, e.CutBytes = cut(e.Message, d.maxLine)
	return app, e, nil
}

// oneLine is the text without control characters, which could forge a line where the
// text is shown before one.
func (t text) oneLine() string {
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
func (d *decoder) time(value jsontext.Value) (time.Time, error) {
	if value == nil || value.Kind() == jsontext.KindNull {
		return d.now().UTC(), nil
	}
	if value.Kind() != jsontext.KindString {
		return time.Time{}, errNotRFC3339
	}
	b, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return time.Time{}, errNotRFC3339
	}
	return parseTime(string(b))
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

// controllerLine reads "LEVEL [app]: text". The message is "LEVEL text", of which
// the line's final newline, then spaces around the text are dropped.
func controllerLine(log string) (app, message string, err error) {
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

// cut shortens a line to at most size bytes, on a rune boundary, and says by how many.
func cut(line string, size int) (kept string, cutBytes uint64) {
	if len(line) <= size {
		return line, 0
	}
	end := size
	for end > 0 && end > size-utf8.UTFMax && !utf8.RuneStart(line[end]) {
		end--
	}
	return line[:end], uint64(len(line) - end)
}
