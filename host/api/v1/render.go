package v1

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/deis/logger/host/listen"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// formats are those in which entries are sent. What is made of a page in a form is shared by all
// who follow the app.
var formats = map[string]struct {
	form        read.Form
	contentType string
}{
	"text":   {0, "text/plain; charset=utf-8"},
	"ndjson": {1, "application/x-ndjson"},
	"json":   {1, "application/json"}, // of which entries are the same
	"sse":    {2, "text/event-stream; charset=utf-8"},
}

// appendEntry appends an entry's record. A line of the controller says by which name it is shown.
func appendEntry(b []byte, place read.Place, e *sdk.Entry, late bool, controller string) []byte {
	b = append(b, `{"type":"entry","cursor":"`...)
	b = place.AppendText(b)
	b = append(b, `","time":"`...)
	b = e.Time.AppendFormat(b, time.RFC3339Nano)
	if !e.Published.IsZero() {
		b = append(b, `","published":"`...)
		b = e.Published.UTC().AppendFormat(b, time.RFC3339Nano)
	}
	b = append(b, `","source":"`...)
	b = append(b, e.Source.String()...)
	b = append(b, '"')
	if e.Level != sdk.LevelUnknown {
		b = append(b, `,"level":"`...)
		b = append(b, e.Level.String()...)
		b = append(b, '"')
	}
	if e.Source != sdk.SourceController {
		controller = ""
	}
	for _, f := range [...]struct{ name, text string }{
		{`,"controller":`, controller},
		{`,"process":`, e.Process},
		{`,"release":`, e.Release},
		{`,"pod":`, e.Pod},
		{`,"container":`, e.Container},
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
	if e.Partial {
		b = append(b, `,"partial":true`...)
	}
	if late {
		b = append(b, `,"late":true`...)
	}
	return append(b, '}')
}

// appendQuoted appends a JSON string. Text that is not UTF-8, which the contract rules
// out, is mended. What some clients take for the end of a line is escaped.
func appendQuoted(b []byte, text string) []byte {
	from := len(b)
	b, _ = jsontext.AppendQuote(b, text)
	if strings.IndexByte(text, 0xc2) >= 0 || strings.IndexByte(text, 0xe2) >= 0 { // which they begin with
		b = append(b[:from], lineEnds.Replace(string(b[from:]))...)
	}
	return b
}

// lineEnds are the characters beside control characters, which JSON escapes, that end a line for
// Unicode, and so for Python's splitlines and some parsers of server-sent events.
var lineEnds = strings.NewReplacer("\u0085", `\u0085`, "\u2028", `\u2028`, "\u2029", `\u2029`)

// appendGap appends a gap's record. Of one app, the record does not say which.
func appendGap(b []byte, app, from, to string, g *read.Gap) []byte {
	b = append(b, `{"type":"gap"`...)
	if app != "" {
		b = fmt.Appendf(b, `,"app":%q`, app)
	}
	return fmt.Appendf(b, `,"from":%q,"to":%q,"count":%d,"exact":%t,"reason":%q}`, from, to, g.Count, g.Exact, g.Reason)
}

func appendHeartbeat(b []byte, cursor fmt.Stringer) []byte {
	return fmt.Appendf(b, `{"type":"heartbeat","cursor":%q}`, cursor)
}

func appendEnd(b []byte, reason string, cursor fmt.Stringer) []byte {
	return fmt.Appendf(b, `{"type":"end","reason":%q,"cursor":%q}`, reason, cursor)
}

// appendTextGap appends a line about a gap of an app, whose name is left out if it is empty.
func appendTextGap(b []byte, app string, g *read.Gap) []byte {
	count := "some" // nobody knows how many
	switch {
	case g.Exact:
		count = strconv.FormatUint(g.Count, 10)
	case g.Count > 0:
		count = strconv.FormatUint(g.Count, 10) + " or more"
	}
	if app != "" {
		app += ": "
	}
	return fmt.Appendf(b, "--- %s%s lines are missing here: %s ---\n", app, count, g.Reason)
}

// sink writes records to one client.
type sink struct {
	api    *API
	app    string
	format string
	// filter is for what was not filtered by the storage; nil lets everything pass.
	filter   *sdk.Matcher
	floor    sdk.Cursor // the history that begins there is all that is shown of what was before
	response response
	answer   batches    // while it sends what was kept
	cursor   read.Place // behind the newest entry that was looked at
	many     *several   // of several apps; nil if it is of one
	chosen   *chosen    // of lines that are chosen, or shown, for this client alone; else nil
	gaps     []byte     // of format json, which has them at its end
	sent     int        // entries
	dirty    bool       // something is written and not flushed
}

// batches gives what is kept, batch by batch, and then [io.EOF].
type batches interface {
	Next(ctx context.Context) (read.Batch, error)
	// Extend is as in [read.Answer].
	Extend(control *http.ResponseController, bytes int) bool
}

// sendBytes is the amount of text after which the client gets more time.
const sendBytes = 256 << 10

func (v *API) newSink(w http.ResponseWriter, format string) *sink {
	return &sink{api: v, format: format, response: &served{w, http.NewResponseController(w)}}
}

// begin sends the header.
func (s *sink) begin() {
	w := s.response.(*served) // as long as it has not begun
	h := w.Header()
	h.Set("Content-Type", formats[s.format].contentType)
	if h.Get("ETag") == "" {
		h.Set("Cache-Control", "no-store")
	}
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
		if _, err := s.response.Write(part); err != nil {
			return errWrite
		}
		b = b[len(part):]
	}
	return nil
}

