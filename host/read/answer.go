package read

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/deis/logger/sdk"
)

// Query asks for lines of an app.
type Query struct {
	App string
	// Lines bounds the lines: the newest, or, behind After, the oldest. A negative value means all.
	Lines  int
	After  Place
	Filter sdk.Filter
	// OmitMessages says that the caller needs no messages. Lines may come with theirs, or with an
	// empty one.
	OmitMessages bool
	// Groups joins the lines that continue a stack trace with the line that they continue. It needs
	// a query of all lines, or one with After.
	Groups bool
	// Floor is the cursor at which the history begins: nothing before it is shown. Zero means none.
	Floor sdk.Cursor
	// Gather makes the answer keep the memory that it reserved at first until [Answer.Gathered]
	// says how much the caller holds.
	Gather bool
	// Search adds up the search time of all answers to one request; nil gives this answer its own.
	Search *Search

	// show, unless it is nil, renders the newest lines; the answer keeps their text instead of
	// them.
	show *Renderer
}

// Answer gives the lines that a [Query] asks for, batch by batch, up to the end that the log had
// when the answer began. The caller closes it.
type Answer struct {
	// Exists says that the app has a log.
	Exists bool
	// Version is the log's version (see [sdk.Versioner]) at the moment of the read; 0 if it is not
	// known.
	Version uint64
	// Begins is the cursor before the first line of a history.
	Begins sdk.Cursor

	q       Query
	share   *share
	log     *Log
	found   *newestLines // of the newest lines; nil if they were not looked for
	queue   []Batch      // batches that are read and not given yet
	end     sdk.Cursor   // of the log, when it was first read
	history bool         // the answer is the log's history, and nothing behind it
	over    bool         // nothing is left to read behind the queue
	sent    int
	page    int // the most entries of a page; 0 for the usual
}

