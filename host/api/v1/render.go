package v1

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/deis/logger/host/follow"
	"github.com/deis/logger/sdk"
)

// The forms in which entries are sent. What is made of a page is shared by all who
// follow the app.
const (
	textForm follow.Form = iota
	ndjsonForm
	sseForm
)

// contentTypes are by format.
var contentTypes = map[string]string{
	"text":   "text/plain; charset=utf-8",
	"ndjson": "application/x-ndjson",
	"sse":    "text/event-stream; charset=utf-8",
	"json":   "application/json",
}

// appendEntry appends an entry's record.
func appendEntry(b []byte, cursor sdk.Cursor, e *sdk.Entry) []byte {
	b = append(b, `{"type":"entry","cursor":"`...)
	b = append(b, cursor.String()...)
	b = append(b, `","time":"`...)
	b = e.Time.AppendFormat(b, time.RFC3339Nano)
	if !e.Published.IsZero() {
		b = append(b, `","published":"`...)
		b = e.Published.UTC().AppendFormat(b, time.RFC3339Nano)
	}
	b = append(b, `","source":"`...)
	b = append(b, e.Source.String()...)
	b = append(b, '"')
	for _, f := range [...]struct{ name, text string }{
		{`,"process":`, e.Process},
		{`,"release":`, e.Release},
		{`,"pod":`, e.Pod},
		{`,"stream":`, e.Stream},
		{`,"host":`, e.Host},
	} {
		if f.text != "" {
			b = append(b, f.name...)
			b = appendQuoted(b, f.text)
		}
	}
	b = append(b, `,"message":`...)
	b = appendQuoted(b, e.Message)
	if e.CutBytes > 0 {
		b = append(b, `,"cut_bytes":`...)
		b = strconv.AppendUint(b, e.CutBytes, 10)
	}
	return append(b, '}')
}

// appendQuoted appends a JSON string. Text that is not UTF-8, which the contract rules
// out, is mended.
func appendQuoted(b []byte, text string) []byte {
	b, _ = jsontext.AppendQuote(b, text)
	return b
}

func appendGap(b []byte, g *follow.Gap) []byte {
	b = append(b, `{"type":"gap","from":"`...)
	if g.From != sdk.Beginning() {
		b = append(b, g.From.String()...)
	}
	b = append(b, `","to":"`...)
	b = append(b, g.To.String()...)
	b = append(b, `","count":`...)
	b = strconv.AppendUint(b, g.Count, 10)
	b = append(b, `,"exact":`...)
	b = strconv.AppendBool(b, g.Exact)
	b = append(b, `,"reason":"`...)
	b = append(b, g.Reason...)
	return append(b, `"}`...)
}

func appendHeartbeat(b []byte, cursor sdk.Cursor) []byte {
	b = append(b, `{"type":"heartbeat","cursor":"`...)
	b = append(b, cursor.String()...)
	return append(b, `"}`...)
}

func appendEnd(b []byte, reason string, cursor sdk.Cursor) []byte {
	b = append(b, `{"type":"end","reason":"`...)
	b = append(b, reason...)
	b = append(b, `","cursor":"`...)
	b = append(b, cursor.String()...)
	return append(b, `"}`...)
}

func appendTextGap(b []byte, g *follow.Gap) []byte {
	b = append(b, "--- "...)
	switch {
	case g.Count == 0: // nobody knows how many
		b = append(b, "some"...)
	case g.Exact:
		b = strconv.AppendUint(b, g.Count, 10)
	default:
		b = append(strconv.AppendUint(b, g.Count, 10), " or more"...)
	}
	b = append(b, " lines are missing here: "...)
	b = append(b, g.Reason...)
	return append(b, " ---\n"...)
}

// sink writes records to one client.
type sink struct {
	api     *API
	app     string
	format  string
	filter  *filter
	line    line
	reading Reading    // while it sends what was read
	cursor  sdk.Cursor // of the newest entry that was looked at
	gaps    []byte     // of format json, which has them at its end
	sent    int        // entries
	dirty   bool       // something is written and not flushed
	buf     []byte
}

// sendBytes is how much is sent before the client gets more time, keptBytes how much of
// a buffer one client keeps: there may be thousands.
const sendBytes, keptBytes = 256 << 10, 4 << 10

func (v *API) newSink(w http.ResponseWriter, app, format string, f *filter) *sink {
	return &sink{api: v, app: app, format: format, filter: f, line: &served{w, http.NewResponseController(w)}}
}

// begin sends the header.
func (s *sink) begin() {
	w := s.line.(*served) // as long as it has not begun
	h := w.Header()
	h.Set("Content-Type", contentTypes[s.format])
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
}

// write sends in parts, each of which has the whole write timeout: a slow client that
// goes on reading gets all, one that stopped is let go.
func (s *sink) write(b []byte) error {
	s.dirty = s.dirty || len(b) > 0
	for len(b) > 0 {
		part := b[:min(len(b), sendBytes)]
		s.extend(len(part))
		if _, err := s.line.Write(part); err != nil {
			return err
		}
		b = b[len(part):]
	}
	return nil
}

