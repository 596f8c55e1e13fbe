package memory

import "container/heap"

// shares is a heap: in front the log that holds the most blocks; among equals, the
// one whose last was longest ago that changed them.
type shares []*log

func (h shares) Len() int { return len(h) }

func (h shares) Less(i, j int) bool {
	a, b := h[i], h[j]
	if len(a.blocks) != len(b.blocks) {
		return len(a.blocks) > len(b.blocks)
	}
	return a.turn < b.turn
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

// rank files the log by how many blocks it has now. A log without any is kept for
// its positions and writers, until forget comes to it.
func (s *storage) rank(l *log) {
	switch {
	case len(l.blocks) > 0 && l.share >= 0:
		heap.Fix(&s.shares, l.share)
	case len(l.blocks) > 0:
		heap.Push(&s.shares, l)
		if l.emptied != nil {
			s.empty.Remove(l.emptied)
			l.emptied = nil
		}
	case l.emptied == nil:
		if l.share >= 0 {
			heap.Remove(&s.shares, l.share)
		}
		l.emptied = s.empty.PushFront(l)
	}
}

// maxEmpty bounds what logs without a block take of the memory: a slot each.
func (s *storage) maxEmpty() int { return int(s.arena.limit) / 16 }

// forget gives back the slots of logs that have been without a block for the
// longest. The next log of such an app is a new one. No log is in use meanwhile.
func (s *storage) forget() {
	for s.empty.Len() > s.maxEmpty() {
		l := s.empty.Remove(s.empty.Back()).(*log)
		l.emptied = nil
		s.depart(l)
		s.logs.remove(l)
		l.slot.store(slotName, 0)
		s.slots = append(s.slots, l.slot.at)
	}
}

// depart counts the entries of a log that is about to go. A process that dies between
// this and that counts them twice.
func (s *storage) depart(l *log) {
	add := func(at, n uint64) { s.arena.store(at, s.arena.load(at)+n) }
	add(departedEvicted, l.first-1)
	add(departedDeleted, l.next-l.first)
}

// drop forgets the entries before the position, and frees the blocks that hold
// nothing else. The first position goes ahead of the blocks, and these go from the
// oldest on: at any moment, the blocks that are left are consecutive up to the end,
// and hold all that may be seen. The caller ranks the log.
func (s *storage) drop(l *log, first uint64) {
	l.first = first
	l.slot.store(slotFirst, first)
	n := 0
	for n < len(l.blocks) {
		next := l.next // of what begins after this block
		if n+1 < len(l.blocks) {
			next = s.arena.position(l.blocks[n+1])
		}
		if next > first {
			break
		}
		s.arena.release(l.blocks[n])
		n++
	}
	l.blocks = l.blocks[n:]
}

// evict takes at least one block, the oldest, from a log that has any.
func (s *storage) evict(l *log) {
	first := l.next
	if len(l.blocks) > 1 {
		first = s.arena.position(l.blocks[1])
	}
	s.drop(l, first)
	s.rank(l)
}

// grow adds free blocks, and says so when the system refuses them.
func (s *storage) grow() bool {
	before := s.arena.shortage
	ok := s.arena.grow()
	if now := s.arena.shortage; now != nil && before == nil {
		s.logger.Warn("there is less room than the budget: the oldest lines of whoever has the most make do",
			"bytes", int64(s.arena.blocks)*blockSize, "budget", len(s.arena.mapping.data), "error", now)
	}
	return ok
}

// takeAny gives a free block, for no log.
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

// reserve frees blocks until there are as many as the log needs beside those that
// it has. When there is no more memory, it takes from whoever holds the most, the
// log itself included, with what is reserved for it already: so a log loses nothing
// to one that holds no less. When the log holds the most and has no block of its own
// to give, there are fewer than needed: then the caller needs less. But if it must
// have them, others give what they have.
func (s *storage) reserve(l *log, need int, must bool) error {
	for len(s.arena.free) < need {
		if s.grow() {
			continue
		}
		own := len(l.blocks) + len(s.arena.free)
		var most *log
		if len(s.shares) > 0 {
			most = s.shares[0]
		}
		switch {
		case most != nil && most != l && len(most.blocks) > own:
			s.evict(most)
		case len(l.blocks) > 0:
			s.evict(l)
			if len(l.blocks) == 0 {
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
