package sdk

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

const (
	// filteredFor bounds the time of a read with a filter. It leaves the rest to the next read,
	// which is saved if the caller is gone by then.
	filteredFor = 250 * time.Millisecond
	// scannedPage is the most entries that such a read asks the storage for at once.
	scannedPage = 4096
	// matchMargin is how long before the end of a call its matching ends. So the caller learns that
	// the filter is too expensive, and does not suspect a storage that hangs.
	matchMargin = 500 * time.Millisecond
)

// pageReader has the part of a [Storage] that reads pages.
type pageReader interface {
	Read(ctx context.Context, opts ReadOptions) (Page, error)
}

// ReadFiltered does what [Storage.Read] does, applies the filter, and sets all fields of the page.
// It reads from the storage page by page, until Limit entries have passed, or a full page of them,
// or a quarter of a second is over. In the last two cases the page has More. This package serves a
// plugin's reads in this way.
func ReadFiltered(ctx context.Context, storage interface {
	Read(ctx context.Context, opts ReadOptions) (Page, error)
}, opts ReadOptions,
) (Page, error) {
	if opts.Filter.IsZero() || opts.Limit == 0 {
		opts.Filter = Filter{} // a plugin that does not filter would refuse it for ever
		page, err := storage.Read(ctx, opts)
		page.complete(&opts)
		return page, err
	}
	matcher, err := opts.Filter.Compile()
	if err != nil {
		return Page{}, err
	}
	s := scan{storage: storage, opts: opts, matcher: matcher, until: time.Now().Add(filteredFor)}
	return s.run(ctx)
}

// scan runs one filtered read.
type scan struct {
	storage pageReader
	opts    ReadOptions
	matcher *Matcher
	until   time.Time

	// passed has the entries that pass, in the order in which they were found: of the newest, the
	// newest part first. Each part is in the order of the log.
	passed [][]Entry
	count  int    // of these entries
	bytes  int    // of their messages
	seen   uint64 // entries that were looked at, of those that arrived after a cursor
}

func (s *scan) run(ctx context.Context) (answer Page, err error) {
	work := MeasureWork()
	defer func() { answer.Work = work() }()
	matching := ctx
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		matching, cancel = context.WithDeadline(ctx, end.Add(-matchMargin))
		defer cancel()
	}
	opts := s.opts
	opts.Limit = scannedPage
	// A storage in this process may use the filter to be faster; a remote one has just refused it.
	if _, remote := s.storage.(*RemoteStorage); remote {
		opts.Filter = Filter{}
	}
	opts.OmitMessages = opts.OmitMessages && !s.opts.Filter.ReadsMessages()
	for {
		page, err := s.storage.Read(ctx, opts)
		if err != nil {
			return Page{}, err
		}
		page.complete(&opts)
		if answer.Epoch != 0 && page.Epoch != answer.Epoch {
			// The log began anew meanwhile. A read after a cursor goes on with the new log; of the
			// old one there are no older entries.
			answer.More = !s.opts.After.IsZero()
			break
		}
		// What arrived after the history belongs in another page.
		if s.opts.After.InHistory() && !page.Next.InHistory() && s.count > 0 && len(page.Entries) > 0 {
			answer.More = true
			break
		}
		before := answer
		answer = page
		answer.Entries = nil
		if answer.Version = before.Version; before.Epoch == 0 {
			answer.Version = page.Version
		}
		enough, err := s.take(matching, &page, &answer)
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			return Page{}, tooExpensive("the filter takes too long for one message: write simpler regular expressions")
		case err != nil:
			return Page{}, err
		}
		if s.opts.After.IsZero() {
			answer.More = answer.More || len(page.Entries) == scannedPage
			opts.Before = answer.Next
		} else {
			opts.After = answer.Next
		}
		if enough || !answer.More || time.Now().After(s.until) {
			break
		}
	}
	s.finish(&answer)
	return answer, nil
}

// take keeps the entries of the page that pass. It returns true once they are enough; the answer's
// Next is then where it stopped. It does not copy the entries before the first that does not pass.
func (s *scan) take(ctx context.Context, page, answer *Page) (enough bool, err error) {
	newest := s.opts.After.IsZero()
	n, before := len(page.Entries), s.count
	arrived := !newest && !page.Next.InHistory()
	first := 0 // so many pass before the first that does not
	var others []Entry
	for i := range n {
		e := &page.Entries[i]
		if newest {
			e = &page.Entries[n-1-i]
		}
		if arrived {
			s.seen++
		}
		ok, err := s.matcher.Match(ctx, e)
		if err != nil {
			return false, err
		}
		if !ok {
			continue
		}
		if first == i {
			first++
		} else {
			others = append(others, *e)
		}
		s.count++
		s.bytes += len(e.Message)
		if s.count != s.opts.Limit && s.bytes < pageBytes {
			continue
		}
		enough = true
		if i < n-1 {
			answer.More = true
			if arrived {
				answer.Next = Cursor{Epoch: page.Epoch, Position: e.Position}
			} else {
				answer.Next = answer.Next.At(e)
			}
		}
		break
	}
	run := page.Entries[:first]
	if newest {
		run = page.Entries[n-first:]
		slices.Reverse(others)
	}
	if s.count-before < n/4 { // so that few entries do not retain the texts of many
		run = slices.Clone(run)
		for _, part := range [][]Entry{run, others} {
			for i := range part {
				part[i].clone()
			}
		}
	}
	s.passed = append(s.passed, run, others)
	return enough, nil
}

// clone gives the entry texts of its own.
func (e *Entry) clone() {
	for _, text := range [...]*string{&e.Process, &e.Release, &e.Pod, &e.Container, &e.Stream, &e.Host, &e.Message} {
		*text = strings.Clone(*text)
	}
}

// finish puts what passed into the answer.
func (s *scan) finish(answer *Page) {
	parts := slices.DeleteFunc(s.passed, func(part []Entry) bool { return len(part) == 0 })
	if s.opts.After.IsZero() {
		slices.Reverse(parts)
	}
	if len(parts) == 1 {
		answer.Entries = parts[0]
	} else {
		answer.Entries = slices.Concat(parts...)
	}
	if s.opts.After.IsZero() {
		if len(answer.Entries) == s.opts.Limit {
			answer.More = false // it is all that was asked for
		}
		return
	}
	if answer.Next.InHistory() || answer.Epoch == 0 {
		return
	}
	var from uint64
	if s.opts.After.Epoch == answer.Epoch {
		from = s.opts.After.Position
	}
	answer.Gone = 0
	if answer.Next.Position > from+s.seen {
		answer.Gone = answer.Next.Position - from - s.seen
	}
}
