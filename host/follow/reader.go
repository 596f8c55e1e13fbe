package follow

import (
	"context"
	"sync"

	"github.com/deis/logger/sdk"
)

// Storage is what the hub needs of a storage.
type Storage interface {
	Read(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error)
	Follow(ctx context.Context, app string, after sdk.Cursor, yield func(sdk.Page) error) error
}

// Reason says why entries are missing.
type Reason string

// The reasons of a gap.
const (
	// Evicted entries were pushed out of the storage by newer ones.
	Evicted Reason = "evicted"
	// Slow followers do not take entries as fast as they come.
	Slow Reason = "slow"
	// Deleted is a log that somebody deleted, and that began again.
	Deleted Reason = "deleted"
	// Lost is a log that began again because the storage lost it.
	Lost Reason = "lost"
)

// Gap is a place where entries are missing.
type Gap struct {
	// From and To are the cursors around it: of the last entry before, zero if there
	// is none, and just before the next one.
	From, To sdk.Cursor
	// Count is how many entries are missing. Unless it is Exact there may be more: of a
	// log that is gone nobody knows how long it was.
	Count  uint64
	Exact  bool
	Reason Reason
}

// Batch is what comes next: first the gaps, then the entries. Either may be empty.
type Batch struct {
	Gaps []Gap
	// Entries are shared with other followers: nobody changes them.
	Entries []sdk.Entry
	// More says that there is more at once.
	More bool

	page  *page
	first int // index in the page of Entries[0]
	last  sdk.Cursor
}

// Cursor is the place just after Entries[i].
func (b *Batch) Cursor(i int) sdk.Cursor { return b.page.Cursor(b.first + i) }

// End is the place just after the batch.
func (b *Batch) End() sdk.Cursor { return b.last }

// Cut is the batch without what comes after the first n entries.
func (b *Batch) Cut(n int) Batch {
	cut := *b
	if n < len(b.Entries) {
		cut.Entries, cut.More = b.Entries[:n], false
		cut.last = sdk.Cursor{Epoch: b.last.Epoch, Position: b.last.Position - uint64(len(b.Entries)-n)}
	}
	return cut
}

// Form names a way to render entries.
type Form uint8

// forms is how many there may be.
const forms = 4

// Text is rendered entries: entry i ends at Ends[i].
type Text struct {
	Bytes []byte
	Ends  []int
}

// Rendered gives the entries in a form. The first follower who asks for a page's form
// has it made, by render, for all of them. Entry i of the batch is
// text.Bytes[start(i):text.Ends[i]], where an entry starts where the one before it ends,
// and the first at from.
func (b *Batch) Rendered(form Form, render func(page *sdk.Page) Text) (text Text, from int) {
	if len(b.Entries) == 0 {
		return Text{}, 0
	}
	r := &b.page.forms[form]
	r.once.Do(func() { r.text = render(&b.page.Page) })
	if b.first > 0 {
		from = r.text.Ends[b.first-1]
	}
	return Text{Bytes: r.text.Bytes, Ends: r.text.Ends[b.first : b.first+len(b.Entries)]}, from
}

// page is one of the storage's, and what was made of it.
type page struct {
	sdk.Page
	forms [forms]struct {
		once sync.Once
		text Text
	}
}

// Reader reads an app's log from a cursor on, and knows what it misses.
type Reader struct {
	storage Storage
	app     string
	last    sdk.Cursor // of the newest entry that was read
	end     sdk.Cursor // of the page that was read last; without more, the log's
}

// NewReader reads what follows the cursor; [sdk.Beginning] is all that is kept.
func NewReader(storage Storage, app string, after sdk.Cursor) *Reader {
	return &Reader{storage: storage, app: app, last: after}
}

// readPage is the most entries of one read.
const readPage = 1000

// Last is the cursor of the newest entry that was read.
func (r *Reader) Last() sdk.Cursor { return r.last }

// Next reads on. It is an empty batch at the end of the log.
func (r *Reader) Next(ctx context.Context) (Batch, error) {
	p, err := r.storage.Read(ctx, sdk.ReadOptions{App: r.app, Limit: readPage, After: r.last})
	if err != nil {
		return Batch{}, err
	}
	return r.Take(p), nil
}

// Take makes a batch of a page that was read from the log.
func (r *Reader) Take(p sdk.Page) Batch {
	b := Batch{More: p.More || len(p.Entries) >= readPage, page: &page{Page: p}}
	r.take(&b, sdk.Cursor{}, Lost)
	return b
}

// take fills a batch that has its page. Before is where whoever read the page was
// before it, if known: what is missing up to there, the reader did not take in time.
func (r *Reader) take(b *Batch, before sdk.Cursor, reason Reason) {
	p := &b.page.Page
	r.end = p.End()
	if p.Before(r.last) {
		b.Gaps = append(b.Gaps, Gap{From: r.last, To: r.end, Reason: Lost})
		r.last = r.end
	}
	b.last = r.last
	if len(p.Entries) == 0 {
		return
	}
	if before.Epoch == r.last.Epoch && before.Position > r.last.Position {
		b.Gaps = append(b.Gaps, Gap{From: r.last, To: before, Count: before.Position - r.last.Position, Exact: true, Reason: Slow})
		r.last = before
	}
	count, same := p.Gap(r.last)
	switch {
	case r.last == sdk.Beginning() || same:
		if count > 0 {
			b.Gaps = append(b.Gaps, Gap{From: r.last, To: p.Cursor(-1), Count: count, Exact: true, Reason: Evicted})
		}
	default:
		b.Gaps = append(b.Gaps, Gap{From: r.last, To: p.Cursor(-1), Count: count, Reason: reason})
	}
	if same && r.last.Position >= p.First {
		b.first = int(min(r.last.Position-p.First+1, uint64(len(p.Entries))))
	}
	b.Entries = p.Entries[b.first:]
	if len(b.Entries) > 0 {
		r.last = p.End()
	}
	b.last = r.last
}
