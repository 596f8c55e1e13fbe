package memory

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"unsafe"

	"github.com/deis/logger/sdk"
)

const (
	// blockSize is small because there may be many apps that have few lines.
	blockSize  = 1024
	headerSize = 64
	// payloadSize is the part of a block that holds a run's stream.
	payloadSize = blockSize - headerSize

	// extentBlocks is the number of blocks that the arena grows by.
	extentBlocks = 1024
	extentBytes  = extentBlocks * blockSize

	// pageSize is the unit in which the system maps memory. An arena is a number of whole pages.
	pageSize = 4096
)

// magic is the first word of block 0, and changes with any change of the layout. Its bytes differ,
// so that a file from a machine of the other byte order is refused.
const magic = 0x3430_6d65_6d67_6f6c

// Block 0 begins with the magic. Two counters follow. They count the entries of logs that are gone
// as a whole: the evicted and the deleted; see [sdk.Totals].
const (
	departedEvicted = 8
	departedDeleted = 16
)

// A block's header is eight words; see header. The first says what kind of block it is.
const (
	headKind     = 0
	headEpoch    = 8
	headOrder    = 16
	headPosition = 24
	headOrdinal  = 32
	headTop      = 40
	headTime     = 48
	headCheck    = 56
)

type kind uint8

const (
	freeBlock      kind = iota
	directoryBlock      // has slots
	logBlock            // has a part of a run
	wideBlock           // has the rest of a slot
)

// castagnoli is the table of the polynomial that processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// arena manages the memory of all blocks, and knows the free ones.
type arena struct {
	mapping *mapping
	// blocks bounds how many blocks may be touched now, and limit how many there can ever be.
	blocks, limit uint32
	free          []uint32
	// shortage is the system's error since it had no more room, nil while it has. After that,
	// patience counts down the demands that are refused without asking the system.
	shortage error
	patience int
	// said is where setHeader builds a header: a local array would move to the heap.
	said [headerSize]byte
}

func newArena(m *mapping) *arena {
	return &arena{mapping: m, limit: uint32(len(m.data) / blockSize)}
}

// word returns the word at the offset, which is a multiple of eight.
func (a *arena) word(at uint64) *uint64 {
	return (*uint64)(unsafe.Pointer(&a.mapping.data[at : at+8][0])) //nolint:gosec // in bounds and aligned
}

func (a *arena) load(at uint64) uint64 { return *a.word(at) }

// store stores a word. If the process dies, the word is stored whole or not at all, and never
// without what was stored before it.
func (a *arena) store(at, value uint64) {
	a.mapping.touch()
	setWord(a.word(at), value)
}

// A processor of 32 bits takes two instructions to store a word, so this does not compile there.
const _ = uint(1 << 63)

// setWord stores by one instruction, the word being aligned and no longer than a register. It is
// not inlined, so the compiler leaves it between what comes before it and what comes after. That is
// all the order that a kill needs: it interrupts the process between two instructions, and what was
// stored before gets to memory. An atomic store would also wait until other threads see it, which
// is what the storage's lock is for.
//
//go:noinline
func setWord(word *uint64, value uint64) { *word = value }

// write may be interrupted anywhere.
func (a *arena) write(at uint64, b []byte) {
	if a.mapping.step != nil {
		half := len(b) / 2
		a.mapping.touch()
		copy(a.mapping.data[at:], b[:half])
		a.mapping.touch()
		at, b = at+uint64(half), b[half:]
	}
	copy(a.mapping.data[at:], b)
}

func (a *arena) bytes(at, n uint64) []byte { return a.mapping.data[at : at+n] }

func blockAt(b uint32) uint64 { return uint64(b) * blockSize }

// header holds the content of a block's header. Only a run's block has more than a kind and a slot.
type header struct {
	kind  kind
	slot  uint32
	run   uint8
	epoch uint64
	order uint64 // the block's number in its run, from 0
	// offset is where in the payload the block's first entry begins; payloadSize if none begins in
	// the block.
	offset uint16
	// What follows is about the entries that begin before this block: the position after
	// the last one's, how many there are, and the latest publish time and time of them all.
	position uint64
	ordinal  uint64
	top      int64
	time     int64
}

func (h *header) kindWord() uint64 {
	return uint64(h.kind)<<56 | uint64(h.run)<<48 | uint64(h.offset)<<32 | uint64(h.slot)
}

// check computes the checksum of what a header says.
func (a *arena) check(b uint32) uint64 {
	return uint64(crc32.Checksum(a.bytes(blockAt(b), headCheck), castagnoli))
}

