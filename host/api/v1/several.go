package v1

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"

	"github.com/go-chi/chi/v5"

	"github.com/deis/logger/host/follow"
	"github.com/deis/logger/host/many"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// subject tells what a request for lines is about: the app of its path, or several apps.
type subject struct {
	app       string         // empty for several
	selection many.Selection // of several
}

func (s *subject) String() string { return cmp.Or(s.app, s.selection.String()) }

// unknown refuses a request for what has no log.
func (s *subject) unknown() *problem {
	if s.app != "" {
		return appUnknown(s.app)
	}
	return &problem{http.StatusNotFound, "app_unknown", "no app of " + s.selection.String() + " has a log"}
}

// hasApp reports whether the path of a request names an app.
func hasApp(r *http.Request) bool {
	return slices.Contains(chi.RouteContext(r.Context()).URLParams.Keys, "app")
}

// subjectOf returns what a request is for, and its parameters, which are those named and the ones
// that only a request for one app has, or one for several.
func subjectOf(r *http.Request, names, ofOne, ofSeveral []string) (s subject, values url.Values, err error) {
	if hasApp(r) {
		s.app, values, err = asked(r, slices.Concat(names, ofOne))
		return s, values, err
	}
	if values, err = parametersOrForm(r, slices.Concat(names, ofSeveral)); err == nil {
		s.selection, err = many.ParseSelection(values["app"])
	}
	return s, values, err
}

// kept reads the kept lines of a subject.
type kept interface {
	// exists reports whether there is a log, or may have been one at the cursor of the request.
	exists() bool
	// floor is where the lines begin, as a session keeps it.
	floor() string
	// head begins an answer in JSON.
	head() []byte
	// follow begins to follow what comes behind it. Once all that is kept was read, onward has that
	// begin there.
	follow(q *query) (follower, error)
	onward()
	// Close gives back what it holds, once or more.
	Close()
}

// keep begins what is kept of the subject, which the sink then sends. The caller closes it.
func (v *API) keep(ctx context.Context, of *subject, q *query, out *sink) (kept, error) {
	if of.app != "" {
		return v.keepOne(ctx, of.app, q, out)
	}
	return v.keepSeveral(ctx, of, q, out)
}

// keptOfOne reads the kept lines of one app.
type keptOfOne struct {
	*read.Answer
	out      *sink
	follower *follow.Follower
}

func (v *API) keepOne(ctx context.Context, app string, q *query, out *sink) (*keptOfOne, error) {
	after, err := read.ParsePlace(q.after)
	if err != nil {
		if _, other := many.ParseCursor(q.after); other == nil {
			return nil, sdk.Refusef("after: cursor %.80q is of several apps: want one of %s alone, such as the place of an entry", q.after, app)
		}
		return nil, sdk.Refusef("after: %v", err)
	}
	if out.floor, err = sdk.ParseCursor(q.floor); err != nil {
		return nil, err
	}
	a, chosen, err := v.open(ctx, read.Query{App: app, Lines: q.lines, After: after, Filter: q.filter, Floor: out.floor}, &q.choice)
	if err != nil {
		return nil, err
	}
	out.app, out.answer, out.chosen = app, a, chosen
	if chosen != nil {
		out.answer = chosen
	}
	k := &keptOfOne{Answer: a, out: out}
	out.at(k.at())
	return k, nil
}

// at returns the place up to which all was looked at. Some lines before it may still be held.
func (k *keptOfOne) at() read.Place {
	if k.out.chosen != nil {
		return k.out.chosen.At()
	}
	return k.Log().At()
}

func (k *keptOfOne) exists() bool { return k.Exists }

func (k *keptOfOne) floor() string {
	if !k.Exists { // all that comes is newer
		return ""
	}
	return k.Begins.String()
}

func (k *keptOfOne) head() []byte { return appendQuoted([]byte(`{"app":`), k.out.app) }

func (k *keptOfOne) follow(*query) (_ follower, err error) {
	k.follower, err = k.out.api.opts.Hub.Follow(k.out.app, k.Log().At())
	if k.out.chosen != nil {
		return chosenTail{k.follower, k.out.chosen}, err
	}
	return k.follower, err
}

func (k *keptOfOne) onward() {
	k.Close()
	k.out.at(k.at())
	k.follower.Begin(k.Log())
}

// keptOfSeveral reads the kept lines of several apps, and gives them to a sink.
type keptOfSeveral struct {
	*many.History
	of    *subject
	out   *sink
	after bool // it is what follows a cursor
	tail  *many.Tail
}

func (v *API) keepSeveral(ctx context.Context, of *subject, q *query, out *sink) (*keptOfSeveral, error) {
	after, err := severalCursor(q.after)
	if err != nil {
		if _, other := read.ParsePlace(q.after); other == nil {
			return nil, sdk.Refusef("after: cursor %.80q is of one app: want one of several, as m00,APP=CURSOR is", q.after)
		}
		return nil, sdk.Refusef("after: %v", err)
	}
	floor, err := severalCursor(q.floor)
	if err != nil {
		return nil, err
	}
	h, err := v.many.Open(ctx, many.Query{Selection: of.selection, Lines: q.lines, After: after, Filter: q.filter, Floor: floor})
	if err != nil {
		return nil, err
	}
	k := &keptOfSeveral{History: h, of: of, out: out, after: after != nil}
	out.many, out.answer = &several{cursor: h.Cursor.Clone(), floor: floor, few: q.fewCursors}, k
	if err = out.many.fitFirst(q); err != nil {
		h.Close()
		return nil, err
	}
	return k, nil
}

