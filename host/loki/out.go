package loki

import (
	"net/http"

	"github.com/deis/logger/host/loki/logql"
	"github.com/deis/logger/host/read"
)

// chunkBytes is about how much of an answer is written at once.
const chunkBytes = 64 << 10

// out writes an answer while it is made, so that at most a chunk of its text is held.
type out struct {
	w       http.ResponseWriter
	control *http.ResponseController
	hold    *read.Hold
	b       []byte
	left    bool // the client has left
}

// flush writes the held text. The client has some time to read it, and less if others wait for
// memory.
func (o *out) flush() {
	if !o.left {
		o.hold.Extend(o.control, len(o.b))
		_, err := o.w.Write(o.b)
		o.left = err != nil // the client has left and needs no answer
	}
	o.b = o.b[:0]
}

// full writes the held text if it fills a chunk.
func (o *out) full() {
	if len(o.b) >= chunkBytes {
		o.flush()
	}
}

// streams writes the lines, and releases their memory.
func (o *out) streams(lines []line) {
	held := 0
	for i := range lines {
		held += lines[i].size()
	}
	o.hold.Shrink(held)
	o.b = appendStreams(o.b, byLabels(lines), func(b []byte, l *line) ([]byte, bool) {
		o.b, held = b, held-l.size()
		if l.text = ""; len(b) >= chunkBytes {
			o.flush()
			o.hold.Shrink(held)
		}
		return o.b, o.left
	})
}

// matrix writes all points of the series.
func (o *out) matrix(all []logql.Series) {
	o.b = append(o.b, '[')
	for i, series := range all {
		o.b = append(comma(o.b, i), `{"metric":`...)
		o.b = append(appendLabels(o.b, series.Labels), `,"values":[`...)
		for j, p := range series.Points {
			o.b = appendPoint(comma(o.b, j), p)
			o.full()
		}
		o.b = append(o.b, `]}`...)
	}
	o.b = append(o.b, ']')
}

// vector writes the last point of each series.
func (o *out) vector(all []logql.Series) {
	o.b = append(o.b, '[')
	for i, series := range all {
		o.b = append(comma(o.b, i), `{"metric":`...)
		o.b = append(appendLabels(o.b, series.Labels), `,"value":`...)
		o.b = append(appendPoint(o.b, series.Points[len(series.Points)-1]), '}')
		o.full()
	}
	o.b = append(o.b, ']')
}
