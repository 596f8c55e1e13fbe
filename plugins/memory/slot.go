package memory

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
)

// A slot is the part of a log that lives in the arena, beside its blocks.
const (
	// slotEpoch is 0 without a log.
	slotEpoch = 0
	// slotEnd is the length of the stream; storing it is what appends.
	slotEnd = 8
	// slotFirst is the lowest position that may be seen.
	slotFirst = 16
	// The note about the writer of the last append is true if slotNoteEnd is what
	// slotEnd is, and not 0.
	slotNoteWriter   = 24
	slotNoteSequence = 32
	slotNoteEnd      = 40
	// slotWriters is a table of pairs, writer and highest sequence, the writer of
	// the last append first. That one is in the cache line that begins with the slot:
	// most appends touch no more of it.
	slotWriters = 48
	writersKept = 16
	// slotName holds the name's length, and its checksum in the lower half; 0 in a
	// free slot.
	slotName   = slotWriters + writersKept*16
	slotText   = slotName + 8
	slotSize   = 9 * cacheLine
	maxNameLen = slotSize - slotText
	cacheLine  = 64

	// A directory block's slots come after the cache line of its header.
	directoryHead = cacheLine
	slotsPerBlock = (blockSize - directoryHead) / slotSize
)

// slot is where one is in the arena.
type slot struct {
	arena *arena
	at    uint64
}

func (s slot) load(field uint64) uint64         { return s.arena.load(s.at + field) }
func (s slot) store(field uint64, value uint64) { s.arena.store(s.at+field, value) }

// number is what headers call the slot.
func (s slot) number() uint32 {
	block, in := s.at/blockSize, s.at%blockSize
	return uint32(block*slotsPerBlock + (in-directoryHead)/slotSize)
}

func slotAt(block uint32, i int) uint64 {
	return blockAt(block) + directoryHead + uint64(i)*slotSize
}

func nameWord(name string) uint64 {
	return uint64(len(name))<<32 | uint64(crc32.Checksum([]byte(name), castagnoli))
}

// claim gives a free slot to the app, without a log.
func (s slot) claim(name string) {
	s.store(slotEpoch, 0)
	s.reset()
	for i := range uint64(writersKept) {
		s.store(slotWriters+i*16, 0)
		s.store(slotWriters+i*16+8, 0)
	}
	s.arena.write(s.at+slotText, []byte(name))
	s.store(slotName, nameWord(name))
}

// name is false for a free slot, and for one that is not to be trusted.
func (s slot) name() (string, bool) {
	word := s.load(slotName)
	n := word >> 32
	if n == 0 || n > maxNameLen {
		return "", false
	}
	name := string(s.arena.bytes(s.at+slotText, n))
	return name, nameWord(name) == word
}

// reset makes the slot ready for a log to begin. Its epoch is 0.
func (s slot) reset() {
	s.store(slotNoteEnd, 0)
	s.store(slotEnd, 0)
	s.store(slotFirst, 1)
}

// commit appends: from the store of the end on, the stream up to it is the log. The
// epoch is that of a log that begins, else 0: its blocks carry it already. Front says that
// the writer's pair is the first. Then nothing is read here: with many apps a slot is in no
// cache, and who stores need not wait for it, unlike who reads.
func (s slot) commit(epoch, writer, sequence, end uint64, front bool) {
	s.store(slotNoteEnd, 0) // the last note is in the table already
	s.store(slotNoteWriter, writer)
	s.store(slotNoteSequence, sequence)
	s.store(slotNoteEnd, end)
	if epoch != 0 {
		s.store(slotEpoch, epoch)
	}
	s.store(slotEnd, end)
	if front {
		s.store(slotWriters+8, sequence)
	} else {
		s.remember(writer, sequence)
	}
}

// recall takes up a note that a dead process left.
func (s slot) recall() {
	if end := s.load(slotNoteEnd); end != 0 && end == s.load(slotEnd) {
		s.remember(s.load(slotNoteWriter), s.load(slotNoteSequence))
	}
}

// stored says whether a batch of the writer is not above the highest stored.
func (s slot) stored(writer, sequence uint64) bool {
	for i := range uint64(writersKept) {
		switch s.load(slotWriters + i*16) {
		case writer:
			// A process that died while it moved the pairs left the pair twice. Any of
			// the two may be right, none is too high.
			if sequence <= s.load(slotWriters+i*16+8) {
				return true
			}
		case 0:
			return false
		}
	}
	return false
}

// remember puts the pair in front and forgets the last if there is no room. Pairs
// move from the back on, so that each is there at least once at any time; and a
// pair's sequence is 0 while its writer changes, so that none is ever too high.
func (s slot) remember(writer, sequence uint64) {
	if s.load(slotWriters) != writer {
		last := uint64(0)
		for last < writersKept-1 {
			if w := s.load(slotWriters + last*16); w == 0 || w == writer {
				break
			}
			last++
		}
		for i := last; i > 0; i-- {
			s.pair(i, s.load(slotWriters+(i-1)*16), s.load(slotWriters+(i-1)*16+8))
		}
	}
	s.pair(0, writer, sequence)
}

func (s slot) pair(i, writer, sequence uint64) {
	at := slotWriters + i*16
	if s.load(at) != writer {
		s.store(at+8, 0)
		s.store(at, writer)
	}
	s.store(at+8, sequence)
}

// writerHash is how slots name a writer; never 0. That two of the few writers that
// an app ever has share one is far less likely than a broken machine.
func writerHash(writer string) uint64 {
	sum := sha256.Sum256([]byte(writer))
	return max(1, binary.LittleEndian.Uint64(sum[:]))
}

// newEpoch is a number that no log ever had.
func newEpoch() uint64 {
	for {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails
		if epoch := binary.LittleEndian.Uint64(b[:]); epoch != 0 {
			return epoch
		}
	}
}

// makeDirectory turns a block into one of free slots and gives their places.
func (a *arena) makeDirectory(b uint32) []uint64 {
	a.write(blockAt(b)+headerSize, bytes.Repeat([]byte{0}, payloadSize))
	a.store(blockAt(b)+headCheck, checksum(directoryWord))
	a.store(blockAt(b)+headKind, directoryWord)
	places := make([]uint64, slotsPerBlock)
	for i := range places {
		places[i] = slotAt(b, i)
	}
	return places
}

const directoryWord = uint64(directoryBlock) << 56

func (a *arena) isDirectory(b uint32) bool {
	return a.load(blockAt(b)+headKind) == directoryWord && a.load(blockAt(b)+headCheck) == checksum(directoryWord)
}
