package read

import (
	"strconv"
	"strings"
	"time"

	"github.com/deis/logger/sdk"
)

// AppendLine appends one entry of the app as the platform's controller shows it.
func (r *Reader) AppendLine(b []byte, app string, e *sdk.Entry) []byte {
	show := renderer{app: app, controller: r.opts.ControllerName}
	return show.append(b, e)
}

// renderer renders entries of one app.
type renderer struct {
	app        string
	controller string // what the platform is called
	// What the line before began with: most begin alike.
	second int64
	offset int
	prefix []byte
	buf    [32]byte // of prefix
}

// append appends an entry as the controller shows it: one line, or several if its text
// has newlines, ending in exactly one more newline.
func (r *renderer) append(b []byte, e *sdk.Entry) []byte {
	b = r.appendTime(b, e.Time)
	if e.Source == sdk.SourceController {
		b = append(b, ' ')
		b = append(b, r.controller...)
		b = append(b, "[controller]: "...)
	} else {
		b = append(b, ' ')
		b = append(b, r.app...)
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

// podSuffix is the last dash-separated part of a pod name with three dashes or more:
// what tells the pods of one release apart.
func podSuffix(pod string) (suffix string, ok bool) {
	if strings.Count(pod, "-") < 3 {
		return "", false
	}
	return pod[strings.LastIndexByte(pod, '-')+1:], true
}

// appendTime appends the entry's own time in its own offset, to the second:
// "2006-01-02T15:04:05-07:00" in Go's notation.
func (r *renderer) appendTime(b []byte, t time.Time) []byte {
	_, offset := t.Zone()
	if second := t.Unix(); r.prefix == nil || second != r.second || offset != r.offset {
		r.second, r.offset = second, offset
		r.prefix = t.AppendFormat(r.buf[:0], time.RFC3339) // which Go has a short way for
		if offset == 0 {
			r.prefix = append(r.prefix[:len(r.prefix)-1], "+00:00"...) // in the place of a Z
		}
	}
	return append(b, r.prefix...)
}
