package redis

import (
	"encoding/binary"
	"math"
	"strconv"

	"github.com/deis/logger/sdk"
)

// Entries of a run are kept in blocks: each is one element of the app's list, and the
// element after it says how many entries it has (see docs/adr/0016). A block is its
// entries (see value.go), one after the other, and then where each of them but the last ends,
// as 2 bytes each, of which the high one is first. So the block of a single entry is just the
// entry.
const (
	// blockBytes is the size from which a block takes no further entry. Whoever reads an
	// entry takes its whole block, and the oldest block is kept whole.
	blockBytes = 32 << 10
	// blockEntries and a share of the kept lines are the most entries of a block, for the
	// same reasons.
	blockEntries = 32
	blockShare   = 16
	// maxEntries bounds what is believed of the number beside a block, as in state.lua.
	maxEntries = math.MaxInt32
)

// block is some encoded entries. A pointer to it goes into a command without an
// allocation of its own, which a slice of bytes would need.
type block struct {
	data    []byte
	entries int
}

// MarshalBinary implements [encoding.BinaryMarshaler], by which go-redis writes it.
func (b *block) MarshalBinary() ([]byte, error) { return b.data, nil }

// encoder makes blocks, side by side in one buffer.
type encoder struct {
	buffer []byte
	blocks []block
	ends   [][2]byte
}

func (c *encoder) reset() { c.buffer, c.blocks = c.buffer[:0], c.blocks[:0] }

// add makes the blocks of a run. No block has more entries than most.
func (c *encoder) add(entries []sdk.Entry, most int) {
	for len(entries) > 0 {
		// Those that are left have about the same size.
		blocks := (len(entries) + most - 1) / most
		share := (len(entries) + blocks - 1) / blocks
		entries = entries[c.block(entries[:share]):]
	}
}

// block makes a block of the first entries and returns how many.
func (c *encoder) block(entries []sdk.Entry) (taken int) {
	start := len(c.buffer)
	c.ends = c.ends[:0]
	var prev *sdk.Entry
	for taken < len(entries) {
		c.buffer = appendEntry(c.buffer, &entries[taken], prev)
		prev = &entries[taken]
		taken++
		size := len(c.buffer) - start
		if size >= blockBytes {
			break
		}
		if taken < len(entries) {
			c.ends = append(c.ends, [2]byte{byte(size >> 8), byte(size)})
		}
	}
	for _, end := range c.ends {
		c.buffer = append(c.buffer, end[:]...)
	}
	// When the buffer moves to grow, this one stays valid where it was.
	c.blocks = append(c.blocks, block{c.buffer[start:], taken})
	return taken
}

// blockLimit is the most entries of a block in a log of so many.
func blockLimit(lines int) int { return max(blockEntries, lines/blockShare) }

// kept is a block as Redis has it.
type kept struct {
	data    string
	entries int
}

// value is the i-th entry; not ok when the block is damaged.
func (b kept) value(i int) (value string, ok bool) {
	ends := len(b.data) - 2*(b.entries-1)
	if ends < 0 {
		return "", false
	}
	end := func(i int) int { return int(binary.BigEndian.Uint16([]byte(b.data[ends+2*i : ends+2*i+2]))) }
	from, to := 0, ends
	if i > 0 {
		from = end(i - 1)
	}
	if i < b.entries-1 {
		to = end(i)
	}
	if from > to || to > ends {
		return "", false
	}
	return b.data[from:to], true
}

// entry decodes the i-th entry into e, which is zero; prev is what this returned for the one
// before it. One that is damaged, or of a later format, keeps its place: the positions of the
// others hang on it, and a reader is told.
func (b kept) entry(i int, e, prev *sdk.Entry) (next *sdk.Entry) {
	value, ok := b.value(i)
	if ok && decode(value, e, prev) == nil {
		return e
	}
	*e = sdk.Entry{Message: unreadable}
	if value != "" && value[0] == formatSame {
		return prev
	}
	return nil
}

// before is what entry returns for the one before the i-th, in the memory of e, which is zero.
func (b kept) before(i int, e *sdk.Entry) (prev *sdk.Entry) {
	for i--; i >= 0; i-- {
		if value, _ := b.value(i); value == "" || value[0] != formatSame {
			return b.entry(i, e, nil)
		}
	}
	return nil
}

// at is entry by itself.
func (b kept) at(i int, e *sdk.Entry) { b.entry(i, e, b.before(i, new(sdk.Entry))) }

// unreadable is the message in the place of an entry that cannot be read.
const unreadable = "(the entry in this place cannot be read)"

// count is how many entries a block has, by the element that says so.
func count(element string) int {
	n, err := strconv.Atoi(element)
	if err != nil || n < 1 || n >= maxEntries {
		return 1 // as in state.lua
	}
	return n
}

// pairs takes the elements of a list.
func pairs(elements []string) (blocks []kept, entries int) {
	blocks = make([]kept, len(elements)/2)
	for i := range blocks {
		blocks[i] = kept{data: elements[2*i], entries: count(elements[2*i+1])}
		entries += blocks[i].entries
	}
	return blocks, entries
}

// sizeOfEntry is about what the entry takes in a page.
func sizeOfEntry(e *sdk.Entry) int {
	return numberBytes + len(e.Process) + len(e.Release) + len(e.Pod) + len(e.Stream) + len(e.Host) + len(e.Message)
}

// numberBytes is about what the numbers of an entry take.
const numberBytes = 24

// cut decodes what follows the first entries, which are to be skipped: as many as are
// wanted, but not many more bytes than a page has. Bytes is how many those have that it
// decoded.
func cut(blocks []kept, skip, want int) (entries []sdk.Entry, bytes int, more bool) {
	room := 0
	for _, b := range blocks {
		room += min(b.entries, len(b.data)+1) // more would be damage
	}
	entries = make([]sdk.Entry, 0, max(0, min(want, room-skip)))
	for _, b := range blocks {
		var prev *sdk.Entry
		if skip < b.entries && want > 0 {
			prev = b.before(skip, new(sdk.Entry))
		}
		for i := min(skip, b.entries); i < b.entries && want > 0; i++ {
			entries = append(entries, sdk.Entry{})
			e := &entries[len(entries)-1]
			prev = b.entry(i, e, prev)
			bytes += sizeOfEntry(e)
			if bytes > pageBytes && len(entries) > 1 {
				return entries[:len(entries)-1], bytes, true
			}
			want--
		}
		skip -= min(skip, b.entries)
	}
	return entries, bytes, false
}
