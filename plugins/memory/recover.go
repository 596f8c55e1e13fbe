package memory

import (
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// maxCount bounds positions and lengths of streams. No log gets there: it is to
// tell a damaged number.
const maxCount = 1 << 62

// recover takes up what the arena holds. It frees whatever belongs to no log, so
// that nothing of it comes back later; interrupted, it begins anew.
func (s *storage) recover() error {
	a := s.arena
	a.blocks = uint32(min(a.mapping.existing/blockSize, int64(a.limit)))
	if a.blocks == 0 || a.load(0) != magic {
		if a.blocks > 0 {
			s.logger.Warn("the file in the state folder is not one of this storage, or of another version: it is overwritten")
		}
		return a.begin()
	}
	logs := s.recoverSlots()
	s.recoverBlocks(logs)
	kept := uint64(0)
	for _, l := range logs {
		if !s.settle(l) {
			s.logger.Warn("the log of an app is damaged and dropped", "app", l.name)
			s.erase(l)
		}
		kept += l.next - l.first
	}
	s.forget()
	if len(logs) > 0 {
		s.logger.Info("took up what an earlier process kept", "apps", s.logs.n, "entries", kept)
	}
	return nil
}

// recoverSlots gives the logs that have a slot, by its number.
func (s *storage) recoverSlots() map[uint32]*log {
	logs := make(map[uint32]*log)
	for b := uint32(1); b < s.arena.blocks; b++ {
		if !s.arena.isDirectory(b) {
			continue
		}
		for i := range slotsPerBlock {
			at := slot{s.arena, slotAt(b, i)}
			name, ok := at.name()
			if !ok || s.logs.find(name) != nil {
				at.store(slotName, 0)
				s.slots = append(s.slots, at.at)
				continue
			}
			l := &log{name: name, slot: at, first: 1, next: 1, share: -1}
			at.recall()
			l.epoch, l.end, l.first = at.load(slotEpoch), at.load(slotEnd), at.load(slotFirst)
			if l.epoch == 0 || l.end == 0 {
				// A delete that was not finished, or a first append.
				at.store(slotEpoch, 0)
				at.reset()
				l.epoch, l.end, l.first = 0, 0, 1
			}
			l.next = l.first
			s.logs.add(l)
			logs[at.number()] = l
		}
	}
	return logs
}

// recoverBlocks gives the logs their blocks, and frees those that are nobody's: of
// an append that was not finished, and of an epoch that ended.
func (s *storage) recoverBlocks(logs map[uint32]*log) {
	for b := s.arena.blocks - 1; b > 0; b-- {
		if s.arena.isDirectory(b) {
			continue
		}
		if s.arena.kind(b) == logBlock {
			h, ok := s.arena.header(b)
			if l := logs[h.slot]; ok && l != nil && l.epoch != 0 && l.epoch == h.epoch && h.order <= (l.end-1)/payloadSize {
				l.blocks = append(l.blocks, b)
				continue
			}
		}
		s.arena.release(b)
	}
}

// settle makes a log of the blocks and what the slot says. It is false if they
// contradict each other, which no interruption of this process explains.
func (s *storage) settle(l *log) bool {
	defer func() { s.rank(l) }()
	if l.epoch == 0 {
		return true
	}
	slices.SortFunc(l.blocks, func(a, b uint32) int {
		x, y := s.arena.order(a), s.arena.order(b)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	// All blocks went if the first position was moved to the next before: then there
	// is nothing to read, and the next is where the slot says. Otherwise the last is
	// where the end is, and the others connect to it.
	if n := len(l.blocks); n > 0 {
		last := (l.end - 1) / payloadSize
		for i, b := range l.blocks {
			if s.arena.order(b) != last-uint64(n-1-i) {
				return false
			}
		}
		next, ok := s.walk(l)
		if !ok {
			return false
		}
		l.next = next
		l.first = max(l.first, s.arena.position(l.blocks[0]))
	}
	if l.first == 0 || l.first > l.next || l.next > maxCount || l.end > maxCount {
		return false
	}
	if l.next-l.first > s.lines {
		l.first = l.next - s.lines
	}
	s.drop(l, l.first)
	return true
}

// walk checks each entry of the log's stream, and that headers say where the first
// of each block is. It gives the position after the last.
func (s *storage) walk(l *log) (next uint64, ok bool) {
	origin := s.arena.order(l.blocks[0]) * payloadSize
	at := func(k int) uint64 { return uint64(k) * payloadSize } // where block k begins
	end := l.end - origin

	// The oldest blocks may hold the rest of an entry only.
	k := 0
	next = s.arena.position(l.blocks[0])
	for k < len(l.blocks)-1 && s.arena.firstStart(l.blocks[k]) == payloadSize {
		if k++; s.arena.position(l.blocks[k]) != next {
			return 0, false
		}
	}
	v := at(k) + s.arena.firstStart(l.blocks[k])
	k++

	var buf []byte
	opening := true // the entry at v is the first that begins in its block
	for v < end {
		var head [entryHead]byte
		if end-v < entryHead {
			return 0, false
		}
		s.arena.copyOut(l.blocks, v, head[:])
		n := uint64(binary.LittleEndian.Uint32(head[:]))
		if n == 0 || n > end-v-entryHead {
			return 0, false
		}
		buf = slices.Grow(buf[:0], int(n))[:n]
		s.arena.copyOut(l.blocks, v+entryHead, buf)
		if crc32.Checksum(buf, castagnoli) != binary.LittleEndian.Uint32(head[4:]) || opening && buf[0]&flagSame != 0 {
			return 0, false
		}
		v += entryHead + n
		next++
		opening = false
		for ; k < len(l.blocks) && at(k) <= v; k++ {
			opening = true
			if s.arena.firstStart(l.blocks[k]) != min(v-at(k), payloadSize) || s.arena.position(l.blocks[k]) != next {
				return 0, false
			}
		}
	}
	return next, v == end && k == len(l.blocks)
}

// copyOut fills b from where the blocks' payloads, one after the other, are at v.
func (a *arena) copyOut(blocks []uint32, v uint64, b []byte) {
	for len(b) > 0 {
		n := copy(b, a.payload(blocks[v/payloadSize])[v%payloadSize:])
		b, v = b[n:], v+uint64(n)
	}
}