// severalCursor reads the cursor of several apps; nil for none.
func severalCursor(text string) (*many.Cursor, error) {
	if text == "" {
		return nil, nil
	}
	c, err := many.ParseCursor(text)
	return &c, err
}

func (k *keptOfSeveral) exists() bool { return k.after || k.Exists() }

func (k *keptOfSeveral) floor() string { return k.Cursor.Floor() }

func (k *keptOfSeveral) head() []byte {
	head := []byte(`{"apps":[`)
	for i, app := range k.Apps() {
		if i > 0 {
			head = append(head, ',')
		}
		head = appendQuoted(head, app)
	}
	return append(head, ']')
}

func (k *keptOfSeveral) Next(ctx context.Context) (read.Batch, error) {
	return k.out.turn(k.History.Next(ctx))
}

func (k *keptOfSeveral) follow(q *query) (_ follower, err error) {
	v := k.out.api
	k.tail, err = k.Follow(v.opts.Hub, v.catalog, k.of.selection, !q.filter.Until.IsZero())
	return tailOfSeveral{k.tail, k.out}, err
}

func (k *keptOfSeveral) onward() {
	k.Close()
	k.tail.Begin(k.History)
}

// tailOfSeveral gives a tail to a sink.
type tailOfSeveral struct {
	*many.Tail
	out *sink
}

func (t tailOfSeveral) Next(ctx context.Context) (read.Batch, error) {
	return t.out.turn(t.Tail.Next(ctx))
}

// several holds what a sink of several apps needs beside what a sink of one app needs.
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

// fitFirst refuses a form that the cursors do not fit.
func (s *several) fitFirst(q *query) error {
	switch n := s.cursor.TextLen(); {
	case q.format != "sse":
		return nil
	case s.few:
		return sdk.Refusef("cursors=few: the id of each server-sent event is a cursor; want format=ndjson")
	case n > maxFirstID:
		return sdk.Refusef("the cursor of %d apps is of %d bytes, and the id of a server-sent event comes back in a header, which takes %d: want format=ndjson, fewer apps, or a narrower pattern", s.cursor.Len(), n, maxFirstID)
	}
	return nil
}

// fits fails with [many.ErrTooMany] if the cursor becomes too long for the form once an app is
// there.
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

// turn has the sink go on with the app of a batch.
func (s *sink) turn(app string, b read.Batch, err error) (read.Batch, error) {
	if err != nil {
		return b, err
	}
	if s.app = app; s.many.floor != nil {
		s.floor = s.many.floor.Place(app).Cursor
	}
	return b, nil
}

// at says how far the sink is in the log of its app.
func (s *sink) at(p read.Place) {
	if s.cursor = p; s.many != nil {
		s.many.cursor.Set(s.app, p)
	}
}

// where returns the cursor behind all that the sink has sent.
func (s *sink) where() fmt.Stringer {
	if s.many != nil {
		return &s.many.cursor
	}
	return s.cursor
}

// oneRecord is how the record of an entry of one app begins. Behind it are the cursor and a quote.
const oneRecord = `{"type":"entry","cursor":"`

// appendRecord appends the record of Entries[i] as the sink's client gets it: of several apps, with
// the app and the cursor of all. It goes by the record that is made for all who follow the app.
func (s *sink) appendRecord(b, record []byte, of *read.Batch, i int) []byte {
	if s.format == "json" {
		if record = record[:len(record)-1]; s.sent > 0 {
			b = append(b, ',')
		}
	}
	e := &of.Entries[i]
	switch {
	case s.many == nil || s.format == "text" && e.Source != sdk.SourceController:
		return append(b, record...)
	case s.format == "text": // which does not say of which app it is
		text := s.api.opts.Logs.Renderer(s.app)
		text.Controller = s.app
		return text.Append(b, e)
	case s.format == "sse":
		record = record[:len(record)-1]
		b = append(b, "data: "...)
	}
	s.many.cursor.Set(s.app, of.Place(i))
	b = append(append(b, `{"type":"entry","app":"`...), s.app...) // a name needs no quoting
	if !s.many.few || !s.many.told {
		b = s.many.cursor.AppendText(append(b, `","cursor":"`...))
		s.many.told = true
	}
	b = append(append(b, `","place":"`...), record[len(oneRecord):]...)
	if s.format == "sse" {
		b = append(s.many.cursor.AppendText(append(b, "\nid: "...)), "\n\n"...)
	}
	return b
}

// parametersOrForm returns the parameters of the request's URL, and of its body, if it is a POST: a
// cursor of several apps may be longer than what a URL takes.
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
