package render

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/deis/logger/client"
)

// Line holds an entry for a template. Its texts are clean.
type Line struct {
	App string
	// Time is the moment that the entry states; Published is when the queue took it.
	Time, Published time.Time
	// Source is "app" or "controller".
	Source string
	// Level is from "trace" to "fatal"; empty for a line that states none.
	Level   string
	Process string
	Release string
	Pod     string
	// Suffix is the last part of the pod's name.
	Suffix    string
	Container string
	Stream    string
	Host      string
	// Message has no newline at its end, but may have newlines within.
	Message string
	// CutBytes is how many bytes the server cut off the message.
	CutBytes uint64
	// Late says that the entry was published more than a second before one that came
	// before it.
	Late   bool
	Cursor string
}

func (p *Printer) line(r *client.Record) Line {
	l := Line{
		App: cmp.Or(p.opts.App, cleanField(r.App)), Time: p.at(r.Time), Published: p.at(r.Published), Source: cleanField(r.Source), Process: cleanField(r.Process),
		Release: cleanField(r.Release), Pod: cleanField(r.Pod), Suffix: cleanField(podSuffix(r.Pod)), Container: cleanField(r.Container), Stream: cleanField(r.Stream),
		Host: cleanField(r.Host), Message: r.Message, CutBytes: r.CutBytes, Late: r.Late, Cursor: cleanField(r.Cursor),
	}
	if _, known := levelColours[r.Level]; known {
		l.Level = string(r.Level)
	}
	if !p.opts.KeepControls {
		l.Message = Clean(r.Message, p.opts.Colour)
		if strings.IndexByte(l.Message, esc) >= 0 {
			l.Message += reset
		}
	}
	return l
}

// ParseTemplate reads a template over [Line] and tries it, so that a name that is no field fails
// before any line comes.
func ParseTemplate(text string, colour bool) (*template.Template, error) {
	t, err := template.New("line").Funcs(template.FuncMap{
		"json": func(v any) (string, error) {
			var b bytes.Buffer
			encoder := json.NewEncoder(&b)
			encoder.SetEscapeHTML(false)
			err := encoder.Encode(v)
			return strings.TrimSuffix(b.String(), "\n"), err
		},
		"color": func(name, text string) (string, error) {
			code, ok := colours[name]
			if !ok {
				code, ok = levelColours[client.Level(name)]
			}
			switch {
			case !ok:
				return "", fmt.Errorf("color %q: want a level, or one of %s", name, strings.Join(slices.Sorted(maps.Keys(colours)), ", "))
			case !colour:
				return text, nil
			}
			return paint(code, text), nil
		},
	}).Parse(text)
	if err != nil {
		return nil, err
	}
	return t, t.Execute(io.Discard, Line{
		App: "sample", Time: time.Unix(0, 0), Published: time.Unix(0, 0), Source: "app", Level: "info", Process: "web", Release: "v12",
		Pod: "sample-web-1234567890-abcde", Suffix: "abcde", Container: "sample-web", Stream: "stdout", Host: "node-1.example", Cursor: "0123456789abcdef-1",
		Message: strings.Repeat("sample ", 100),
	})
}