// extend gives the client time to take so much more.
func (s *sink) extend(bytes int) {
	if w, ok := s.response.(*served); ok && s.answer != nil && s.answer.Extend(w.ResponseController, bytes) {
		return
	}
	// A writer without deadlines (a test's) has none to extend.
	_ = s.response.SetWriteDeadline(time.Now().Add(s.api.writeTimeout))
}

func (s *sink) flush() error {
	s.dirty = false
	s.extend(0)
	return s.response.Flush()
}

// render makes all entries of a span in a format.
func (s *sink) render(p *read.Span, format string) read.Rendering {
	room := 0
	for i := range p.Entries {
		room += 400 + len(p.Entries[i].Message)
	}
	t := read.Rendering{Bytes: make([]byte, 0, room), Ends: make([]int, len(p.Entries))}
	text := s.api.opts.Logs.Renderer(s.app)
	for i := range p.Entries {
		e, place := &p.Entries[i], p.Place(i)
		switch format {
		case "text":
			t.Bytes = text.Append(s.chosen.apart(t.Bytes, p, i), s.chosen.shown(e))
		case "sse":
			t.Bytes = appendEntry(append(t.Bytes, "data: "...), place, e, p.Late(i), text.Controller)
			t.Bytes = s.chosen.mark(t.Bytes, p, i)
			t.Bytes = append(place.AppendText(append(t.Bytes, "\nid: "...)), "\n\n"...)
		default:
			t.Bytes = append(s.chosen.mark(appendEntry(t.Bytes, place, e, p.Late(i), text.Controller), p, i), '\n')
		}
		t.Ends[i] = len(t.Bytes)
	}
	return t
}

// matchTime bounds what the filter of one tail may take of one batch.
const matchTime = 2 * time.Second

// wanted says which of the batch's entries are sent, and how many; nil is all of them.
func (s *sink) wanted(ctx context.Context, b *read.Batch) (is []bool, n int, err error) {
	match := s.filter != nil && !b.Filtered
	floor := s.floor.Epoch != 0 && s.floor.Epoch == b.End.Epoch
	if !match && !floor {
		return nil, len(b.Entries), nil
	}
	limited, cancel := context.WithTimeout(ctx, matchTime)
	defer cancel()
	is = make([]bool, len(b.Entries))
	for i := range b.Entries {
		e, ok := &b.Entries[i], true
		if floor && e.Position <= s.floor.Position {
			ok = s.floor.InHistory() && s.floor.Precedes(e)
		}
		if ok && match {
			line := *e
			line.Partial = false // it is as whole as it will be
			if ok, err = s.filter.Match(limited, &line); err != nil && ctx.Err() == nil {
				err = sdk.ErrTooExpensive
			}
			if err != nil {
				return nil, 0, err
			}
		}
		if is[i] = ok; ok {
			n++
		}
	}
	return is, n, nil
}

