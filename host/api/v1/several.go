package v1

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/deis/logger/host/access"
	"github.com/deis/logger/host/many"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// several is what a sink of several apps has beside what one of a single app has.
type several struct {
	cursor many.Cursor
	floor  *many.Cursor // before which nothing is shown; nil for none
	few    bool         // entries have the place in their app's log alone
	told   bool         // a record had the cursor, which entries of a few have only if none had
}

const (
	// maxID bounds the cursors of server-sent events: what comes back as a header has to be within
	// what the server takes. A stream begins with a cursor that may still grow by a half.
	maxID      = 12 << 10
	maxFirstID = 8 << 10
	// maxFormBytes bounds parameters that come in a body.
	maxFormBytes = 1 << 20
)

// newSinkOfSeveral returns a sink for what a history gives, and what comes behind it.
func (v *API) newSinkOfSeveral(w http.ResponseWriter, h *many.History, q query, format string) (*sink, error) {
	switch {
	case format != "sse":
	case q.fewCursors:
		return nil, sdk.Refusef("cursors=few: the id of each server-sent event is a cursor; want format=ndjson")
	case h.Cursor.TextLen() > maxFirstID:
		return nil, sdk.Refusef("the cursor of %d apps is of %d bytes, and the id of a server-sent event comes back in a header, which takes %d: want format=ndjson, fewer apps, or a narrower pattern", h.Cursor.Len(), h.Cursor.TextLen(), maxFirstID)
	}
	out := v.newSink(w, "", format)
	out.many = &several{cursor: h.Cursor.Clone(), few: q.fewCursors}
	out.answer = historyOfSeveral{h, out}
	return out, nil
}

// fits fails with [many.ErrTooMany] if the cursor becomes too long for the form once an app is there.
func (s *sink) fits(at read.Place) error {
	if s.format != "sse" {
		return nil
	}
	before := s.many.cursor.Place(s.app)
	defer s.many.cursor.Set(s.app, before)
	if s.many.cursor.Set(s.app, at); s.many.cursor.TextLen() > maxID {
		return many.ErrTooMany
	}
	return nil
}

// turn has the sink go on with an app.
func (s *sink) turn(app string) {
	if s.app = app; s.many.floor != nil {
		s.floor = s.many.floor.Place(app).Cursor
	}
}

// at says how far the sink is in the log of its app.
func (s *sink) at(p read.Place) {
	if s.cursor = p; s.many != nil {
		s.many.cursor.Set(s.app, p)
	}
}

// where is the cursor behind all that the sink has sent.
func (s *sink) where() fmt.Stringer {
	if s.many != nil {
		return &s.many.cursor
	}
	return s.cursor
}

// historyOfSeveral gives a history to a sink.
type historyOfSeveral struct {
	*many.History
	out *sink
}

func (h historyOfSeveral) Next(ctx context.Context) (read.Batch, error) {
	app, b, err := h.History.Next(ctx)
	if err == nil {
		h.out.turn(app)
	}
	return b, err
}

// tailOfSeveral gives a tail to a sink.
type tailOfSeveral struct {
	*many.Tail
	out *sink
}

func (t tailOfSeveral) Next(ctx context.Context) (read.Batch, error) {
	b, err := t.Tail.Next(ctx)
	if err == nil {
		t.out.turn(t.App())
	}
	return b, err
}

// oneRecord is how the record of an entry of one app begins. Behind it are the cursor and a quote.
const oneRecord = `{"type":"entry","cursor":"`