// extend gives the client time to take so much more.
func (s *sink) extend(bytes int) {
	if w, ok := s.line.(*served); ok && s.reading != nil && s.reading.Extend(w.ResponseController, bytes) {
		return
	}
	// A writer without deadlines (a test's) has none to extend.
	_ = s.line.SetWriteDeadline(time.Now().Add(s.api.writeTimeout))
}

func (s *sink) flush() error {
	s.dirty = false
	if _, ok := s.line.(*wire); ok {
		return nil // all is sent
	}
	s.extend(0)
	return s.line.Flush()
}

// render makes all entries of a page in the sink's format.
func (s *sink) render(p *sdk.Page) follow.Text {
	t := follow.Text{Ends: make([]int, len(p.Entries))}
	for i := range p.Entries {
		e := &p.Entries[i]
		switch s.format {
		case "text":
			t.Bytes = s.api.opts.Text(t.Bytes, s.app, e)
		case "sse":
			t.Bytes = append(t.Bytes, "id: "...)
			t.Bytes = append(t.Bytes, p.Cursor(i).String()...)
			t.Bytes = append(t.Bytes, "\ndata: "...)
			t.Bytes = appendEntry(t.Bytes, p.Cursor(i), e)
			t.Bytes = append(t.Bytes, "\n\n"...)
		default:
			t.Bytes = appendEntry(t.Bytes, p.Cursor(i), e)
			t.Bytes = append(t.Bytes, '\n')
		}
		t.Ends[i] = len(t.Bytes)
	}
	return t
}

func (s *sink) form() follow.Form {
	switch s.format {
	case "text":
		return textForm
	case "sse":
		return sseForm
	default:
		return ndjsonForm
	}
}

// batch sends the gaps, and the entries that pass the filter.
func (s *sink) batch(b *follow.Batch) error {
	for i := range b.Gaps {
		if err := s.gap(&b.Gaps[i]); err != nil {
			return err
		}
	}
	if len(b.Entries) == 0 {
		return nil
	}
	s.cursor = b.End()
	wanted := func(e sdk.Entry) bool { return s.filter.wants(&e) }
	if s.filter != nil && !slices.ContainsFunc(b.Entries, wanted) {
		return nil // nothing is rendered for nobody
	}
	text, from := b.Rendered(s.form(), s.render)
	if s.filter == nil && s.format != "json" {
		s.sent += len(b.Entries)
		if n := len(text.Ends); n > 0 {
			return s.write(text.Bytes[from:text.Ends[n-1]])
		}
		return nil
	}
	s.buf = s.buf[:0]
	for i, end := range text.Ends {
		record := text.Bytes[from:end]
		from = end
		if !s.filter.wants(&b.Entries[i]) {
			continue
		}
		if s.format == "json" {
			if s.sent > 0 {
				s.buf = append(s.buf, ',')
			}
			record = record[:len(record)-1]
		}
		s.buf = append(s.buf, record...)
		s.sent++
	}
	err := s.write(s.buf)
	if cap(s.buf) > keptBytes {
		s.buf = nil
	}
	return err
}

func (s *sink) gap(g *follow.Gap) error {
	s.cursor = g.To
	switch s.format {
	case "text":
		return s.write(appendTextGap(nil, g))
	case "sse":
		return s.event("gap", g.To, appendGap(nil, g))
	case "json":
		if len(s.gaps) > 0 {
			s.gaps = append(s.gaps, ',')
		}
		s.gaps = appendGap(s.gaps, g)
		return nil
	default:
		return s.write(append(appendGap(nil, g), '\n'))
	}
}

// event sends an SSE event of a type of its own.
func (s *sink) event(name string, id sdk.Cursor, data []byte) error {
	b := append([]byte("event: "), name...)
	b = append(b, "\nid: "...)
	b = append(b, id.String()...)
	b = append(b, "\ndata: "...)
	b = append(b, data...)
	return s.write(append(b, "\n\n"...))
}

// beat says that the tail is alive and how far it came. In SSE that is a comment and an
// id without data, which a browser remembers and tells no one.
func (s *sink) beat() error {
	var b []byte
	switch s.format {
	case "text":
		return nil // there is no line that is not one of the app's
	case "sse":
		b = append(b, ": heartbeat\nid: "...)
		b = append(b, s.cursor.String()...)
		b = append(b, "\n\n"...)
	default:
		b = append(appendHeartbeat(b, s.cursor), '\n')
	}
	if err := s.write(b); err != nil {
		return err
	}
	return s.flush()
}

// end is the last record of a tail.
func (s *sink) end(reason string) {
	var err error
	switch s.format {
	case "text":
		err = s.write([]byte("--- the tail ends here: " + reason + " ---\n"))
	case "sse":
		err = s.event("end", s.cursor, appendEnd(nil, reason, s.cursor))
	default:
		err = s.write(append(appendEnd(nil, reason, s.cursor), '\n'))
	}
	if err != nil {
		return
	}
	_ = s.flush() // a client that left needs no end
	if w, ok := s.line.(*wire); ok {
		w.finish()
	}
}