// setHeader makes a free block one of the header's kind. It stores the first word last.
func (a *arena) setHeader(b uint32, h *header) {
	said := a.said[:]
	for i, word := range [...]uint64{h.kindWord(), h.epoch, h.order, h.position, h.ordinal, uint64(h.top), uint64(h.time)} {
		binary.NativeEndian.PutUint64(said[i*8:], word)
	}
	binary.NativeEndian.PutUint64(said[headCheck:], uint64(crc32.Checksum(said[:headCheck], castagnoli)))
	a.write(blockAt(b)+headEpoch, said[headEpoch:])
	a.store(blockAt(b)+headKind, h.kindWord())
}

// header reads the header of a block. It is false if the checksum is wrong.
func (a *arena) header(b uint32) (header, bool) {
	at := blockAt(b)
	word := a.load(at + headKind)
	h := header{
		kind: kind(word >> 56), slot: uint32(word), offset: uint16(word >> 32), run: uint8(word >> 48),
		epoch: a.load(at + headEpoch), order: a.load(at + headOrder),
		position: a.load(at + headPosition), ordinal: a.load(at + headOrdinal),
		top: int64(a.load(at + headTop)), time: int64(a.load(at + headTime)),
	}
	return h, h.offset <= payloadSize && h.run < maxRuns && a.load(at+headCheck) == a.check(b)
}

func (a *arena) kind(b uint32) kind       { return kind(a.load(blockAt(b)+headKind) >> 56) }
func (a *arena) order(b uint32) uint64    { return a.load(blockAt(b) + headOrder) }
func (a *arena) position(b uint32) uint64 { return a.load(blockAt(b) + headPosition) }
func (a *arena) ordinal(b uint32) uint64  { return a.load(blockAt(b) + headOrdinal) }
func (a *arena) top(b uint32) int64       { return int64(a.load(blockAt(b) + headTop)) }
func (a *arena) time(b uint32) int64      { return int64(a.load(blockAt(b) + headTime)) }
func (a *arena) offset(b uint32) uint64   { return uint64(uint16(a.load(blockAt(b)+headKind) >> 32)) }

func (a *arena) payload(b uint32) []byte {
	return a.bytes(blockAt(b)+headerSize, payloadSize)
}

// touch reads a byte of each cache line of the block, so that the processor fetches all of them at
// once. Each entry says where the next is, so a reader would wait for one line after the other.
func (a *arena) touch(b uint32) (sum byte) {
	const cacheLine = 64
	payload := a.payload(b)
	for i := 0; i < len(payload); i += cacheLine {
		sum += payload[i]
	}
	return sum
}

// release frees the block.
func (a *arena) release(b uint32) {
	a.store(blockAt(b)+headKind, uint64(freeBlock)<<56)
	a.free = append(a.free, b)
}

// take gives a free block, if there is one.
func (a *arena) take() (uint32, bool) {
	if len(a.free) == 0 {
		return 0, false
	}
	b := a.free[len(a.free)-1]
	a.free = a.free[:len(a.free)-1]
	return b, true
}

// grow adds an extent, if the budget and the system have one. The system makes room before anything
// is touched: here a full file system is an error, at a touch it would kill the process.
func (a *arena) grow() bool {
	if a.blocks >= a.limit {
		return false
	}
	if a.patience > 0 {
		a.patience--
		return false
	}
	to := min(a.blocks+extentBlocks, a.limit)
	a.shortage = a.mapping.extend(int64(a.blocks)*blockSize, int64(to)*blockSize)
	if a.shortage != nil {
		a.patience = extentBlocks // what there is must do for a while
		return false
	}
	// The lowest is taken first. New memory is zero, so these are free blocks.
	for b := to; b > max(a.blocks, 1); b-- {
		a.free = append(a.free, b-1)
	}
	a.blocks = to
	return true
}

// errFull returns the error for an append that has no room, whatever is taken from others.
func (a *arena) errFull() error {
	if a.shortage != nil {
		return fmt.Errorf("%d bytes are in use: %w: %w", int64(a.blocks)*blockSize, a.shortage, sdk.ErrFull)
	}
	return fmt.Errorf("all %d bytes are in use: %w", int64(a.blocks)*blockSize, sdk.ErrFull)
}

// begin makes the arena an empty one. Blocks that are there already are cleared.
func (a *arena) begin() error {
	if a.blocks == 0 && !a.grow() {
		return a.errFull()
	}
	a.store(0, 0) // not an arena, until it is empty
	a.store(departedEvicted, 0)
	a.store(departedDeleted, 0)
	for b := uint32(1); b < a.blocks; b++ {
		a.store(blockAt(b)+headKind, uint64(freeBlock)<<56)
	}
	a.free = a.free[:0]
	for b := a.blocks; b > 1; b-- {
		a.free = append(a.free, b-1)
	}
	a.store(0, magic)
	return nil
}

// asString returns the bytes, which must not change any more, as a string.
func asString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) } //nolint:gosec // see above
