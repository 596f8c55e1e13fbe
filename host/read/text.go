package read

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/deis/logger/sdk"
)

// Text is the newest lines of an app as the platform's controller shows them. Up to
// gatherBytes it is there as a whole before any of it is sent, so that a failure has a
// status. Whoever got it closes it.
type Text struct {
	app   string
	parts []part // what was read and is not sent yet
	size  int
	share *share
	rest  *rest // nil if parts are all
}

const (
	// lineBytes is what a line takes beside its message, as near as it need be told.
	lineBytes = 64
	// heldPages is what an answer holds that is sent while it is read: a page, and what was
	// made of it.
	heldPages = 2 * pageBytes
)

// Text gives the newest lines of the app; negative is all. Cached text is only used as the
// storage confirms it: whole if the log's version is the same, else with the lines that
// arrived since. How many arrived before the last request says which to try first.
func (r *Reader) Text(ctx context.Context, app string, lines int) (*Text, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	c := r.cache.get(asked{app, lines})
	if c != nil && c.arrived == 0 {
		if version, err := r.versions.of(ctx, app, r.fresh); err == nil && version == c.found.version {
			t := &Text{app: app, parts: []part{c.text}, size: len(c.text.bytes), share: &share{reader: r, few: true}}
			if t.share.begun(t.size) == nil { // there is room for one more who may be slow to take it
				return t, nil
			}
		}
	}
	t, err := r.readText(ctx, asked{app, lines}, c, true)
	if errors.Is(err, errLong) {
		t, err = r.readText(ctx, asked{app, lines}, nil, false)
	}
	return t, err
}

// readText reads what c, which may be nil, has not.
func (r *Reader) readText(ctx context.Context, of asked, c *cached, few bool) (_ *Text, err error) {
	s, err := r.begin(ctx, few)
	if err != nil {
		return nil, err
	}
	t := &Text{app: of.app, share: s}
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	n, ok := t.goOn(ctx, c)
	if !ok {
		s.edge = true
		n, err = s.findNewest(ctx, of.app, of.lines, sdk.Filter{}, t.keep, t.reset)
	}
	if err == nil && n.pieces {
		n, err = t.joined(ctx, of)
	}
	if err != nil {
		return nil, err
	}
	held := t.size
	if n.large {
		held = heldPages
		if t.rest == nil {
			t.rest = &rest{app: of.app, at: n.begins, end: n.end, join: &joiner{maxLine: r.opts.MaxLineBytes}}
		}
		if err := t.rest.next(ctx, s, t); err != nil {
			return nil, err
		}
	}
	slices.Reverse(t.parts)
	if err := s.begun(held); err != nil {
		return nil, err
	}
	if t.rest == nil {
		now := &cached{asked: of, found: n, text: join(t.parts)}
		if c != nil && n.end.Epoch == c.found.end.Epoch && n.end.Position > c.found.end.Position {
			now.arrived = n.end.Position - c.found.end.Position
		}
		r.cache.keep(now)
	}
	return t, nil
}

// goOn takes the lines of c and those that arrived since. It reports false, and changes
// nothing, where that might not give the newest lines.
func (t *Text) goOn(ctx context.Context, c *cached) (n newest, ok bool) {
	if c == nil || c.found.count != c.lines || c.arrived >= uint64(c.lines) {
		return n, false
	}
	n = c.found
	entries, ok, err := t.share.arrived(ctx, c.app, c.lines, &n)
	if !ok || err != nil || n.version == 0 || hasPieces(entries) {
		return n, false
	}
	t.add(newestOf(c.text, t.render(entries), c.lines))
	return n, true
}

// keep adds a page before those that were added, or behind them if it is newer. The parts are
// the newest first.
func (t *Text) keep(page []sdk.Entry, newer bool) int {
	if len(page) == 0 {
		return t.size
	}
	t.add(t.render(page))
	if before := len(t.parts) - 1; newer {
		t.parts = append([]part{t.parts[before]}, t.parts[:before]...)
	}
	return t.size
}

func (t *Text) add(p part) { t.parts, t.size = append(t.parts, p), t.size+len(p.bytes) }

func (t *Text) render(entries []sdk.Entry) part {
	need := 0
	for i := range entries {
		need += lineBytes + len(t.app) + len(entries[i].Message)
	}
	p := newPart(len(entries), need)
	show := t.share.reader.Renderer(t.app)
	for i := range entries {
		p.bytes = show.Append(p.bytes, &entries[i])
		p.ends, p.published = append(p.ends, len(p.bytes)), append(p.published, entries[i].Published.UnixNano())
	}
	return p
}

func (t *Text) reset() { t.parts, t.size = nil, 0 }

// Size is how many bytes there are; false if that is not known beforehand.
func (t *Text) Size() (int, bool) { return t.size, t.rest == nil }

// Close gives back what the text holds.
func (t *Text) Close() { t.share.close() }

// Send writes the text. What is larger than sendBytes goes in steps, each of which extends
// the time that the request has: a slow client that goes on reading at a fair pace gets
// all, one that does not is let go. An error is the storage's: the client has not got all.
func (t *Text) Send(ctx context.Context, w http.ResponseWriter) error {
	control := http.NewResponseController(w)
	t.share.hold.send(control)
	paced := t.rest != nil || t.size > sendBytes // else the request's own timeout does, until others wait
	for {
		for len(t.parts) > 0 {
			part := t.parts[0].bytes
			for len(part) > 0 {
				step := part[:min(len(part), sendBytes)]
				if paced {
					t.share.step(control, len(step))
				}
				if _, err := w.Write(step); err != nil {
					return nil // the client left
				}
				part = part[len(step):]
			}
			t.parts = t.parts[1:]
		}
		if t.rest == nil || t.rest.over {
			return nil
		}
		if err := t.share.again(ctx, func() error { return t.rest.next(ctx, t.share, t) }); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
}

// rest is a history that is read while it is sent.
type rest struct {
	app  string
	at   sdk.Cursor // before the newest entry that was read
	end  sdk.Cursor
	last uint64 // the position of that entry; 0 for none
	over bool
	join *joiner
	skip int // lines that are read and not asked for
}

// next reads and renders a page. Each begins with the last entry of the one before: else
// entries between the two may have been pushed out.
func (r *rest) next(ctx context.Context, s *share, t *Text) error {
	p, err := s.Read(ctx, sdk.ReadOptions{App: r.app, Limit: pageLimit, After: r.at})
	if err != nil {
		return err
	}
	if !isHistory(&p, r.at) || r.last > 0 && (len(p.Entries) == 0 || p.Entries[0].Position != r.last) {
		return errMoved
	}
	if r.last > 0 && len(p.Entries) == 1 { // all, or all that a page has room for
		at := r.end.At(&p.Entries[0])
		if p, err = s.Read(ctx, sdk.ReadOptions{App: r.app, Limit: pageLimit, After: at}); err != nil {
			return err
		}
		if r.over = !isHistory(&p, at) || len(p.Entries) == 0; r.over {
			t.size = 0
			t.keep(r.join.rest(), false)
			return nil
		}
	} else if r.last > 0 {
		p.Entries = p.Entries[1:]
	}
	if n := len(p.Entries); n > 0 {
		r.at, r.last = begins(r.end, &p.Entries[n-1]), p.Entries[n-1].Position
	}
	t.size = 0
	lines := p.Entries
	if len(r.join.open) > 0 || hasPieces(lines) {
		lines = r.join.add(lines)
	}
	skipped := min(r.skip, len(lines))
	r.skip -= skipped
	t.keep(lines[skipped:], false)
	return nil
}