// batch sends the gaps, and the entries that are wanted.
func (s *sink) batch(ctx context.Context, b *read.Batch) error {
	if s.many != nil {
		if err := s.fits(b.End); err != nil {
			return err
		}
	}
	for i := range b.Gaps {
		if err := s.gap(&b.Gaps[i]); err != nil {
			return err
		}
	}
	s.at(b.End)
	is, n, err := s.wanted(ctx, b)
	if err != nil || n == 0 {
		return err // nothing is rendered for nobody
	}
	form := s.format
	if s.many != nil && form == "sse" {
		form = "ndjson" // each record gets its own id
	}
	text, from := b.Rendered(formats[form].form, func(p *read.Span) read.Rendering { return s.render(p, form) })
	if n == len(b.Entries) && s.format != "json" && s.many == nil {
		s.sent += n
		return s.write(text.Bytes[from:text.Ends[n-1]])
	}
	defer s.at(b.End)
	var records []byte
	for i, end := range text.Ends {
		record := text.Bytes[from:end]
		if from = end; is != nil && !is[i] {
			continue
		}
		records = s.appendRecord(records, record, b, i)
		if s.sent++; len(records) >= sendBytes {
			if err := s.write(records); err != nil {
				return err
			}
			records = nil // the line keeps what it was given until it is sent
		}
	}
	return s.write(records)
}

func (s *sink) gap(g *read.Gap) error {
	app, from, to := "", g.From.String(), g.To.String()
	if g.From.Cursor == sdk.Beginning() {
		from = ""
	}
	if s.many != nil {
		app, from, s.many.told = s.app, s.many.cursor.String(), true
	}
	if s.at(g.To); s.many != nil {
		to = s.many.cursor.String()
	}
	if s.format == "text" {
		return s.write(appendTextGap(nil, app, g))
	}
	record := appendGap(nil, app, from, to, g)
	if s.format != "json" {
		return s.record("gap", s.where(), record)
	}
	if len(s.gaps) > 0 {
		s.gaps = append(s.gaps, ',')
	}
	s.gaps = append(s.gaps, record...)
	return nil
}

// record sends a record that is no entry: in SSE, as an event of a type of its own. The id is last
// in every event: some clients take it when they read it, and resume behind an event that was cut
// off after it.
func (s *sink) record(name string, id fmt.Stringer, data []byte) error {
	if s.format == "sse" {
		return s.write(fmt.Appendf(nil, "event: %s\ndata: %s\nid: %s\n\n", name, data, id))
	}
	return s.write(append(data, '\n'))
}

// resumed begins an SSE answer behind a cursor. It has no data, so it is no event. But npm's
// eventsource 2 keeps the data of an event that was cut off before its id, and would put it in
// front of the next one, which is the same: so it becomes an event that nobody listens to.
var resumed = []byte("event: resumed\n\n")

// beat says that the tail is alive and how far it came. In SSE that is a comment and an
// id without data, which a browser remembers and tells no one.
func (s *sink) beat() error {
	if s.many != nil {
		s.many.told = true
	}
	var b []byte
	switch s.format {
	case "text":
		return nil // there is no line that is not one of the app's
	case "sse":
		b = fmt.Appendf(b, ": heartbeat\nid: %s\n\n", s.where())
	default:
		b = append(appendHeartbeat(b, s.where()), '\n')
	}
	if err := s.write(b); err != nil {
		return err
	}
	return s.flush()
}

// end sends the last record of a tail.
func (s *sink) end(reason string) {
	var err error
	if s.format == "text" {
		err = s.write([]byte("--- the tail ends here: " + reason + " ---\n"))
	} else {
		err = s.record("end", s.where(), appendEnd(nil, reason, s.where()))
	}
	if err != nil {
		return
	}
	_ = s.flush() // a client that left needs no end
	if w, ok := s.response.(*listen.Detached); ok {
		w.Finish()
	}
}
