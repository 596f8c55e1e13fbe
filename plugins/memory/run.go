package memory

import (
	"container/list"
	"encoding/binary"
	"math"
	"slices"
	"time"
)

const (
	// maxRuns bounds the runs of a log; see ADR 22.
	maxRuns = 8
	// slack bounds how much older, in nanoseconds, an entry may be than the newest entry before it
	// in its run.
	slack = int64(100 * time.Millisecond)
)

// run holds a part of a log. Positions rise in it. It is in the order of publishing up to the
// slack: no entry was published more than the slack before an earlier one of the run.
type run struct {
	number uint8    // in the slot
	blocks []uint32 // oldest first, consecutive orders
	// head counts the entries that have left at the front, and count all that there ever were. So
	// they are the ordinals of the oldest kept entry and of the next one to come.
	head, count uint64
	last        uint64 // the position of the last entry
	top         int64  // the latest publish time
	time        int64  // the latest of the entries' own times
	// texts is the last entry's hashTexts, 0 if it is not known. block is the number of the block
	// in which it begins.
	texts, block uint64
	// front is the sort key of the head when it was last looked for.
	front front
}

// front holds the sort key of an entry, and the step after it.
type front struct {
	sortKey
	behind step
}

// step tells where a walker is in a run's stream.
type step struct {
	at       uint64 // where the next entry begins
	position uint64 // the next entry's, if none is left out
	ordinal  uint64 // the next entry's
}

// log holds the part of an app's log that is not in the arena.
type log struct {
	record // what was committed last

	name string
	slot slot
	turn uint64 // counts commits
	// epoch is 0 while there is no log: the app is new, or deleted. Then only what
	// is known of writers counts.
	epoch uint64
	// runs has the runs that have entries, the one with the latest publish time first.
	runs []run
	// version changes with every change of the log; see [sdk.Versioner].
	version uint64

	kept  int // entries
	held  int // blocks
	moved uint64
	// share is the index in storage.shares. It is -1 for a log without blocks, which is in
	// storage.empty.
	share   int
	emptied *list.Element
}

// stored reports whether a batch of the writer is not above the highest stored.
func (l *log) stored(writer, sequence uint64) bool {
	if l.writer == writer {
		return sequence <= l.sequence
	}
	return l.slot.stored(writer, sequence)
}

// minus subtracts the slack, but does not go below the first time that there is.
func minus(published int64) int64 {
	if published < math.MinInt64+slack {
		return math.MinInt64
	}
	return published - slack
}

// sortKey orders entries as they were published, or, if only the position is set, as they arrived.
type sortKey struct {
	published int64
	position  uint64
}

func (p sortKey) compare(q sortKey) int {
	switch {
	case p.published < q.published || p.published == q.published && p.position < q.position:
		return -1
	case p == q:
		return 0
	}
	return 1
}

// walker goes over a run's entries without decoding them.
type walker struct {
	step

	arena   *arena
	blocks  []uint32
	first   uint64 // the order of the first block
	end     uint64 // of the stream
	scratch [entryStart]byte
}

// found holds an entry that a walker came across.
type found struct {
	sortKey
	at   uint64 // where it begins in the run's stream
	size uint32 // of its encoding
	run  uint8  // an index in log.runs
}

// walk starts at the first entry that begins in the run's block k or later.
func (s *storage) walk(l *log, r *run, k int) walker {
	a := s.arena
	for k+1 < len(r.blocks) && a.offset(r.blocks[k]) == payloadSize {
		k++
	}
	b := r.blocks[k]
	return walker{
		step:  step{at: a.order(b)*payloadSize + a.offset(b), position: a.position(b), ordinal: a.ordinal(b)},
		arena: a, blocks: r.blocks, first: a.order(r.blocks[0]), end: l.ends[r.number],
	}
}