// Open begins an answer. When it returns, everything that the first batch needs is read. Long logs,
// and queries with a filter, wait for turns of their own. If the answer proves to be another kind
// than it was begun as, or if its log changes meanwhile, Open begins it anew.
func (l *Logs) Open(ctx context.Context, q Query) (*Answer, error) {
	within := l.opts.Timeout
	if !q.Filter.IsZero() {
		within += 4 * searchTime // a busy machine takes longer for so much processor time
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if q.Search == nil && !q.Filter.IsZero() {
		q.Search = new(Search)
	}
	few, apart := q.Filter.IsZero() && !q.Groups, false
	for left := tries; ; left-- {
		a, err := l.answer(q, &share{logs: l, few: few, apart: apart})
		if err != nil {
			return nil, err
		}
		var held int
		err = a.share.begin(ctx)
		switch {
		case err != nil:
		case q.After.IsZero():
			held, err = a.newest(ctx, left > 1)
		default:
			held, err = a.resume(ctx)
		}
		if q.Gather && !few {
			held = gatherBytes + pageBytes
		}
		if err == nil {
			err = a.share.begun(held)
		}
		if err == nil {
			return a, nil
		}
		a.Close()
		switch {
		case few && errors.Is(err, errLong):
			few = false
		case errors.Is(err, errPieces):
			apart = true
		case !errors.Is(err, errMoved) || left == 1:
			return nil, err
		}
	}
}

// answer returns a new answer, of which nothing is read yet.
func (l *Logs) answer(q Query, s *share) (_ *Answer, err error) {
	if f := &q.Filter; f.ReadsMessages() || f.Level != sdk.LevelUnknown {
		if s.text, err = f.Compile(); err != nil {
			return nil, err
		}
		s.apart = s.apart || q.Groups // texts are those of groups
	}
	s.search = q.Search
	s.omitMessages = q.OmitMessages && !q.Groups && !q.Filter.ReadsMessages() // which may be those of joined lines
	a := &Answer{q: q, share: s, log: NewLog(s, q.App, q.After)}
	a.log.filter, a.log.of, a.log.joiner = q.Filter, filterID(&q.Filter), a.joiner()
	return a, nil
}

// joiner returns a new joiner for the lines of the answer.
func (a *Answer) joiner() joiner {
	return joiner{maxLine: a.share.logs.opts.MaxLineBytes, search: a.share, groups: a.q.Groups}
}

// resume reads the first page behind the cursor, or all pages if these are few lines. It returns
// how many bytes the answer holds.
func (a *Answer) resume(ctx context.Context) (held int, err error) {
	if f := a.q.Floor; !f.IsZero() && a.q.After.Epoch != f.Epoch {
		// The client's log is not the floor's. If the floor's log is the current one, the answer
		// begins at the floor. A log that began since is newer as a whole.
		p, err := a.share.Read(ctx, sdk.ReadOptions{App: a.q.App})
		if err != nil {
			return 0, err
		}
		if p.Epoch == f.Epoch {
			a.log.at = Place{Cursor: f}
		}
	}
	a.Begins = a.log.at.Cursor
	if !a.share.few {
		return heldPages, a.more(ctx)
	}
	for !a.over { // all of it, if it is few lines
		if err := a.more(ctx); err != nil {
			return 0, err
		}
		if a.sent > fewLines {
			return 0, errLong
		}
	}
	for i := range a.queue {
		held += entryBytes(a.queue[i].Entries)
	}
	return held, nil
}

// more reads the next page.
func (a *Answer) more(ctx context.Context) error {
	b, err := a.log.Next(ctx, a.limit())
	if err != nil {
		return err
	}
	if a.end.IsZero() {
		a.end = a.log.end
		a.Exists = a.end.Epoch != 0
	}
	if a.push(b); a.over && (a.history || a.wants(0)) {
		b, err = a.log.rest(ctx, overdue(time.Now()))
		a.push(b)
	}
	return err
}

// take makes the answer of the newest lines that were found. If they are too large to be gathered,
// it begins to read them from where they begin.
func (a *Answer) take(ctx context.Context, n *newestLines) (held int, err error) {
	a.found, a.Exists, a.Version, a.end = n, n.end.Epoch != 0, n.version, n.end
	a.from(n.end)
	if a.over = !n.large; !a.Exists {
		return 0, nil
	}
	a.Begins, a.history = n.begins, true
	if n.large {
		return heldPages, a.forward(ctx)
	}
	if a.log.at = a.log.joiner.mark(a.log.at); a.log.at.Open != "" {
		a.Version, n.version = 0, 0 // the answer changes with time
	}
	a.gathered(n.spans)
	return n.bytes, nil
}

// from sets the place where the log goes on: its end or, if there is no log yet, the beginning of
// all.
func (a *Answer) from(end sdk.Cursor) {
	if end.IsZero() {
		end = sdk.Beginning()
	}
	a.Begins, a.log.at, a.log.end = end, Place{Cursor: end}, end
}

// forward begins to read the history page by page from its beginning.
func (a *Answer) forward(ctx context.Context) error {
	n, at := a.found, a.Start()
	switch {
	case a.q.show != nil:
		// With a count, missing lines are told only at the end. A text has to be cut off before the
		// hole.
		at.N = 0
	case a.q.Lines < 0 && a.q.Filter.IsZero(): // newest did not count them
		var err error
		if at, err = a.share.logs.beginning(ctx, a.q.App, n.end); err != nil {
			return err
		}
	}
	a.log.at = at
	if a.log.joiner = a.joiner(); n.from != n.begins {
		a.log.joiner.floor = n.begins
	}
	return a.more(ctx)
}

// gathered queues the batches of a history that was read as a whole.
func (a *Answer) gathered(spans []*Span) {
	// A history that is in the order of arrival needs no cursors of its own.
	plain, next := a.q.Filter.IsZero(), a.end.Position
	for _, s := range spans {
		for i := len(s.Entries) - 1; i >= 0 && plain; i-- {
			plain = s.lines == nil && s.Entries[i].Position == next
			next--
		}
	}
	spans = slices.DeleteFunc(spans, func(s *Span) bool { return len(s.Entries) == 0 })
	for i, s := range slices.Backward(spans) {
		if plain {
			s.history, s.end.Position, s.left = false, s.end.Position-s.left, 0
		}
		last := len(s.Entries) - 1
		b := Batch{Filtered: true, More: i > 0, End: s.Place(last)}
		if b.take(s, 0); i == 0 {
			b.End, a.log.newest = a.log.at, s.Entries[last].Published
		}
		a.queue = append(a.queue, b)
	}
}

// entryBytes returns about how many bytes entries take, with what is made of them.
func entryBytes(entries []sdk.Entry) (n int) {
	for i := range entries {
		n += 512 + 2*len(entries[i].Message)
	}
	return n
}

// limit returns how many entries the next page may have.
func (a *Answer) limit() int {
	if a.page > 0 || a.history || a.q.Lines < 0 || a.share.apart {
		return cmp.Or(a.page, pageLimit)
	}
	return min(pageLimit, a.q.Lines-a.sent)
}

// wants reports whether the answer goes on after n more entries.
func (a *Answer) wants(n int) bool { return a.q.Lines < 0 || a.sent+n < a.q.Lines }

// push queues a batch that was read, and finds out whether it is the last.
func (a *Answer) push(b Batch) {
	if !a.history && a.q.Lines >= 0 {
		b.cut(a.q.Lines - a.sent)
		a.log.at = b.End
	}
	a.over = !b.More || !a.history && !a.wants(len(b.Entries))
	if at := a.log.at; !at.InHistory() && (a.history || at.Epoch != a.end.Epoch || at.Position >= a.end.Position) {
		a.over = true // the rest arrived after the answer began
	}
	a.sent += len(b.Entries)
	a.queue = append(a.queue, b)
}

// Next returns the next batch, or [io.EOF] after the last. Its other errors are the storage's,
// [ErrBusy] and [ErrSearch].
func (a *Answer) Next(ctx context.Context) (Batch, error) {
	if len(a.queue) == 0 {
		if a.over {
			return Batch{}, io.EOF
		}
		if err := a.share.again(ctx, func() error { return a.more(ctx) }); err != nil {
			return Batch{}, err
		}
	}
	b := a.queue[0]
	a.queue = a.queue[1:]
	return b, nil
}

// Log returns the log, which reads on from where the answer ends.
func (a *Answer) Log() *Log { return a.log }

// Extend gives the client the time to take so many more bytes. It returns false for an answer of
// few lines, whose client has no pace to keep.
func (a *Answer) Extend(control *http.ResponseController, bytes int) bool {
	return a.share.extend(control, bytes)
}

// Gathered tells the answer that everything is read, and that the caller holds so many bytes of it
// until it closes the answer.
func (a *Answer) Gathered(bytes int) {
	if !a.share.few {
		a.share.hold.Shrink(heldPages + bytes)
	}
}

// Close gives back what the answer holds.
func (a *Answer) Close() { a.share.close() }
