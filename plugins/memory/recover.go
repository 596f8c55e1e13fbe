package memory

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// maxCount bounds positions and lengths of streams. No log gets there: a greater number is damaged.
const maxCount = 1 << 62

// recover finds the logs that the arena holds. It frees whatever belongs to no log, so that it
// never comes back. If it is interrupted, the next one begins anew.
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
	for _, l := range logs {
		if !s.settle(l) {
			s.logger.Warn("the log of an app is damaged and dropped", "app", l.name)
			s.erase(l, departedEvicted)
		}
	}
	s.forget()
	if len(logs) > 0 {
		s.logger.Info("took up what an earlier process kept", "apps", len(s.logs), "entries", s.entries)
	}
	return nil
}

// recoverSlots returns the logs that have a slot, by its number.
func (s *storage) recoverSlots() map[uint32]*log {
	logs := make(map[uint32]*log)
	for b := uint32(1); b < s.arena.blocks; b++ {
		if h, ok := s.arena.header(b); !ok || h.kind != directoryBlock {
			continue
		}
		s.directories++
		for i := range slotsPerBlock {
			at, whole := s.arena.recoverSlot(slotAt(b, i))
			name, ok := at.name()
			if !whole || !ok || s.logs[name] != nil {
				if at.load(slotName) != 0 {
					s.logger.Warn("the slot of an app is damaged, and its log is dropped")
				}
				at.store(slotName, 0)
				s.slots = append(s.slots, at.at)
				continue
			}
			l := &log{name: name, slot: at, share: -1, turn: at.load(slotTurn), epoch: at.load(slotEpoch), record: at.record()}
			if l.epoch == 0 || l.last == 0 {
				// A delete or a first append was not finished.
				at.store(slotEpoch, 0)
				s.reset(l)
			}
			s.add(l)
			logs[at.number()] = l
		}
	}
	return logs
}

// recoverBlocks gives the logs their blocks, as runs by their numbers, and frees those that belong
// to none: they are of an append that was not finished, or of an epoch that ended.
func (s *storage) recoverBlocks(logs map[uint32]*log) {
	for b := s.arena.blocks - 1; b > 0; b-- {
		h, ok := s.arena.header(b)
		l := logs[h.slot]
		switch {
		case ok && h.kind == directoryBlock:
			continue
		case !ok || l == nil:
		case h.kind == logBlock && l.epoch != 0 && l.epoch == h.epoch && h.order < blocksBefore(l.ends[h.run]):
			l.recovered(h.run).blocks = append(l.recovered(h.run).blocks, b)
			continue
		case h.kind == wideBlock && l.slot.wide == blockAt(b)+headerSize:
			s.directories++
			continue
		}
		s.arena.release(b)
	}
}

// blocksBefore returns how many blocks a stream of that length has had.
func blocksBefore(end uint64) uint64 { return end/payloadSize + min(1, end%payloadSize) }

func (l *log) recovered(number uint8) *run {
	i := slices.IndexFunc(l.runs, func(r run) bool { return r.number == number })
	if i < 0 {
		i = len(l.runs)
		l.runs = append(l.runs, run{number: number})
	}
	return &l.runs[i]
}

// settle makes a log of the blocks and what the slot says. It returns false if they contradict each
// other, which no interruption of this process explains.
func (s *storage) settle(l *log) bool {
	if l.last > maxCount {
		l.last = 0
		return false
	}
	s.arrived += l.last
	for i := range l.runs {
		if !s.settleRun(l, &l.runs[i]) {
			return false
		}
	}
	slices.SortFunc(l.runs, func(a, b run) int { return cmp.Compare(b.top, a.top) })
	s.shed(l)
	s.trim(l)
	if l.epoch != 0 {
		l.version = s.nextVersion()
	}
	s.rank(l)
	return true
}

// settleRun checks each entry and each header of the run.
func (s *storage) settleRun(l *log, r *run) bool {
	a := s.arena
	slices.SortFunc(r.blocks, func(x, y uint32) int { return cmp.Compare(a.order(x), a.order(y)) })
	end := l.ends[r.number]
	last := blocksBefore(end) - 1
	for i, b := range r.blocks {
		if end > maxCount || a.order(b) != last-uint64(len(r.blocks)-1-i) {
			return false
		}
	}
	h, _ := a.header(r.blocks[0])
	r.count, r.last, r.top, r.time = h.ordinal, h.position-1, h.top, h.time
	if h.position == 0 || h.ordinal > maxCount {
		return false
	}
	// The oldest blocks may hold nothing but the rest of an entry.
	k := 0
	for k+1 < len(r.blocks) && a.offset(r.blocks[k]) == payloadSize {
		k++
		if !s.agrees(r, k, a.offset(r.blocks[k])) {
			return false
		}
	}
	w := s.walk(l, r, k)
	ok := s.check(r, &w, k)
	r.head = max(l.slot.head(r.number), h.ordinal)
	return ok && r.head <= r.count && r.last <= l.last
}

// agrees reports whether the header of the run's block k agrees with what the run has before that
// block.
func (s *storage) agrees(r *run, k int, offset uint64) bool {
	h, _ := s.arena.header(r.blocks[k])
	return uint64(h.offset) == offset && h.position == r.last+1 && h.ordinal == r.count && h.top == r.top && h.time == r.time
}

// check walks from the first entry that begins in the block k to the end of the run, and
// counts. It returns false if an entry or a header is damaged.
func (s *storage) check(r *run, w *walker, k int) bool {
	var f found
	var buf []byte
	opening := true // the next entry is the first that begins in its block
	for w.next(&f) {
		buf = slices.Grow(buf[:0], int(f.size))[:f.size]
		w.copyOut(f.at, buf)
		body := buf[entryHead:]
		if crc32.Checksum(body, castagnoli) != binary.LittleEndian.Uint32(buf[4:]) || opening && buf[entryFlags]&flagSame != 0 {
			return false
		}
		t, ok := entryTime(asString(body))
		if !ok || f.published < minus(r.top) {
			return false
		}
		r.count, r.last = w.ordinal, f.position
		r.top, r.time = max(r.top, f.published), max(r.time, t)
		opening = false
		for ; k+1 < len(r.blocks) && (w.first+uint64(k)+1)*payloadSize <= w.at; k++ {
			opening = true
			if !s.agrees(r, k+1, min(w.at-(w.first+uint64(k)+1)*payloadSize, payloadSize)) {
				return false
			}
		}
	}
	return w.at == w.end && k == len(r.blocks)-1
}