// sendSeveral sends the chosen entries of a batch, each with its app and the cursor of all apps. It
// goes by the records that are made for who follows the app alone.
func (s *sink) sendSeveral(b *read.Batch, indices []int, all bool) error {
	form := "ndjson"
	if s.format == "text" {
		form = "text"
	}
	text, from := b.Rendered(formats[form].form, func(p *read.Span) read.Rendering {
		one := *s
		one.format = form
		return one.render(p)
	})
	before := s.many.cursor.Place(s.app)
	defer s.many.cursor.Set(s.app, before)
	var records []byte
	for i, end := range text.Ends {
		if len(records) >= sendBytes {
			if err := s.write(records); err != nil {
				return err
			}
			records = nil // the line keeps what it was given until it is sent
		}
		record := text.Bytes[from:end]
		if from = end; !all {
			if len(indices) == 0 || indices[0] != i {
				continue
			}
			indices = indices[1:]
		}
		if s.format == "text" {
			records = s.appendLine(records, record, &b.Entries[i])
			continue
		}
		if !s.many.few || !s.many.told {
			s.many.cursor.Set(s.app, b.Place(i))
		}
		records = s.appendRecord(records, record[:len(record)-1])
		s.sent++
	}
	return s.write(records)
}

// appendLine appends a line of text. The controller's do not say of which app they are.
func (s *sink) appendLine(b, line []byte, e *sdk.Entry) []byte {
	if e.Source != sdk.SourceController {
		return append(b, line...)
	}
	text := s.api.opts.Reader.Renderer(s.app)
	text.Controller = s.app
	return text.Append(b, e)
}

// appendRecord appends a record that was made for one app. The cursor that it has there is its place.
func (s *sink) appendRecord(b, record []byte) []byte {
	switch {
	case s.format == "sse":
		b = append(b, "data: "...)
	case s.format == "json" && s.sent > 0:
		b = append(b, ',')
	}
	b = append(append(b, `{"type":"entry","app":"`...), s.app...) // a name needs no quoting
	if !s.many.few || !s.many.told {
		b = s.many.cursor.AppendText(append(b, `","cursor":"`...))
		s.many.told = true
	}
	b = append(append(b, `","place":"`...), record[len(oneRecord):]...)
	switch s.format {
	case "sse":
		b = append(s.many.cursor.AppendText(append(b, "\nid: "...)), "\n\n"...)
	case "ndjson":
		b = append(b, '\n')
	}
	return b
}

// askedSeveral returns the selection and the parameters of a request for several apps.
func askedSeveral(r *http.Request, names []string) (s many.Selection, values url.Values, err error) {
	if values, err = parametersOrForm(r, slices.Concat(names, []string{"app", "cursors"})); err != nil {
		return s, nil, err
	}
	s, err = many.ParseSelection(values["app"])
	return s, values, err
}

// parametersOrForm returns those of the request's URL, and of its body, if it is a POST: a cursor of
// several apps may be longer than what a URL takes.
func parametersOrForm(r *http.Request, names []string) (url.Values, error) {
	values, err := parameters(r, names)
	if err != nil || r.Method != http.MethodPost {
		return values, err
	}
	const form = "application/x-www-form-urlencoded"
	if got, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); got != form {
		return nil, sdk.Refusef("Content-Type %.80q: want %s, with the parameters of a GET", r.Header.Get("Content-Type"), form)
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxFormBytes))
	if err != nil {
		return nil, sdk.Refusef("the body is not to be read, or of more than %d bytes: %v", maxFormBytes, err)
	}
	more, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, sdk.Refusef("the body is no well-formed %s: %v", form, err)
	}
	for name, texts := range more {
		values[name] = append(values[name], texts...)
	}
	return values, known(values, names)
}

// parseSeveral reads the parameters of a request for several apps, of which after is nil without.
func parseSeveral(values url.Values) (q query, after *many.Cursor, err error) {
	if text := values.Get("after"); text != "" {
		c, err := many.ParseCursor(text)
		if err != nil {
			return q, nil, sdk.Refusef("after: %v", err)
		}
		after = &c
	}
	if len(values["after"]) > 1 {
		return q, nil, sdk.Refusef("after is given %d times, want it once", len(values["after"]))
	}
	values.Del("after")
	q, err = parseQuery(values, time.Now())
	return q, after, err
}

// parseCursors reads whether entries are to have few cursors.
func parseCursors(text string) (few bool, err error) {
	if text != "" && text != "each" && text != "few" {
		return false, sdk.Refusef("cursors=%.40q: want each or few", text)
	}
	return text == "few", nil
}

