package memory

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/deis/logger/sdk"
)

// Append implements [sdk.Storage]. An app gets all of its entries in a batch or none, and what it
// has survives the process. Repetitions by at least the last 16 writers of an app are recognised,
// as with [sdk.Marks].
func (s *storage) Append(ctx context.Context, batch sdk.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.admit(batch); err != nil {
		return err
	}
	by := record{
		writer: writerHash(batch.ID.Writer), sequence: batch.ID.Sequence, touched: uint64(s.now().Unix()),
	}
	for i := range batch.Apps {
		group := &batch.Apps[i]
		if len(group.Entries) == 0 {
			continue
		}
		if err := s.appendGroup(group, by); err != nil {
			return fmt.Errorf("append to %q: %w", group.App, err)
		}
	}
	return nil
}

// admit refuses a batch that can never be stored.
func (s *storage) admit(batch sdk.Batch) error {
	for _, group := range batch.Apps {
		if len(group.App) == 0 || len(group.App) > maxNameLen {
			return fmt.Errorf("app %.100q has a name of %d bytes, want 1 to %d: %w", group.App, len(group.App), maxNameLen, sdk.ErrInvalid)
		}
		for i := range group.Entries {
			if n := entryBound(&group.Entries[i]); n > s.longest() {
				return fmt.Errorf("append to %q: an entry of %d bytes is more than a quarter of the memory, %d bytes: %w",
					group.App, n, s.longest(), sdk.ErrInvalid)
			}
		}
	}
	return nil
}

// longest returns how long an entry may be. It leaves room for others beside it.
func (s *storage) longest() int { return min(int(s.arena.limit)/4*payloadSize, 1<<30) }

// appendGroup stores one app's entries. It holds the lock only for that app, so that a reader waits
// for no whole batch. The record says who stores the entries, and when.
func (s *storage) appendGroup(group *sdk.AppEntries, by record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	defer s.forget()
	l := s.logs[group.App]
	if l == nil {
		var err error
		if l, err = s.newLog(group.App); err != nil {
			return err
		}
	} else if l.stored(by.writer, by.sequence) {
		return nil
	}
	p, err := s.prepare(l, group.Entries, l.writer != by.writer && l.slot.crowded(l.writer))
	if err != nil {
		return err
	}
	if p.widens {
		b, _ := s.arena.take()
		s.widen(l, b)
	}
	begun := l.epoch == 0
	if begun {
		l.epoch = newEpoch()
	}
	by.ends, by.last = l.ends, l.last+uint64(len(group.Entries))
	for i := range p.runs {
		r := &p.runs[i]
		s.write(l, r)
		by.ends[r.number] = r.base + uint64(len(r.stream))
	}
	if l.writer != 0 && l.writer != by.writer {
		l.slot.remember(l.writer, l.sequence)
	}
	if begun {
		l.slot.store(slotEpoch, l.epoch)
	}
	l.turn++
	l.slot.commit(l.turn, &by)

	s.arrived += by.last - l.last
	l.record = by
	l.runs = l.runs[:0]
	for i := range p.runs {
		l.runs = append(l.runs, p.runs[i].run)
	}
	s.trim(l)
	l.version = s.nextVersion()
	if _, held := l.recount(); held != l.held {
		s.moves++
		l.moved = s.moves
	}
	s.rank(l)
	p.shrink()
	s.followers.Wake(l.name)
	return nil
}

// newLog makes a log, with a slot, for an app that the store does not know.
func (s *storage) newLog(app string) (*log, error) {
	if len(s.slots) == 0 {
		b, err := s.takeAny()
		if err != nil {
			return nil, err
		}
		s.directories++
		s.slots = append(s.slots, s.arena.makeDirectory(b)...)
	}
	// Without the copy, the name would retain the whole batch that it came in.
	l := &log{name: strings.Clone(app), slot: slot{arena: s.arena, at: s.slots[len(s.slots)-1]}, share: -1}
	l.slot.clear()
	if len(app) > shortName {
		b, err := s.takeAny()
		if err != nil {
			return nil, err
		}
		s.widen(l, b)
	}
	s.slots = s.slots[:len(s.slots)-1]
	l.slot.claim(app)
	s.add(l)
	return l, nil
}

// plan holds what an append will add to a log.
type plan struct {
	runs  []planned // those of the log, and new ones
	sizes []int     // of the encoded entries
	bytes int       // their sum
	// blocks counts the blocks that are taken for the append. One of them is for the slot if widens
	// is set.
	blocks int
	widens bool
}

// planned describes a run after the append, except for its new blocks.
type planned struct {
	run
	base   uint64     // where in the run's stream it begins
	stream []byte     // what is added there
	heads  []header   // of the new blocks
	order  uint64     // of the next block that is new
	prev   *sdk.Entry // the last entry, if it is of this append
}

// prepare plans the append and makes sure that there are free blocks for it.
//
// If the number of lines or the room does not allow all entries, it leaves out the oldest. The slot
// widens if it must, or if there is more than one run.
func (s *storage) prepare(l *log, entries []sdk.Entry, widens bool) (*plan, error) {
	p := &s.plan
	for skipped := max(0, len(entries)-int(s.lines)); ; {
		p.widens = widens
		s.make(p, l, entries[skipped:], l.last+1+uint64(skipped))
		before := l.held
		err := s.reserve(l, p.blocks, len(entries)-skipped == 1)
		switch {
		case err != nil:
			return nil, err
		case l.held != before:
			// The room came from this log: its runs may have changed.
		case len(s.arena.free) >= p.blocks:
			return p, nil
		default:
			skipped += p.excess(len(s.arena.free) * payloadSize)
		}
	}
}

