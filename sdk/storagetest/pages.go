package storagetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/deis/logger/sdk"
)

// page makes one Read, and checks what is true of every page.
func (s *subject) page(ctx context.Context, opts sdk.ReadOptions) (page sdk.Page, err error) {
	ctx, cancel := s.waits.bound(ctx)
	defer cancel()
	if s.direct {
		page, err = sdk.ReadFiltered(ctx, s.storage, opts)
	} else {
		page, err = s.storage.Read(ctx, opts)
	}
	if err == nil {
		err = wrong(&page, &opts)
	}
	if err != nil {
		return page, fmt.Errorf("Read(%s): %w", short(opts), err)
	}
	return page, nil
}

// short returns a short form of the options.
func short(opts sdk.ReadOptions) string {
	text := fmt.Sprintf("%s limit %d", opts.App, opts.Limit)
	if !opts.After.IsZero() {
		text += fmt.Sprintf(" after %q", opts.After)
	}
	if !opts.Before.IsZero() {
		text += fmt.Sprintf(" before %q", opts.Before)
	}
	if !opts.Filter.IsZero() {
		text += fmt.Sprintf(" filter %+v", opts.Filter)
	}
	return text
}

// byPublishing compares two entries of a page.
func byPublishing(a, b *sdk.Entry) int {
	if c := a.Published.Compare(b.Published); c != 0 {
		return c
	}
	return cmp.Compare(a.Position, b.Position)
}

// errPage is wrapped by what is wrong with a page.
var errPage = errors.New("against the contract")

func faulty(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, errPage)...)
}

// wrong says how a complete page is against the contract, whatever is stored.
func wrong(page *sdk.Page, opts *sdk.ReadOptions) error {
	n := len(page.Entries)
	switch {
	case opts.Limit >= 0 && n > opts.Limit:
		return faulty("%d entries are more than asked for", n)
	case page.Epoch == 0 && (n > 0 || page.Last > 0 || page.More):
		return faulty("no epoch, and %d entries, last position %d, more: %t", n, page.Last, page.More)
	}
	seen := map[uint64]bool{}
	for i := range page.Entries {
		e := &page.Entries[i]
		switch {
		case e.Position == 0:
			return faulty("%.40q has no position", e.Message)
		case e.Position > page.Last:
			return faulty("position %d is above the last one, which is %d", e.Position, page.Last)
		case seen[e.Position]:
			return faulty("position %d comes twice", e.Position)
		}
		seen[e.Position] = true
	}
	switch {
	case page.Epoch == 0:
		return nil
	case opts.After.IsZero():
		return wrongNewest(page, opts)
	case opts.After.InHistory() && opts.After.Epoch == page.Epoch && (n == 0 || page.Entries[0].Position <= opts.After.Position):
		return wrongHistory(page, opts)
	default:
		return wrongArrival(page, opts)
	}
}

func wrongNewest(page *sdk.Page, opts *sdk.ReadOptions) error {
	for i := range page.Entries {
		e := &page.Entries[i]
		b := opts.Before
		switch {
		case i > 0 && byPublishing(&page.Entries[i-1], e) >= 0:
			return faulty("%.40q is not in the order of publishing behind %.40q", e.Message, page.Entries[i-1].Message)
		case b.IsZero():
		case e.Position > b.Position || b.InHistory() && (e.Position == b.Entry || b.Precedes(e)):
			return faulty("%.40q at position %d does not come before the cursor", e.Message, e.Position)
		}
	}
	if page.More && opts.Limit != 0 && page.Next == opts.Before {
		return faulty("more, and the next page is this one again")
	}
	return nil
}

func wrongHistory(page *sdk.Page, opts *sdk.ReadOptions) error {
	for i := range page.Entries {
		e := &page.Entries[i]
		switch {
		case i > 0 && byPublishing(&page.Entries[i-1], e) >= 0:
			return faulty("%.40q is not in the order of publishing behind %.40q", e.Message, page.Entries[i-1].Message)
		case e.Position > opts.After.Position:
			return faulty("%.40q, which arrived at %d, is in a page of the history up to there", e.Message, e.Position)
		case !opts.After.Precedes(e):
			return faulty("%.40q does not come behind the cursor's place", e.Message)
		}
	}
	if page.More && opts.Limit != 0 && page.Next == opts.After {
		return faulty("more, and the next page is this one again")
	}
	return nil
}

