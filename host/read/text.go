package read

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/deis/logger/sdk"
)

// TextAnswer reads the newest lines of an app as the platform's controller shows them. If they are
// few enough to be gathered, all are read before the first is sent, so that a failure can still be
// answered with a status. The caller of [Logs.OpenText] closes it.
type TextAnswer struct {
	text   part // what was read and is not sent yet
	share  *share
	show   Renderer
	answer *Answer // reads the rest; nil if text is everything
}

// heldPages is the number of bytes that an answer holds while it is read and sent: a page, and what
// was made of it.
const heldPages = 2 * pageBytes

// OpenText begins the answer of the app's newest lines; negative means all. It uses cached text
// only if the storage confirms it: whole if the log's version is the same, otherwise together with
// the lines that arrived since. The version is asked for only if no lines have arrived of late.
func (l *Logs) OpenText(ctx context.Context, app string, lines int) (*TextAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, l.opts.Timeout)
	defer cancel()
	c := l.cache.get(asked{app, lines})
	if c != nil && c.arrived == 0 {
		if version, err := l.versions.of(ctx, app, l.fresh); err == nil && version == c.found.version {
			t := &TextAnswer{text: c.text, share: &share{logs: l, few: true}}
			if t.share.begun(len(c.text.bytes)) == nil { // there is room for one more who may be slow to take it
				return t, nil
			}
		}
	}
	if t := l.goOn(ctx, c); t != nil {
		return t, nil
	}
	show := l.Renderer(app)
	a, err := l.Open(ctx, Query{App: app, Lines: lines, show: &show})
	if err != nil {
		return nil, err
	}
	t := &TextAnswer{share: a.share, show: show}
	if a.found.large {
		t.answer = a
		return t, nil
	}
	slices.Reverse(a.found.text)
	t.text = joinParts(a.found.text)
	l.cache.keep(&cached{asked: asked{app, lines}, found: *a.found, text: t.text}, c)
	return t, nil
}

// goOn returns the cached lines with those that arrived since, or nil if these might not be the
// newest. It does not try if most lines may be new: then one call reads them all, and a try that
// fails would be one call more.
func (l *Logs) goOn(ctx context.Context, c *cached) *TextAnswer {
	if c == nil || c.found.count != c.lines || c.arrived >= uint64(c.lines/2) {
		return nil
	}
	n := c.found
	t := &TextAnswer{share: &share{logs: l, few: true}, show: l.Renderer(c.app)}
	if t.share.begin(ctx) != nil {
		return nil
	}
	if entries, ok := t.share.arrived(ctx, c.app, c.lines, &n); ok && n.version != 0 {
		t.text = joinParts([]part{c.text.last(c.lines - len(entries)), t.show.part(entries)})
		if t.share.begun(len(t.text.bytes)) == nil {
			l.cache.keep(&cached{asked: c.asked, found: n, text: t.text}, c)
			return t
		}
	}
	t.Close()
	return nil
}

// arrived reads the entries that arrived since n was found, up to a limit, in the order of
// publishing, and brings n up to date. It returns false if the log is another than n's, if the
// entries do not come after all that n has, or if there are pieces of lines.
func (s *share) arrived(ctx context.Context, app string, limit int, n *newestLines) (entries []sdk.Entry, ok bool) {
	if n.last.Position != n.end.Position || n.pieces {
		return nil, false
	}
	// The last of what was found comes again: a storage that went back to an earlier state
	// uses its positions again.
	p, err := s.Read(ctx, sdk.ReadOptions{App: app, Limit: limit + 1, After: sdk.Cursor{Epoch: n.end.Epoch, Position: n.end.Position - 1}})
	if err != nil || p.Epoch != n.end.Epoch || len(p.Entries) == 0 {
		return nil, false
	}
	last, entries := &p.Entries[0], p.Entries[1:]
	if last.Position != n.last.Position || !last.Published.Equal(n.last.Published) || last.Message != n.last.Message {
		return nil, false
	}
	n.last, n.version, n.end = p.Entries[len(entries)], p.Version, p.Next.Plain()
	if p.More {
		n.version = 0 // it is that of a longer log
	}
	slices.SortStableFunc(entries, func(a, b sdk.Entry) int { return a.Published.Compare(b.Published) })
	if len(entries) > 0 {
		ok, n.published = !entries[0].Published.Before(n.published), entries[len(entries)-1].Published
		return entries, ok && !hasPieces(entries)
	}
	return nil, true
}

// Size returns how many bytes the text has, and false if that is not known beforehand.
func (t *TextAnswer) Size() (int, bool) { return len(t.text.bytes), t.answer == nil }

// Close gives back what the text holds.
func (t *TextAnswer) Close() { t.share.close() }

// Send writes the text. A text larger than sendBytes goes in steps, each of which extends the
// request's deadline. So a slow client that keeps a fair pace gets everything, and a slower one is
// cut off. An error is the storage's: the client has not got all.
func (t *TextAnswer) Send(ctx context.Context, w http.ResponseWriter) error {
	control := http.NewResponseController(w)
	t.share.hold.send(control)
	paced := t.answer != nil || len(t.text.bytes) > sendBytes // else the request's own timeout suffices, until others wait
	for {
		for b := t.text.bytes; len(b) > 0; {
			step := b[:min(len(b), sendBytes)]
			if paced {
				t.share.hold.Extend(control, len(step))
			}
			if _, err := w.Write(step); err != nil {
				return nil // the client left
			}
			b = b[len(step):]
		}
		if t.answer == nil {
			return nil
		}
		b, err := t.answer.Next(ctx) // the first was read
		switch {
		case errors.Is(err, io.EOF) || err != nil && ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case len(b.Gaps) > 0:
			return errMoved
		}
		t.text = t.show.part(b.Entries)
	}
}

// part holds rendered lines. The first begins at from, and line i ends at ends[i].
type part struct {
	bytes []byte
	ends  []int
	from  int
}

// lineBytes is about how many bytes a line takes beside its message and the app's name.
const lineBytes = 64

// part renders entries.
func (r *Renderer) part(entries []sdk.Entry) (p part) {
	need := 0
	for i := range entries {
		need += lineBytes + len(r.App) + len(entries[i].Message)
	}
	p.bytes, p.ends = make([]byte, 0, need), make([]int, len(entries))
	for i := range entries {
		p.bytes = r.Append(p.bytes, &entries[i])
		p.ends[i] = len(p.bytes)
	}
	return p
}

// last returns the last lines.
func (p part) last(lines int) part {
	if first := len(p.ends) - lines; first > 0 {
		return part{bytes: p.bytes, ends: p.ends[first:], from: p.ends[first-1]}
	}
	return p
}

// joinParts joins several parts to one.
func joinParts(parts []part) (all part) {
	if len(parts) == 1 {
		return parts[0]
	}
	lines, bytes := 0, 0
	for i := range parts {
		lines, bytes = lines+len(parts[i].ends), bytes+len(parts[i].bytes)-parts[i].from
	}
	all.bytes, all.ends = make([]byte, 0, bytes), make([]int, 0, lines)
	for _, p := range parts {
		for _, end := range p.ends {
			all.ends = append(all.ends, len(all.bytes)+end-p.from)
		}
		all.bytes = append(all.bytes, p.bytes[p.from:]...)
	}
	return all
}