// readSeveral answers what is kept of several apps.
func (v *API) readSeveral(w http.ResponseWriter, r *http.Request) error {
	selection, values, err := askedSeveral(r, logsNames)
	if err != nil {
		return err
	}
	q, after, err := parseSeveral(values)
	if err != nil {
		return err
	}
	format, err := q.chooseFormat(r, false)
	if err != nil {
		return err
	}
	w.Header().Add("Vary", "Accept")
	h, err := v.many.Open(r.Context(), many.Query{Selection: selection, Lines: q.lines, After: after, Filter: q.filter})
	if err != nil {
		return err
	}
	defer h.Close()
	if !h.Exists() && after == nil {
		return noneOf(&selection)
	}
	out, err := v.newSinkOfSeveral(w, h, q, format)
	if err != nil {
		return err
	}
	head := []byte(`{"apps":[`)
	for i, app := range h.Apps() {
		if i > 0 {
			head = append(head, ',')
		}
		head = appendQuoted(head, app)
	}
	v.sendLogs(r.Context(), out, append(head, ']'))
	return nil
}

func noneOf(s *many.Selection) *problem {
	return &problem{http.StatusNotFound, "app_unknown", "no app of " + s.String() + " has a log"}
}

// tailSeveral answers as readSeveral does, and goes on.
func (v *API) tailSeveral(w http.ResponseWriter, r *http.Request) error {
	selection, values, err := askedSeveral(r, tailNames)
	if err != nil {
		return err
	}
	return v.tailOf(w, r, selection, values, nil, time.Time{})
}

// tailOf sends lines of several apps as tail does of one.
func (v *API) tailOf(w http.ResponseWriter, r *http.Request, selection many.Selection, values url.Values, floor *many.Cursor, expires time.Time) error {
	lastEvent(r, values)
	q, after, err := parseSeveral(values)
	if err != nil {
		return err
	}
	format, err := q.chooseFormat(r, true)
	if err != nil {
		return err
	}
	lines := q.lines
	if after != nil {
		lines = -1 // all that follows
	}
	h, err := v.many.Open(r.Context(), many.Query{Selection: selection, Lines: lines, After: after, Filter: q.filter, Floor: floor})
	if err != nil {
		return err
	}
	defer h.Close()
	if !h.Exists() && after == nil && !q.wait {
		return noneOf(&selection)
	}
	out, err := v.newSinkOfSeveral(w, h, q, format)
	if err != nil {
		return err
	}
	out.many.floor = floor
	f, err := h.Follow(v.opts.Hub, v.catalog, selection, !q.filter.Until.IsZero())
	if err != nil {
		return err
	}
	t := &tailing{api: v, out: out, follower: tailOfSeveral{f, out}, expires: expires, until: q.filter.Until}
	return v.begin(w, r, t, q, after != nil, func() {
		h.Close()
		f.Begin(h)
	})
}

// createSessionOfSeveral answers a URL that tails several apps for a while.
func (v *API) createSessionOfSeveral(w http.ResponseWriter, r *http.Request) error {
	if _, err := parameters(r, nil); err != nil {
		return err
	}
	s, q, apps, err := parseSession(http.MaxBytesReader(w, r.Body, maxSessionBytes), true)
	if err != nil {
		return err
	}
	selection, err := many.ParseSelection(apps)
	if err != nil {
		return err
	}
	// Where the lines of each app begin now. Apps that have no log yet have only newer ones.
	h, err := v.many.Open(r.Context(), many.Query{Selection: selection, Lines: q.lines, Filter: q.filter})
	if err != nil {
		return err
	}
	h.Close()
	s.App, s.Several, s.Floor = selection.String(), true, h.Cursor.Floor()
	return v.answerSession(w, s)
}

// tailSessionOfSeveral tails as the token of a session of several apps says.
func (v *API) tailSessionOfSeveral(w http.ResponseWriter, r *http.Request, s access.Session, values url.Values) error {
	selection, err := many.ParseSelection([]string{s.App})
	if err != nil {
		return err
	}
	floor, err := many.ParseCursor(s.Floor)
	if err != nil {
		return err
	}
	return v.tailOf(w, r, selection, values, &floor, time.Unix(s.Expires, 0))
}