func wrongArrival(page *sdk.Page, opts *sdk.ReadOptions) error {
	n, from := uint64(len(page.Entries)), uint64(0)
	if opts.After.Epoch == page.Epoch {
		from = opts.After.Position
	}
	last := from
	for i := range page.Entries {
		if page.Entries[i].Position <= last {
			return faulty("position %d comes after %d", page.Entries[i].Position, last)
		}
		last = page.Entries[i].Position
	}
	next := page.Next.Position
	switch {
	case page.Next.Epoch != page.Epoch || page.Next.InHistory():
		return faulty("the next cursor is %q, in epoch %x", page.Next, page.Epoch)
	case from > page.Last: // a cursor beyond the end goes back to it
	case next < last || next > page.Last:
		return faulty("the next cursor is at %d, want from %d to %d", next, last, page.Last)
	case !page.More && next != page.Last:
		return faulty("no more, and the next cursor is at %d of %d", next, page.Last)
	case page.More && opts.Limit != 0 && next == from:
		return faulty("more, and the next page is this one again")
	case opts.Filter.IsZero() && page.Gone != next-from-n:
		return faulty("%d entries from %d to %d, and gone are %d", n, from, next, page.Gone)
	case page.Gone > next-from-n:
		return faulty("%d entries that pass from %d to %d, and gone are %d", n, from, next, page.Gone)
	}
	return nil
}

// newest reads the newest entries, page by page.
func (s *subject) newest(opts sdk.ReadOptions) sdk.Page {
	s.Helper()
	page, err := s.readNewest(s.Context(), opts)
	if err != nil {
		s.Fatal(err)
	}
	return page
}

func (s *subject) readNewest(ctx context.Context, opts sdk.ReadOptions) (whole sdk.Page, err error) {
	for first := true; ; first = false {
		page, err := s.page(ctx, opts)
		if err != nil {
			return whole, err
		}
		if first {
			whole = page
		} else {
			whole.Entries = append(page.Entries, whole.Entries...)
			whole.Next = page.Next
		}
		if whole.More = false; !page.More || opts.Limit == 0 {
			return whole, nil
		}
		if opts.Limit > 0 {
			opts.Limit -= len(page.Entries)
		}
		opts.Before = page.Next
	}
}

// all reads everything that is kept of the app, in the order of publishing.
func (s *subject) all(app string) sdk.Page {
	s.Helper()
	return s.newest(sdk.ReadOptions{App: app, Limit: -1})
}

// end returns the cursor behind everything that the log of "foo" has.
func (s *subject) end() sdk.Cursor {
	s.Helper()
	page := s.all("foo")
	return page.End()
}

// walked holds what a reader saw that went from page to page.
type walked struct {
	history, arrived []sdk.Entry
	gone             uint64
	at               sdk.Cursor
}

// all returns the entries in the order in which they were read.
func (w *walked) all() []sdk.Entry {
	return append(w.history[:len(w.history):len(w.history)], w.arrived...)
}

// walk reads on from the cursor in pages of limit entries, until there is no more.
func (s *subject) walk(opts sdk.ReadOptions) (w walked) {
	s.Helper()
	for {
		page, err := s.page(s.Context(), opts)
		if err != nil {
			s.Fatal(err)
		}
		w.take(&page, opts.After)
		if opts.After = w.at; !page.More {
			return w
		}
	}
}

// take files a page that was read after the cursor.
func (w *walked) take(page *sdk.Page, after sdk.Cursor) {
	if after.InHistory() && after.Epoch == page.Epoch && (len(page.Entries) == 0 || page.Entries[0].Position <= after.Position) {
		w.history = append(w.history, page.Entries...)
	} else {
		w.arrived = append(w.arrived, page.Entries...)
		w.gone += page.Gone
	}
	if w.at = page.Next; w.at.IsZero() {
		w.at = after
	}
}

// arrivals reads everything of the app, in the order of arrival.
func (s *subject) arrivals(app string) []sdk.Entry {
	s.Helper()
	w := s.walk(sdk.ReadOptions{App: app, Limit: -1, After: sdk.Beginning()})
	return w.arrived
}
