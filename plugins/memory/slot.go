package memory

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"

	"github.com/deis/logger/sdk"
)

// A slot is the part of a log that lives in the arena, beside its blocks.
const (
	// slotEpoch is 0 without a log.
	slotEpoch = 0
	// slotTurn counts commits. Its lowest bit says which of the two records is valid:
	// storing it is what commits.
	slotTurn = 8
	// slotName holds the name's length, and its checksum in the lower half; 0 in a
	// free slot.
	slotName = 16
	// slotHeads has, of each run, how many of its entries left.
	slotHeads = 24
	// slotRecords are two records.
	slotRecords = slotHeads + maxRuns*8
	recordSize  = maxRuns*8 + 32
	// slotWriters is a table of pairs, writer and highest sequence, the latest writer
	// first. The writer of the record need not be in it.
	slotWriters = slotRecords + 2*recordSize
	writersKept = sdk.MarkedWriters
	slotText    = slotWriters + writersKept*16
	slotSize    = 800
	maxNameLen  = slotSize - slotText

	// A directory block's slots come after its header.
	slotsPerBlock = payloadSize / slotSize
)

// record is what every append to a log changes, as a whole.
type record struct {
	ends [maxRuns]uint64 // the lengths of the runs' streams, as they were ever written
	last uint64          // the position of the last entry
	// writer and sequence are those of the last append.
	writer, sequence uint64
	touched          uint64 // when that was, in seconds since the Unix epoch
}

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
	return uint32(block*slotsPerBlock + (in-headerSize)/slotSize)
}

func slotAt(block uint32, i int) uint64 {
	return blockAt(block) + headerSize + uint64(i)*slotSize
}

func nameWord(name string) uint64 {
	return uint64(len(name))<<32 | uint64(crc32.Checksum([]byte(name), castagnoli))
}

// claim gives a free slot to the app, without a log.
func (s slot) claim(name string) {
	for at := uint64(0); at < slotText; at += 8 {
		s.store(at, 0)
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

// record loads the valid record.
func (s slot) record() record {
	at := slotRecords + s.load(slotTurn)&1*recordSize
	r := record{last: s.load(at), writer: s.load(at + 8), sequence: s.load(at + 16), touched: s.load(at + 24)}
	for i := range r.ends {
		r.ends[i] = s.load(at + 32 + uint64(i)*8)
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
		s.store(at+32+uint64(i)*8, end)
	}
	s.store(slotTurn, turn)
}

func (s slot) head(run uint8) uint64           { return s.load(slotHeads + uint64(run)*8) }
func (s slot) setHead(run uint8, value uint64) { s.store(slotHeads+uint64(run)*8, value) }

// stored says whether a batch of the writer is not above the highest that the table has.
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
