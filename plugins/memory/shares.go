package memory

import "container/heap"

// shares orders logs as a heap. In front is the log that holds the most blocks; among equals, the
// one whose number of blocks changed longest ago.
type shares []*log

func (h shares) Len() int { return len(h) }

func (h shares) Less(i, j int) bool {
	a, b := h[i], h[j]
	if a.held != b.held {
		return a.held > b.held
	}
	return a.moved < b.moved
}

func (h shares) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].share, h[j].share = i, j
}

// Push implements [heap.Interface].
func (h *shares) Push(x any) {
	l := x.(*log)
	l.share = len(*h)
	*h = append(*h, l)
}

// Pop implements [heap.Interface].
func (h *shares) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	l.share = -1
	return l
}

// rank files the log by its number of blocks. A log without any block is kept for its positions and
// writers, until forget comes to it.
func (s *storage) rank(l *log) {
	kept, held := l.recount()
	s.entries += uint64(kept - l.kept)
	l.kept = kept
	if held == l.held && (l.share >= 0 || l.emptied != nil) {
		return
	}
	l.held = held
	switch {
	case held > 0 && l.share >= 0:
		heap.Fix(&s.shares, l.share)
	case held > 0:
		heap.Push(&s.shares, l)
		s.empty.Remove(l.emptied)
		l.emptied = nil
	default:
		if l.share >= 0 {
			heap.Remove(&s.shares, l.share)
		}
		l.emptied = s.empty.PushFront(l)
	}
}

// maxEmpty bounds the number of logs without a block: each takes a slot.
func (s *storage) maxEmpty() int { return int(s.arena.limit) / 16 }

// forget gives back the slots of logs that have been without a block for the longest. The next log
// of such an app is a new one. The caller holds on to no log meanwhile.
func (s *storage) forget() {
	for s.empty.Len() > s.maxEmpty() {
		s.remove(s.empty.Back().Value.(*log))
	}
}

// add makes the log known.
func (s *storage) add(l *log) {
	s.logs[l.name] = l
	s.names.insert(l)
	s.rank(l)
}

// remove forgets the log, and everything about the app. What it kept counts as evicted.
func (s *storage) remove(l *log) {
	s.erase(l, departedEvicted)
	l.slot.store(slotName, 0)
	if l.slot.wide > 0 {
		s.arena.release(uint32(l.slot.wide / blockSize))
		s.directories--
	}
	s.slots = append(s.slots, l.slot.at)
	s.empty.Remove(l.emptied)
	s.names.remove(l)
	delete(s.logs, l.name)
}

// erase ends the log's epoch. What it kept counts as evicted or as deleted. If the process dies
// before the epoch is stored, the entries are counted twice.
func (s *storage) erase(l *log, as uint64) {
	count := func(at, n uint64) { s.arena.store(at, s.arena.load(at)+n) }
	count(departedEvicted, l.last-uint64(l.kept))
	count(as, uint64(l.kept))
	s.arrived -= l.last
	l.slot.store(slotEpoch, 0) // from here on it is gone; recovery does the rest
	s.reset(l)
	for i := range l.runs {
		for _, b := range l.runs[i].blocks {
			s.arena.release(b)
		}
	}
	l.runs = nil
	s.rank(l)
	s.followers.Wake(l.name)
}

// reset makes the slot ready for a log to begin. What is known of writers stays.
func (s *storage) reset(l *log) {
	for i := range uint8(maxRuns) {
		l.slot.setHead(i, 0)
	}
	l.epoch, l.version, l.ends, l.last = 0, 0, [maxRuns]uint64{}, 0
	l.turn++
	l.slot.commit(l.turn, &l.record)
}

// grow adds free blocks, and logs it if the system refuses them.
func (s *storage) grow() bool {
	before := s.arena.shortage
	ok := s.arena.grow()
	if now := s.arena.shortage; now != nil && before == nil {
		s.logger.Warn("there is less room than the budget: the oldest lines of whoever has the most make do",
			"bytes", int64(s.arena.blocks)*blockSize, "budget", len(s.arena.mapping.data), "error", now)
	}
	return ok
}

// takeAny returns a free block that is for no log.
func (s *storage) takeAny() (uint32, error) {
	for {
		if b, ok := s.arena.take(); ok {
			return b, nil
		}
		if s.grow() {
			continue
		}
		if len(s.shares) == 0 {
			return 0, s.arena.errFull()
		}
		s.evict(s.shares[0])
	}
}

// reserve frees blocks until there are as many as the log needs beside those that it has. When
// there is no more memory, it takes from the log that holds the most, if that one holds two blocks
// more than this log and what is reserved for it. Otherwise it takes from this log itself. So a log
// loses nothing to one that holds no less, and many logs with one block each leave each other
// alone: of two blocks, the newer may hold nothing but the end of an entry. If it cannot take from
// either, fewer blocks are free than needed, and the caller has to need less. If must is set, other
// logs give what they have.
func (s *storage) reserve(l *log, need int, must bool) error {
	for len(s.arena.free) < need {
		if s.grow() {
			continue
		}
		own := l.held + len(s.arena.free)
		var most *log
		if len(s.shares) > 0 {
			most = s.shares[0]
		}
		switch {
		case most != nil && most != l && most.held > own+1:
			s.evict(most)
		case l.held > 0:
			s.evict(l)
			if l.held == 0 {
				return nil
			}
		case !must:
			return nil
		case most != nil:
			s.evict(most)
		default:
			return s.arena.errFull()
		}
	}
	return nil
}