// next steps over an entry and sets f to it. It returns false at the end of the stream, and at
// bytes that are no entry.
func (w *walker) next(f *found) bool {
	head := w.peek()
	if len(head) <= entryFlags {
		return false
	}
	n := uint64(binary.LittleEndian.Uint32(head))
	if n <= entryFlags-entryHead || n > w.end-w.at-entryHead {
		return false
	}
	if head[entryFlags]&flagJump != 0 {
		jump, length := binary.Uvarint(head[entryFlags+1:])
		if length <= 0 || jump > maxCount {
			return false
		}
		w.position += jump
	}
	f.published = int64(binary.LittleEndian.Uint64(head[entryHead:]))
	f.position, f.at, f.size = w.position, w.at, uint32(entryHead+n)
	w.at += entryHead + n
	w.position++
	w.ordinal++
	return true
}

// peek returns the bytes that come next in the stream, as many as next may need.
func (w *walker) peek() []byte {
	if w.at >= w.end {
		return nil
	}
	n := min(entryStart, w.end-w.at)
	part := w.arena.payload(w.blocks[w.at/payloadSize-w.first])[w.at%payloadSize:]
	if uint64(len(part)) >= n {
		return part[:n]
	}
	w.copyOut(w.at, w.scratch[:n])
	return w.scratch[:n]
}

// copyOut fills b with what is at that offset of the stream.
func (w *walker) copyOut(at uint64, b []byte) {
	for len(b) > 0 {
		n := copy(b, w.arena.payload(w.blocks[at/payloadSize-w.first])[at%payloadSize:])
		b, at = b[n:], at+uint64(n)
	}
}

// headOf returns the sort key of the run's oldest entry that is kept. The run has one.
func (s *storage) headOf(l *log, r *run) sortKey {
	if r.front.behind.ordinal == r.head+1 {
		return r.front.sortKey
	}
	w := s.walk(l, r, 0)
	if r.front.behind.ordinal > w.ordinal {
		w.step = r.front.behind
	}
	var f found
	for w.ordinal <= r.head && w.next(&f) {
		continue
	}
	r.front = front{f.sortKey, w.step}
	return f.sortKey
}

// oldest returns the run, of those that are not empty, whose head was published first.
func (s *storage) oldest(l *log) (oldest *run) {
	var at sortKey
	for i := range l.runs {
		r := &l.runs[i]
		if r.head == r.count {
			continue
		}
		if head := s.headOf(l, r); oldest == nil || head.compare(at) < 0 {
			oldest, at = r, head
		}
	}
	return oldest
}

// trim removes the oldest entries while there are more than the number of lines.
func (s *storage) trim(l *log) {
	over := uint64(0)
	for i := range l.runs {
		over += l.runs[i].count - l.runs[i].head
	}
	if over <= s.lines {
		return
	}
	over -= s.lines
	if len(l.runs) == 1 {
		l.runs[0].head += over
	} else {
		for ; over > 0; over-- {
			s.oldest(l).head++
		}
	}
	s.shed(l)
}

// evict removes the oldest block of a log, and the entries that begin in it. The log has a block.
func (s *storage) evict(l *log) {
	r := s.oldest(l)
	if r.head = r.count; len(r.blocks) > 1 {
		r.head = s.arena.ordinal(r.blocks[1])
	}
	s.shed(l)
	l.version = s.nextVersion()
	s.rank(l)
}

// shed frees the blocks of entries that have left, and forgets runs that are empty. The head moves
// first, then blocks go, the oldest first. So at any moment the remaining blocks are consecutive up
// to the end, and hold everything that is kept. The caller ranks the log.
func (s *storage) shed(l *log) {
	for i := range l.runs {
		r := &l.runs[i]
		l.slot.setHead(r.number, r.head)
		n := 0
		for n < len(r.blocks) {
			next := r.count // of what begins after this block
			if n+1 < len(r.blocks) {
				next = s.arena.ordinal(r.blocks[n+1])
			}
			if next > r.head {
				break
			}
			s.arena.release(r.blocks[n])
			n++
		}
		r.blocks = r.blocks[n:]
	}
	l.runs = slices.DeleteFunc(l.runs, func(r run) bool { return len(r.blocks) == 0 })
}

// recount counts the log's entries and blocks.
func (l *log) recount() (kept, held int) {
	for i := range l.runs {
		kept += int(l.runs[i].count - l.runs[i].head)
		held += len(l.runs[i].blocks)
	}
	return kept, held
}
