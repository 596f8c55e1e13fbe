package loki

import (
	"net/http"

	"github.com/deis/logger/host/loki/logql"
	"github.com/deis/logger/host/read"
)

// chunkBytes is about how much of an answer is written at once.
const chunkBytes = 64 << 10

// out writes an answer while it is made, so that of its text no more than a chunk is held.
type out struct {
	w       http.ResponseWriter
	control *http.ResponseController
	hold    *read.Hold
	b       []byte
	left    bool // the client did
}

// flush writes what there is. The client has its time for that, less if others wait for memory.
func (o *out) flush() {
	if !o.left {
		o.hold.Extend(o.control, len(o.b))
		_, err := o.w.Write(o.b)
		o.left = err != nil // it needs no answer
	}
	o.b = o.b[:0]
}

// full writes what there is if that is a chunk.
func (o *out) full() {
	if len(o.b) >= chunkBytes {
		o.flush()
	}
}

// streams writes the lines, and gives their memory back.
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
