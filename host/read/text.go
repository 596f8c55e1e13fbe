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
	parts [][]byte // what was read and is not sent yet
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

// Text gives the newest lines of the app; negative is all. What is cached is only used if
// the storage says, after this call, that the log is the same.
func (r *Reader) Text(ctx context.Context, app string, lines int) (*Text, error) {
	ctx, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	if c := r.cache.get(asked{app, lines}); c != nil {
		if version, err := r.versions.of(ctx, app); err == nil && version == c.version {
			t := &Text{app: app, parts: slices.Clone(c.parts), size: c.size, share: &share{reader: r, few: true}}
			if t.share.begun(t.size) == nil { // there is room for one more who may be slow to take it
				return t, nil
			}
		}
	}
	t, err := r.readText(ctx, app, lines, true)
	if errors.Is(err, errLong) {
		t, err = r.readText(ctx, app, lines, false)
	}
	return t, err
}

func (r *Reader) readText(ctx context.Context, app string, lines int, few bool) (_ *Text, err error) {
	s, err := r.begin(ctx, few)
	if err != nil {
		return nil, err
	}
	t := &Text{app: app, share: s}
	defer func() {
		if err != nil {
			t.Close()
		}
	}()
	n, err := s.findNewest(ctx, app, lines, sdk.Filter{}, t.keep, t.reset)
	if err != nil {
		return nil, err
	}
	held := t.size
	if n.large {
		held = heldPages
		t.rest = &rest{app: app, at: n.begins, end: n.end}
		if err := t.rest.next(ctx, s, t); err != nil {
			return nil, err
		}
	}
	slices.Reverse(t.parts)
	if err := s.begun(held); err != nil {
		return nil, err
	}
	if t.rest == nil {
		r.cache.keep(&cached{asked: asked{app, lines}, version: n.version, parts: slices.Clone(t.parts), size: t.size})
	}
	return t, nil
}

// keep adds a page before those that were added, or behind them if it is newer. The parts are
// the newest first.
func (t *Text) keep(page []sdk.Entry, newer bool) int {
	size, before := t.add(page), len(t.parts)-1
	if newer && len(page) > 0 {
		t.parts = append([][]byte{t.parts[before]}, t.parts[:before]...)
	}
	return size
}

// add renders entries.
func (t *Text) add(entries []sdk.Entry) int {
	if len(entries) == 0 {
		return t.size
	}
	need := 0
	for i := range entries {
		need += lineBytes + len(t.app) + len(entries[i].Message)
	}
	part := make([]byte, 0, need)
	show := t.share.reader.Renderer(t.app)
	for i := range entries {
		part = show.Append(part, &entries[i])
	}
	t.parts, t.size = append(t.parts, part), t.size+len(part)
	return t.size
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
			part := t.parts[0]
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
			return nil
		}
	} else if r.last > 0 {
		p.Entries = p.Entries[1:]
	}
	if n := len(p.Entries); n > 0 {
		r.at, r.last = begins(r.end, &p.Entries[n-1]), p.Entries[n-1].Position
	}
	t.size = 0
	t.add(p.Entries)
	return nil
}
