package memory

import (
	"context"
	"fmt"
	"strings"

	"github.com/deis/logger/sdk"
)

// Append implements [sdk.Storage]. An app has all of a batch's entries or none, and
// what it has survives the process. Repetitions are recognised of the last 16 writers
// of an app, as with [sdk.Marks].
func (s *storage) Append(ctx context.Context, batch sdk.Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.admit(batch); err != nil {
		return err
	}
	writer := writerHash(batch.ID.Writer)
	for rest := batch.Apps; len(rest) > 0; {
		n := together(rest)
		if err := s.appendGroups(writer, batch.ID.Sequence, rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
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

// longest is how long an entry may be. It leaves room for others beside it.
func (s *storage) longest() int { return min(int(s.arena.limit)/4*payloadSize, 1<<30) }

// appendGroup stores one app's entries; its log is nil if the store did not know the app
// when the lock was taken.
func (s *storage) appendGroup(writer, sequence uint64, group sdk.AppEntries, l *log) error {
	if l == nil {
		l = s.logs.find(group.App) // the batch may have named it twice
	}
	if l == nil {
		var err error
		if l, err = s.newLog(group.App); err != nil {
			return err
		}
	} else if l.stored(writer, sequence) {
		return nil
	}
	f, err := s.place(l, group.Entries)
	if err != nil {
		return err
	}
	epoch, begun := l.epoch, uint64(0)
	if epoch == 0 {
		epoch = newEpoch()
		begun = epoch
	}
	before := len(l.blocks)
	s.write(l, f, epoch)
	end := f.base + uint64(len(f.stream))
	l.slot.commit(begun, writer, sequence, end, l.writer == writer)
	l.writer, l.sequence = writer, sequence

	if f.skipped > 0 {
		l.first = f.position // nothing is left before it
	}
	l.epoch, l.end, l.next = epoch, end, f.position+uint64(len(f.ends))
	if l.next-l.first > s.lines {
		s.drop(l, l.next-s.lines)
	}
	if f.blocks > 0 || len(l.blocks) != before {
		s.turns++
		l.turn = s.turns
		s.rank(l)
	}
	if cap(f.stream) > maxScratch {
		f.stream = nil
	}
	s.wake(l.name)
	return nil
}

// maxScratch is the most memory that a rare large frame may leave in use.
const maxScratch = 1 << 20

// newLog gives an app that the store does not know its slot.
func (s *storage) newLog(app string) (*log, error) {
	if len(s.slots) == 0 {
		b, err := s.takeAny()
		if err != nil {
			return nil, err
		}
		s.slots = append(s.slots, s.arena.makeDirectory(b)...)
	}
	place := slot{s.arena, s.slots[len(s.slots)-1]}
	s.slots = s.slots[:len(s.slots)-1]
	place.claim(app)
	app = strings.Clone(app) // which else would keep the whole batch that it came in
	l := &log{name: app, slot: place, first: 1, next: 1, share: -1}
	s.logs.add(l)
	s.rank(l)
	return l, nil
}

// frame is what an append adds to a log's stream.
type frame struct {
	base     uint64 // where in the stream it begins
	position uint64 // of its first entry
	skipped  int    // entries left out before that, which nobody could have seen
	blocks   int    // taken for it
	stream   []byte
	ends     []int // of each entry in stream
}

// place encodes the entries and sees to it that there are free blocks for them.
//
// If not all will be kept, for the number of lines or for the room, it skips the
// oldest. Then what the log had before goes too: entries are consecutive.
func (s *storage) place(l *log, entries []sdk.Entry) (*frame, error) {
	f := &s.frame
	f.skipped = max(0, len(entries)-int(s.lines))
	for {
		if f.skipped > 0 {
			s.drop(l, l.next)
			s.rank(l)
		}
		// A log that lost all its blocks begins a new one.
		f.base = l.end
		room := (payloadSize - l.end%payloadSize) % payloadSize
		if len(l.blocks) == 0 {
			f.base, room = l.end+room, 0
		}
		f.position = l.next + uint64(f.skipped)
		f.encode(entries[f.skipped:])
		f.blocks = blocksFor(uint64(len(f.stream)) - min(room, uint64(len(f.stream))))
		before := len(l.blocks)
		err := s.reserve(l, f.blocks, len(f.ends) == 1)
		switch {
		case err != nil:
			return nil, err
		case before > 0 && len(l.blocks) == 0:
			// The room was its own: the frame begins elsewhere now.
		case len(s.arena.free) >= f.blocks:
			return f, nil
		default:
			f.skipped += f.excess(uint64(len(s.arena.free)) * payloadSize)
		}
	}
}

func blocksFor(n uint64) int { return int((n + payloadSize - 1) / payloadSize) }

// excess is how many of the oldest entries, at least one and never all, must go for
// the rest to take no more than the room, as near as it can be told.
func (f *frame) excess(room uint64) int {
	i := 1
	for i < len(f.ends)-1 && uint64(len(f.stream)-f.ends[i-1]) > room {
		i++
	}
	return i
}

// encode makes the stream of the entries.
func (f *frame) encode(entries []sdk.Entry) {
	f.stream, f.ends = f.stream[:0], f.ends[:0]
	var prev *sdk.Entry
	last := uint64(0) // the block in which prev begins
	for i := range entries {
		block := (f.base + uint64(len(f.stream))) / payloadSize
		if block != last {
			prev = nil
		}
		f.stream = appendEntry(f.stream, &entries[i], prev)
		f.ends = append(f.ends, len(f.stream))
		prev, last = &entries[i], block
	}
}

// write puts the frame where place made room. Nothing of it counts before the
// slot's end is beyond it: it is in free blocks, and behind the end of the last.
func (s *storage) write(l *log, f *frame, epoch uint64) {
	rest := f.stream
	if in := f.base % payloadSize; in > 0 {
		n := min(payloadSize-in, uint64(len(rest)))
		tail := l.blocks[len(l.blocks)-1]
		s.arena.write(blockAt(tail)+headerSize+in, rest[:n])
		rest = rest[n:]
	}
	entry := 0 // the first that begins in or after the block at hand
	for len(rest) > 0 {
		b, _ := s.arena.take()
		at := len(f.stream) - len(rest)
		for entry < len(f.ends) && f.start(entry) < at {
			entry++
		}
		s.arena.write(blockAt(b)+headerSize, rest[:min(payloadSize, len(rest))])
		s.arena.setHeader(b, header{
			slot:     l.slot.number(),
			epoch:    epoch,
			order:    (f.base + uint64(at)) / payloadSize,
			offset:   uint16(min(f.start(entry)-at, payloadSize)),
			position: f.position + uint64(entry),
		})
		l.blocks = append(l.blocks, b)
		rest = rest[min(payloadSize, len(rest)):]
	}
}

// start is where in the stream the entry begins; that after the last, at its end.
func (f *frame) start(entry int) int {
	if entry == 0 {
		return 0
	}
	return f.ends[entry-1]
}
