package read

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/deis/logger/sdk"
)

// Renderer returns a renderer of the app's entries.
func (l *Logs) Renderer(app string) Renderer {
	return Renderer{App: app, Controller: l.opts.ControllerName}
}

// Renderer renders entries of one app as the platform's controller shows them.
type Renderer struct {
	App string
	// Controller begins the controller's lines, before "[controller]". Empty means "deis".
	Controller string
}

// timeFormat shows an entry's own time, in its own offset, to the second.
const timeFormat = "2006-01-02T15:04:05-07:00"

// Append appends an entry, with a newline at its end. It makes one line, or several if the entry's
// text has newlines.
func (r *Renderer) Append(b []byte, e *sdk.Entry) []byte {
	b = e.Time.AppendFormat(b, timeFormat)
	if e.Source == sdk.SourceController {
		b = append(b, ' ')
		b = append(b, cmp.Or(r.Controller, "deis")...)
		b = append(b, "[controller]: "...)
	} else {
		b = append(b, ' ')
		b = append(b, r.App...)
		b = append(b, '[')
		b = append(b, e.Process...)
		b = append(b, '.')
		b = append(b, e.Release...)
		if suffix, ok := podSuffix(e.Pod); ok {
			b = append(b, '.')
			b = append(b, suffix...)
		}
		b = append(b, "]: "...)
	}
	b = append(b, e.Message...)
	if e.CutBytes > 0 {
		b = append(b, " [cut: "...)
		b = strconv.AppendUint(b, e.CutBytes, 10)
		b = append(b, " more bytes]"...)
	}
	return append(b, '\n')
}

// podSuffix returns the part of a pod's name behind the last dash, if the name has three dashes or
// more. That part tells the pods of one release apart.
func podSuffix(pod string) (suffix string, ok bool) {
	if strings.Count(pod, "-") < 3 {
		return "", false
	}
	return pod[strings.LastIndexByte(pod, '-')+1:], true
}
