package memory

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/deis/logger/sdk"
)

// pageBytes is about how much of a log one Read copies. The rest is for the next. What is
// copied, taken apart and encoded is memory beside the budget.
const pageBytes = 384 << 10

const (
	// largeReads is how many pages of more than smallRead are made at once: each takes
	// several times its size, beside the budget. A smaller one never waits.
	largeReads = 2
	smallRead  = 64 << 10
)

// Read implements [sdk.Storage]. It copies the part of the log under the lock, and
// takes it apart after.
func (s *storage) Read(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	if err := ctx.Err(); err != nil {
		return sdk.Page{}, err
	}
	if s.isLarge(opts) {
		select {
		case s.reads <- struct{}{}:
			defer func() { <-s.reads }()
		case <-ctx.Done():
			return sdk.Page{}, ctx.Err()
		}
	}
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return sdk.Page{}, errClosed
	}
	l := s.logs.find(opts.App)
	if l == nil || l.epoch == 0 {
		s.mu.RUnlock()
		return sdk.Page{First: 1}, nil
	}
	first, n := l.window(opts)
	page := sdk.Page{Epoch: l.epoch, First: first, Oldest: l.first}
	p := s.copyPart(l, first, n)
	s.mu.RUnlock()

	var err error
	if page.Entries, err = p.decode(first); err != nil {
		return sdk.Page{}, fmt.Errorf("read %q: %w", opts.App, err)
	}
	page.More = uint64(len(page.Entries)) < n
	return page, nil
}

// isLarge says whether more than smallRead is to be read, as it is now.
func (s *storage) isLarge(opts sdk.ReadOptions) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	l := s.logs.find(opts.App)
	if s.closed || l == nil || len(l.blocks) <= smallRead/payloadSize {
		return false
	}
	first, n := l.window(opts)
	return n > 0 && s.find(l, first+n)-s.find(l, first) > smallRead/payloadSize
}

// window is the position of the first entry that the options ask for, and how many.
func (l *log) window(opts sdk.ReadOptions) (first, n uint64) {
	first, kept := l.first, l.next-l.first
	n = kept
	if opts.Limit >= 0 {
		n = min(kept, uint64(opts.Limit))
	}
	switch {
	case opts.After.IsZero():
		first = l.next - n
		if known := min(opts.Known.Position, l.next-1); opts.Known.Epoch == l.epoch && known >= first {
			first = known + 1
			n = l.next - first
		}
	case opts.After.Epoch == l.epoch && opts.After.Position >= l.first:
		first = min(l.next-1, opts.After.Position) + 1
		n = min(n, l.next-first)
	}
	if n == 0 {
		first = l.next
	}
	return first, n
}

// part is a stretch of a log's stream.
type part struct {
	stream string // begins with an entry that is the first to begin in its block
	first  uint64 // its position
	n      uint64 // how many entries are wanted of it, or one more
}

// find is the index of the block in which the entry begins. Of blocks that name the
// same position, because long entries fill them, it is the last.
func (s *storage) find(l *log, position uint64) int {
	return sort.Search(len(l.blocks), func(i int) bool { return s.arena.position(l.blocks[i]) > position }) - 1
}

// copyPart copies at least the first of n entries, and not much more than a page.
func (s *storage) copyPart(l *log, first, n uint64) part {
	if n == 0 {
		return part{}
	}
	from := s.find(l, first)
	// What begins in a block ends, at the latest, in that in which the next begins.
	to := s.find(l, first+n)
	if to-from > pageBytes/payloadSize {
		to = max(from+pageBytes/payloadSize, s.find(l, first+1))
		if to+1 < len(l.blocks) {
			n = min(n, s.arena.position(l.blocks[to+1])-first)
		}
	}
	start := l.blocks[from]
	skip := s.arena.firstStart(start)
	// The end of the stream may come before the end of the last block.
	end := min(l.end, (s.arena.order(l.blocks[to])+1)*payloadSize)
	rest := end - s.arena.order(start)*payloadSize - skip

	var b strings.Builder
	b.Grow(int(rest))
	for _, block := range l.blocks[from : to+1] {
		payload := s.arena.payload(block)[skip:]
		payload = payload[:min(uint64(len(payload)), rest)]
		b.Write(payload)
		rest -= uint64(len(payload))
		skip = 0
	}
	return part{stream: b.String(), first: s.arena.position(start), n: n}
}

// decode gives the entries that are wanted, from the position on, and whole.
func (p part) decode(first uint64) ([]sdk.Entry, error) {
	if p.n == 0 {
		return nil, nil
	}
	entries := make([]sdk.Entry, 0, p.n)
	var before sdk.Entry
	var prev *sdk.Entry
	for position, rest := p.first, p.stream; uint64(len(entries)) < p.n; position++ {
		body, after, whole := cutEntry(rest)
		if !whole {
			break
		}
		rest = after
		e := &before
		if position >= first {
			entries = entries[:len(entries)+1]
			e = &entries[len(entries)-1]
		}
		if !decodeEntry(body, prev, e) {
			return nil, fmt.Errorf("entry %d is damaged: %w", position, sdk.ErrUnavailable)
		}
		prev = e
	}
	if len(entries) == 0 {
		return nil, fmt.Errorf("entry %d is damaged: %w", first, sdk.ErrUnavailable)
	}
	return entries, nil
}

// Apps implements [sdk.AppLister]. An app's bytes are those of its blocks.
func (s *storage) Apps(ctx context.Context) ([]sdk.AppInfo, error) {
	s.mu.RLock()
	names := make([]string, 0, len(s.shares))
	for _, l := range s.shares {
		names = append(names, l.name)
	}
	closed := s.closed
	s.mu.RUnlock()
	if closed {
		return nil, errClosed
	}
	infos := make([]sdk.AppInfo, 0, len(names))
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		info, ok, err := s.info(name)
		if err != nil {
			return nil, fmt.Errorf("look at %q: %w", name, err)
		}
		if ok {
			infos = append(infos, info)
		}
	}
	return infos, nil
}

// Departed implements [sdk.Accountant]. Logs without entries are not listed, so what
// they had counts here.
func (s *storage) Departed(context.Context) (sdk.Departed, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return sdk.Departed{}, errClosed
	}
	d := sdk.Departed{Evicted: s.arena.load(departedEvicted), Deleted: s.arena.load(departedDeleted)}
	for e := s.empty.Front(); e != nil; e = e.Next() {
		d.Evicted += e.Value.(*log).next - 1
	}
	return d, nil
}

// info is false if the app has no entries.
func (s *storage) info(name string) (sdk.AppInfo, bool, error) {
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return sdk.AppInfo{}, false, errClosed
	}
	l := s.logs.find(name)
	if l == nil || len(l.blocks) == 0 {
		s.mu.RUnlock()
		return sdk.AppInfo{}, false, nil
	}
	info := sdk.AppInfo{App: name, Entries: l.next - l.first, Last: l.next - 1, Bytes: uint64(len(l.blocks)) * blockSize}
	first, last := l.first, l.next-1
	oldest, newest := s.copyPart(l, first, 1), s.copyPart(l, last, 1)
	s.mu.RUnlock()

	for _, end := range []struct {
		part part
		at   uint64
		time *time.Time
	}{{oldest, first, &info.Oldest}, {newest, last, &info.Newest}} {
		entries, err := end.part.decode(end.at)
		if err != nil {
			return info, false, err
		}
		*end.time = entries[0].Published
		if end.time.IsZero() {
			*end.time = entries[0].Time
		}
	}
	return info, true, nil
}
