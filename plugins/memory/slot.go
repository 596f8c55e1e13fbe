package memory

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"

	"github.com/deis/logger/sdk"
)

// A slot is the part of a log that lives in the arena, beside its blocks. Nearly every log has one
// run, one or two writers and a short name; any other log's slot is wide: it goes on in a block of
// its own.
const (
	// slotEpoch has the log's epoch, 0 if there is no log.
	slotEpoch = 0
	// slotTurn counts commits. Its lowest bit says which of the two records is valid:
	// storing it is what commits.
	slotTurn = 8
	// slotName holds the name's length and, in the lower half, its checksum; 0 in a free slot.
	slotName = 16
	// slotWide is the number of the block in which the slot goes on, or 0.
	slotWide = 24
	// slotHead has how many entries of run 0 have left.
	slotHead = 32
	// slotRecords has the part of the two records that is about run 0.
	slotRecords = slotHead + 8
	recordSize  = 40
	// slotWriters is a table of pairs, writer and highest sequence, the latest writer
	// first. The writer of the record need not be in it.
	slotWriters = slotRecords + 2*recordSize
	fewWriters  = 2
	shortNameAt = slotWriters + fewWriters*16
	slotSize    = 240
	shortName   = slotSize - shortNameAt

	// What follows is in the other block: the same of the other runs, more pairs, and a long name.
	moreHeads   = slotSize
	moreEnds    = moreHeads + (maxRuns-1)*8
	moreWriters = moreEnds + 2*(maxRuns-1)*8
	writersKept = sdk.MarkedWriters
	longNameAt  = moreWriters + (writersKept-fewWriters)*16
	maxNameLen  = 264

	// A directory block's slots come after its header.
	slotsPerBlock = payloadSize / slotSize
)

// record holds what every append to a log changes, all at once.
type record struct {
	ends [maxRuns]uint64 // the lengths of the runs' streams, as they were ever written
	last uint64          // the position of the last entry
	// writer and sequence are those of the last append.
	writer, sequence uint64
	touched          uint64 // when that was, in seconds since the Unix epoch
}

// slot says where a slot is in the arena: where it begins, and where the rest begins, or 0.
type slot struct {
	arena    *arena
	at, wide uint64
}

// load returns a field; 0 if the slot is not wide and has no room for it.
func (s slot) load(field uint64) uint64 {
	switch {
	case field < slotSize:
		return s.arena.load(s.at + field)
	case s.wide > 0:
		return s.arena.load(s.wide + field - slotSize)
	}
	return 0
}

// store sets a field. It drops the value if the slot is not wide and has no room for it: the caller
// makes sure that it is 0.
func (s slot) store(field uint64, value uint64) {
	switch {
	case field < slotSize:
		s.arena.store(s.at+field, value)
	case s.wide > 0:
		s.arena.store(s.wide+field-slotSize, value)
	}
}

// number returns the number by which headers name the slot.
func (s slot) number() uint32 {
	block, in := s.at/blockSize, s.at%blockSize
	return uint32(block*slotsPerBlock + (in-headerSize)/slotSize)
}

func slotAt(block uint32, i int) uint64 {
	return blockAt(block) + headerSize + uint64(i)*slotSize
}

func nameWord(name string) uint64 {
	return uint64(len(name))<<32 | uint64(crc32.Checksum([]byte(name), castagnoli))
}

// clear makes a free slot an empty one.
func (s slot) clear() {
	for at := uint64(0); at < shortNameAt; at += 8 {
		s.store(at, 0)
	}
}

// claim gives a slot that is clear to the app, without a log.
func (s slot) claim(name string) {
	s.arena.write(s.nameAt(len(name)), []byte(name))
	s.store(slotName, nameWord(name))
}

// nameAt returns where a name of n bytes is.
func (s slot) nameAt(n int) uint64 {
	if n <= shortName {
		return s.at + shortNameAt
	}
	return s.wide + longNameAt - slotSize
}

// name returns the app's name; false for a free slot and for a damaged one.
func (s slot) name() (string, bool) {
	word := s.load(slotName)
	n := word >> 32
	if n == 0 || n > maxNameLen || n > shortName && s.wide == 0 {
		return "", false
	}
	name := string(s.arena.bytes(s.nameAt(int(n)), n))
	return name, nameWord(name) == word
}

// record loads the valid record.
func (s slot) record() record {
	turn := s.load(slotTurn) & 1
	at := slotRecords + turn*recordSize
	r := record{last: s.load(at), writer: s.load(at + 8), sequence: s.load(at + 16), touched: s.load(at + 24)}
	for i := range r.ends {
		r.ends[i] = s.load(endAt(turn, uint64(i)))
	}
	return r
}

