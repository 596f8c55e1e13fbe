package pipeline

import (
	"encoding/json"
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
)

// reasons lists them all, so that each is there from the start at 0.
var reasons = []Reason{Malformed, BadTime, NoApp, BadApp, BadControllerLine, Refused}

// rejection is the error of a message that is rejected for good.
type rejection struct {
	reason Reason
	detail string
}

func (r *rejection) Error() string { return string(r.reason) + ": " + r.detail }

// fluentMessage is what a collector publishes, as far as it matters here.
type fluentMessage struct {
	Log        string  `json:"log"`
	Stream     string  `json:"stream"`
	Time       *string `json:"time"`
	Kubernetes struct {
		PodName       string `json:"pod_name"`
		ContainerName string `json:"container_name"`
		Host          string `json:"host"`
		Labels        struct {
			App     string `json:"app"`
			Type    string `json:"type"`
			Version string `json:"version"`
		} `json:"labels"`
	} `json:"kubernetes"`
}

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
	if err := json.Unmarshal(m.Payload, &f); err != nil {
		return "", e, &rejection{Malformed, err.Error()}
	}
	e = sdk.Entry{
		Published: m.Published,
		Process:   f.Kubernetes.Labels.Type,
		Release:   f.Kubernetes.Labels.Version,
		Pod:       f.Kubernetes.PodName,
		Stream:    f.Stream,
		Host:      f.Kubernetes.Host,
	}
	if f.Time == nil {
		e.Time = d.now().UTC()
	} else if e.Time, err = parseTime(*f.Time); err != nil {
		return "", e, &rejection{BadTime, err.Error()}
	}
	if strings.Contains(f.Kubernetes.ContainerName, controllerContainer) {
		e.Source = sdk.SourceController
		app, e.Message, err = controllerLine(f.Log)
		if err != nil {
			return "", e, err
		}
	} else {
		e.Source = sdk.SourceApp
		app = f.Kubernetes.Labels.App
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

// isObject says that the first byte that is not JSON's white space opens an object.
// encoding/json alone would take null for one.
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
