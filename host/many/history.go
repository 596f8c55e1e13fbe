package many

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math"
	"net/http"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// History gives the lines of several apps in the order of publishing; lines of the same time are in
// the order of the apps' names. Lines behind a client's cursor are in the order of arrival and stay
// in it: each comes when it is the earliest of the lines that are next in their apps.
type History struct {
	// Cursor is where the history begins.
	Cursor Cursor

	sources []*source // by app
	hold    *read.Hold
	pending []item
	page    int   // the most entries of a page
	left    int   // the most lines; negative is any number
	gaveUp  error // ErrSearch, once the search has taken too much; what it found before comes first
}

const (
	// firstPage bounds how many entries an app's first page may have: how long they are is not
	// known yet.
	firstPage = 8
	// pageLines and pageBytes are about what the pages of all apps have together.
	pageLines = 4000
	pageBytes = 2 << 20
)

// source reads one app of a history.
type source struct {
	app    string
	start  read.Place
	exists bool
	answer *read.Answer // nil if nothing is to be read
	log    *read.Log    // stands behind everything, once that was read
	batch  read.Batch   // what is next
	gaveUp bool         // its next page was not read, since the search has taken too much
}

// item holds a batch of an app.
type item struct {
	app   string
	batch read.Batch
}

// Apps returns the apps of the history, sorted.
func (h *History) Apps() []string {
	apps := make([]string, len(h.sources))
	for i, s := range h.sources {
		apps[i] = s.app
	}
	return apps
}

// Exists reports whether one of the apps has a log.
func (h *History) Exists() bool {
	for _, s := range h.sources {
		if s.exists {
			return true
		}
	}
	return false
}

// Next returns the next batch and its app, or [io.EOF] after the last. Its other errors are those
// of [read.Answer.Next]. Before [read.ErrSearch] it returns everything that the search has found,
// so that a client that goes on behind that makes progress. The apps that were not searched may
// have lines that were published before those.
func (h *History) Next(ctx context.Context) (app string, b read.Batch, err error) {
	for _, s := range h.sources {
		if len(h.pending) > 0 {
			break
		}
		err := h.fill(ctx, s)
		switch {
		case errors.Is(err, read.ErrSearch):
			h.gaveUp, s.gaveUp = err, true
		case err != nil:
			return "", b, err
		}
	}
	if len(h.pending) > 0 {
		next := h.pending[0]
		h.pending = h.pending[1:]
		return next.app, next.batch, nil
	}
	first, until := h.earliest()
	if first == nil || h.left == 0 {
		return "", b, cmp.Or(h.gaveUp, io.EOF)
	}
	n := 1
	for n < len(first.batch.Entries) && published(&first.batch.Entries[n]) < until {
		n++
	}
	if h.left > 0 {
		n = min(n, h.left)
		h.left -= n
	}
	b, first.batch = first.batch.Split(n)
	b.More = true
	return first.app, b, nil
}

// earliest returns the source whose next line comes first, or nil at the end. The lines of that
// source that were published before until come first, too.
func (h *History) earliest() (first *source, until int64) {
	at := int64(math.MaxInt64)
	until = math.MaxInt64
	for _, s := range h.sources {
		if len(s.batch.Entries) == 0 {
			continue
		}
		if next := published(&s.batch.Entries[0]); first == nil || next < at {
			first, at, until = s, next, at
		} else {
			until = min(until, next)
		}
	}
	return first, until
}

// published returns when an entry was published, in nanoseconds since 1970.
func published(e *sdk.Entry) int64 {
	if e.Published.IsZero() {
		return 0
	}
	return e.Published.UnixNano()
}

// forget tells of the apps whose log is gone. If they get another log, all of it is new. This is
// told before all else, so that the cursor never has places in both.
func (h *History) forget() {
	for _, s := range h.sources {
		if s.answer != nil && !s.exists && !s.gaveUp && s.start.Cursor != sdk.Beginning() {
			s.log = s.answer.Log()
			h.pending = append(h.pending, item{s.app, s.log.FallBack(sdk.Beginning(), read.Lost)})
		}
	}
}

// fill reads on in an app if none of its lines are left. Gaps, and batches without lines, come at
// once.
func (h *History) fill(ctx context.Context, s *source) error {
	if len(s.batch.Entries) > 0 || s.log != nil || s.gaveUp {
		return nil
	}
	b, err := s.answer.Next(ctx)
	if errors.Is(err, io.EOF) {
		s.log = s.answer.Log()
		h.pending = append(h.pending, item{s.app, read.Batch{End: s.log.At(), More: true}})
		return nil
	}
	if err != nil {
		return err
	}
	s.answer.Page(h.nextPage(&b))
	s.batch = b
	s.batch.Gaps = nil
	switch n := len(b.Gaps); {
	case n > 0 && len(b.Entries) > 0:
		h.pending = append(h.pending, item{s.app, read.Batch{Gaps: b.Gaps, End: b.Gaps[n-1].To, More: true}})
	case len(b.Entries) == 0:
		b.More = true
		h.pending = append(h.pending, item{s.app, b})
	}
	return nil
}

// nextPage returns how many entries the page behind a batch may have.
func (h *History) nextPage(b *read.Batch) int {
	bytes := 0
	for i := range b.Entries {
		bytes += 256 + len(b.Entries[i].Message)
	}
	if bytes == 0 {
		return h.page
	}
	each := bytes / len(b.Entries)
	return max(firstPage, min(h.page, pageBytes/len(h.sources)/each))
}

// Extend gives the client the time to take so many more bytes.
func (h *History) Extend(control *http.ResponseController, bytes int) bool {
	h.hold.Extend(control, bytes)
	return true
}

// Close gives back what the history holds. It may be called more than once.
func (h *History) Close() {
	if h.hold != nil {
		h.hold.Close()
	}
	for _, s := range h.sources {
		if s.answer != nil {
			s.answer.Close()
		}
	}
}
