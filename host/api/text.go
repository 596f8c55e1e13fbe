package api

import (
	"strconv"
	"strings"
	"time"

	"github.com/deis/logger/sdk"
)

// timeLayout is how a line begins: the entry's own time in its own offset.
const timeLayout = "2006-01-02T15:04:05-07:00"

// appendText appends an entry as the controller shows it: one line, or several if
// its text has newlines, ending in exactly one more newline.
func appendText(b []byte, app string, e *sdk.Entry) []byte {
	b = appendTime(b, e.Time)
	if e.Source == sdk.SourceController {
		b = append(b, " deis[controller]: "...)
	} else {
		b = append(b, ' ')
		b = append(b, app...)
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

func appendTime(b []byte, t time.Time) []byte { return t.AppendFormat(b, timeLayout) }