// excess estimates how many of the oldest entries must go for the rest to fit the room: at least
// one, and never all.
func (p *plan) excess(room int) int {
	i := 1
	for rest := p.bytes - p.sizes[0]; i < len(p.sizes)-1 && rest > room; i++ {
		rest -= p.sizes[i]
	}
	return i
}

// make plans the append of the entries. The first gets the position.
func (s *storage) make(p *plan, l *log, entries []sdk.Entry, position uint64) {
	p.runs, p.sizes, p.bytes, p.blocks = p.runs[:0], p.sizes[:0], 0, 0
	for i := range l.runs {
		p.add(l, l.runs[i])
	}
	for i := range entries {
		e := &entries[i]
		published := nanos(e.Published)
		r := s.choose(p, l, &published, position+uint64(i))
		if r == nil {
			continue
		}
		n := r.encode(e, published, position+uint64(i))
		p.sizes = append(p.sizes, n)
		p.bytes += n
	}
	for i := range p.runs {
		r := &p.runs[i]
		if r.texts == 0 && r.prev != nil {
			r.texts = hashTexts(r.prev)
		}
		r.cover((r.base + uint64(len(r.stream)) + payloadSize - 1) / payloadSize)
		p.blocks += len(r.heads)
	}
	if p.widens = p.widens && l.slot.wide == 0; p.widens {
		p.blocks++
	}
}

// add takes up a run. One without blocks begins a new one.
func (p *plan) add(l *log, r run) {
	n := len(p.runs)
	if n < cap(p.runs) {
		p.runs = p.runs[:n+1] // what it had before is used again
	} else {
		p.runs = append(p.runs, planned{})
	}
	to := &p.runs[n]
	end := l.ends[r.number]
	to.order = (end + payloadSize - 1) / payloadSize
	to.run, to.base, to.stream, to.heads, to.prev = r, end, to.stream[:0], to.heads[:0], nil
	if len(r.blocks) == 0 {
		to.base = to.order * payloadSize
	}
}

// choose returns the run that an entry goes to: the first whose newest entry is at most the slack
// newer. If there is none, the entry begins a run. If there are already maxRuns, an entry that is
// older than everything in a full log is dropped (nil). Any other then counts as published with the
// newest entry of the last run.
func (s *storage) choose(p *plan, l *log, published *int64, position uint64) *planned {
	var used [maxRuns]bool
	for i := range p.runs {
		r := &p.runs[i]
		if *published >= minus(r.top) {
			return r
		}
		used[r.number] = true
	}
	last := len(p.runs) - 1
	if len(p.runs) == maxRuns {
		if l.kept == int(s.lines) && *published < s.headOf(l, s.oldest(l)).published {
			return nil
		}
		*published = p.runs[last].top
		return &p.runs[last]
	}
	free := uint8(0)
	for used[free] {
		free++
	}
	p.widens = p.widens || free > 0
	// All entries of a run that is gone have left.
	gone := l.slot.head(free)
	p.add(l, run{number: free, head: gone, count: gone, last: position - 1, top: math.MinInt64, time: math.MinInt64})
	return &p.runs[last+1]
}

// encode adds the entry to the run's stream and returns the length of its encoding.
func (r *planned) encode(e *sdk.Entry, published int64, position uint64) int {
	before := len(r.stream)
	block := (r.base + uint64(before)) / payloadSize
	r.cover(block + 1)
	same := block == r.block && (r.prev != nil && sameTexts(e, r.prev) ||
		r.prev == nil && r.texts != 0 && r.texts == hashTexts(e))
	if !same {
		r.texts = 0
	}
	r.stream = appendEntry(r.stream, e, published, position-r.last-1, same)
	r.prev, r.block = e, block
	r.count++
	r.last = position
	r.top = max(r.top, published)
	r.time = max(r.time, timeNanos(e.Time))
	return len(r.stream) - before
}

// cover makes the headers of the new blocks before that order. All entries so far begin before
// these blocks; the next one begins where the stream ends.
func (r *planned) cover(order uint64) {
	for ; r.order < order; r.order++ {
		r.heads = append(r.heads, header{
			kind: logBlock, run: r.number, order: r.order,
			offset:   uint16(min(r.base+uint64(len(r.stream))-r.order*payloadSize, payloadSize)),
			position: r.last + 1, ordinal: r.count, top: r.top, time: r.time,
		})
	}
}

// write puts the stream where prepare made room. It goes into free blocks and past the end of the
// last block, and counts only once the record says so.
func (s *storage) write(l *log, r *planned) {
	rest := r.stream
	if in := r.base % payloadSize; in > 0 && len(rest) > 0 {
		n := min(payloadSize-in, uint64(len(rest)))
		tail := r.blocks[len(r.blocks)-1]
		s.arena.write(blockAt(tail)+headerSize+in, rest[:n])
		rest = rest[n:]
	}
	for i := range r.heads {
		b, _ := s.arena.take()
		n := min(payloadSize, len(rest))
		s.arena.write(blockAt(b)+headerSize, rest[:n])
		rest = rest[n:]
		h := &r.heads[i]
		h.slot, h.epoch = l.slot.number(), l.epoch
		s.arena.setHeader(b, h)
		r.blocks = append(r.blocks, b)
	}
}

// maxScratch is the most memory per run that a rare large append may leave in use.
const maxScratch = 1 << 20

// shrink drops what the plan need not retain: entries of the batch, and large buffers.
func (p *plan) shrink() {
	for i := range p.runs {
		r := &p.runs[i]
		if r.prev, r.blocks = nil, nil; cap(r.stream) > maxScratch {
			r.stream, r.heads = nil, nil
		}
	}
}