// commit makes the record the valid one. The turn is one more than the last.
func (s slot) commit(turn uint64, r *record) {
	at := slotRecords + turn&1*recordSize
	s.store(at, r.last)
	s.store(at+8, r.writer)
	s.store(at+16, r.sequence)
	s.store(at+24, r.touched)
	for i, end := range r.ends {
		if i == 0 || s.wide > 0 {
			s.store(endAt(turn&1, uint64(i)), end)
		}
	}
	s.store(slotTurn, turn)
}

// field returns where field i of a table is. The slot itself has the first few, and its other block
// the rest.
func field(i, few, size, slot, more uint64) uint64 {
	if i < few {
		return slot + i*size
	}
	return more + (i-few)*size
}

// endAt returns the field of a run's end in one of the two records.
func endAt(turn, run uint64) uint64 {
	return field(run, 1, 8, slotRecords+turn*recordSize+32, moreEnds+turn*(maxRuns-1)*8)
}

func headAt(run uint64) uint64 { return field(run, 1, 8, slotHead, moreHeads) }

// pairAt returns the field of a writer; that of its sequence follows.
func pairAt(i uint64) uint64 { return field(i, fewWriters, 16, slotWriters, moreWriters) }

func (s slot) head(run uint8) uint64           { return s.load(headAt(uint64(run))) }
func (s slot) setHead(run uint8, value uint64) { s.store(headAt(uint64(run)), value) }

// stored reports whether a batch of the writer is not above the highest that the table has.
func (s slot) stored(writer, sequence uint64) bool {
	for i := range uint64(writersKept) {
		switch s.load(pairAt(i)) {
		case writer:
			// A process that died while it moved the pairs left the pair twice. Either may be
			// right, and neither is too high.
			if sequence <= s.load(pairAt(i)+8) {
				return true
			}
		case 0:
			return false
		}
	}
	return false
}

// crowded reports whether remember has room for the writer in a wide slot only.
func (s slot) crowded(writer uint64) bool {
	for i := range uint64(fewWriters) {
		if w := s.load(pairAt(i)); w == 0 || w == writer {
			return false
		}
	}
	return true
}

// remember puts the pair in front and forgets the last if there is no room. Pairs
// move from the back on, so that each is there at least once at any time; and a
// pair's sequence is 0 while its writer changes, so that none is ever too high.
func (s slot) remember(writer, sequence uint64) {
	if s.load(slotWriters) != writer {
		last := uint64(0)
		for last < writersKept-1 {
			if w := s.load(pairAt(last)); w == 0 || w == writer {
				break
			}
			last++
		}
		for i := last; i > 0; i-- {
			s.pair(i, s.load(pairAt(i-1)), s.load(pairAt(i-1)+8))
		}
	}
	s.pair(0, writer, sequence)
}

func (s slot) pair(i, writer, sequence uint64) {
	at := pairAt(i)
	if s.load(at) != writer {
		s.store(at+8, 0)
		s.store(at, writer)
	}
	s.store(at+8, sequence)
}

// writerHash returns how slots name a writer; never 0. The same hash for two of an app's few
// writers is far less likely than a broken machine.
func writerHash(writer string) uint64 {
	sum := sha256.Sum256([]byte(writer))
	return max(1, binary.LittleEndian.Uint64(sum[:]))
}

// newEpoch returns a number that no log ever had.
func newEpoch() uint64 {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		if epoch := binary.LittleEndian.Uint64(b[:]); epoch != 0 {
			return epoch
		}
	}
}

// makeDirectory turns a block into one of free slots, and returns their places.
func (a *arena) makeDirectory(b uint32) []uint64 {
	a.write(blockAt(b)+headerSize, make([]byte, payloadSize))
	a.setHeader(b, &header{kind: directoryBlock})
	places := make([]uint64, slotsPerBlock)
	for i := range places {
		places[i] = slotAt(b, i)
	}
	return places
}

// widen gives a log's slot the block to go on in.
func (s *storage) widen(l *log, b uint32) {
	s.arena.write(blockAt(b)+headerSize, make([]byte, payloadSize))
	s.arena.setHeader(b, &header{kind: wideBlock, slot: l.slot.number()})
	l.slot.store(slotWide, uint64(b))
	l.slot.wide = blockAt(b) + headerSize
	s.directories++
}

// recoverSlot returns the slot at that place. It returns false if the block in which the slot goes
// on is not its own.
func (a *arena) recoverSlot(at uint64) (slot, bool) {
	s := slot{arena: a, at: at}
	b := uint32(s.load(slotWide))
	if b == 0 || b >= a.blocks {
		return s, b == 0
	}
	h, ok := a.header(b)
	s.wide = blockAt(b) + headerSize
	return s, ok && h.kind == wideBlock && h.slot == s.number()
}
