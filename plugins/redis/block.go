package redis

import (
	"encoding/binary"
	"time"
	"unicode/utf8"

	"github.com/deis/logger/sdk"
)

// A block is consecutive entries of one app. Each has its length before it (4 bytes), then
//
//	format     1 byte, formatWhole or formatSame, and formatPartial of a piece of a line
//	source     uvarint
//	time       varint seconds since the Unix epoch, uvarint nanoseconds, varint offset
//	published  varint seconds after time, uvarint nanoseconds
//	cut        uvarint bytes
//	labels     uvarint length, bytes; not with formatSame: then they are those of the entry before
//	message    the rest
const (
	formatWhole = 1
	formatSame  = 2
	// formatPartial is added to either.
	formatPartial = 4

	// blockBytes is the size from which a block takes no further entry.
	blockBytes = 32 << 10
	// blockShare is the share of the kept entries that a block has at most: blocks leave
	// as a whole.
	blockShare = 16
	// blockGap is between entries that had better be in different blocks: they most likely
	// belong to different runs.
	blockGap = time.Second
	// unreadable is the message in the place of an entry that cannot be read.
	unreadable = "(the entry in this place cannot be read)"
)

// labels are the texts of an entry that most entries of a block have in common.
func labels(e *sdk.Entry) [6]*string {
	return [...]*string{&e.Process, &e.Release, &e.Pod, &e.Container, &e.Stream, &e.Host}
}

// block is some encoded entries. A pointer to it goes into a command without an allocation of
// its own, which a slice of bytes would need.
type block struct {
	data    []byte
	entries int
	numbers [30]byte // see append.lua
}

// MarshalBinary implements [encoding.BinaryMarshaler], by which go-redis writes it.
func (b *block) MarshalBinary() ([]byte, error) { return b.data, nil }

// encode makes a block of the first entries, at most so many, and appends its data to
// buffer.
func encode(buffer []byte, entries []sdk.Entry, most int) (block, []byte) {
	start, n, stated := len(buffer), 0, int64(0)
	var prev *sdk.Entry
	for n < min(most, len(entries)) && len(buffer)-start < blockBytes {
		e := &entries[n]
		if prev != nil && e.Published.Sub(prev.Published) > blockGap {
			break
		}
		at := len(buffer)
		buffer = appendEntry(append(buffer, 0, 0, 0, 0), e, prev)
		binary.BigEndian.PutUint32(buffer[at:], uint32(len(buffer)-at-4))
		stated = max(stated, e.Time.UnixMicro())
		prev, n = e, n+1
	}
	b := block{data: buffer[start:], entries: n}
	first, last := published(&entries[0]), published(prev)
	binary.BigEndian.PutUint32(b.numbers[0:], uint32(n))
	binary.BigEndian.PutUint64(b.numbers[4:], uint64(first/1000))
	binary.BigEndian.PutUint64(b.numbers[12:], uint64(last/1000))
	binary.BigEndian.PutUint16(b.numbers[20:], uint16(last%1000))
	binary.BigEndian.PutUint64(b.numbers[22:], uint64(stated))
	return b, buffer
}

// published is the publish time as the scripts compare it. Runs know no times before 1970.
func published(e *sdk.Entry) int64 {
	if e.Published.IsZero() {
		return 0
	}
	return max(e.Published.UnixNano(), 0)
}

// appendEntry appends an entry. The one before it in its block is prev, or nil.
func appendEntry(b []byte, e, prev *sdk.Entry) []byte {
	whole := prev == nil || e.Pod != prev.Pod || e.Stream != prev.Stream || e.Container != prev.Container ||
		e.Process != prev.Process || e.Release != prev.Release || e.Host != prev.Host
	format := byte(formatSame)
	if whole {
		format = formatWhole
	}
	if e.Partial {
		format |= formatPartial
	}
	b = append(b, format)
	_, offset := e.Time.Zone()
	b = binary.AppendUvarint(b, uint64(e.Source))
	b = binary.AppendVarint(b, e.Time.Unix())
	b = binary.AppendUvarint(b, uint64(e.Time.Nanosecond()))
	b = binary.AppendVarint(b, int64(offset))
	b = binary.AppendVarint(b, e.Published.Unix()-e.Time.Unix())
	b = binary.AppendUvarint(b, uint64(e.Published.Nanosecond()))
	b = binary.AppendUvarint(b, e.CutBytes)
	if whole {
		for _, text := range labels(e) {
			b = append(binary.AppendUvarint(b, uint64(len(*text))), *text...)
		}
	}
	return append(b, e.Message...)
}

// kept is a block as Redis has it.
type kept struct {
	data    string
	entries int
	first   uint64 // position of its first entry
	before  uint64 // entries that the run ever had before it
	// floor is the tail of the run before the block, tail with it; in nanoseconds.
	floor, tail int64
	// stated is the latest time that an entry before it in the run states, in microseconds.
	stated int64
}

// last is the position of its last entry.
func (b *kept) last() uint64 { return b.first + uint64(b.entries) - 1 }

// parseKept takes a block as it is in its stream, under that id.
func parseKept(last uint64, numbers, data string) (kept, bool) {
	n := []byte(numbers)
	if len(n) != 40 {
		return kept{}, false
	}
	count := uint64(binary.BigEndian.Uint32(n))
	return kept{
		data: data, entries: int(count), first: last - count + 1,
		before: binary.BigEndian.Uint64(n[4:]),
		floor:  timeOf(n[12:]), tail: timeOf(n[22:]),
		stated: int64(binary.BigEndian.Uint64(n[32:])),
	}, count > 0 && count <= last && count <= uint64(len(data))
}

// decode appends the entries of the block, in their order. One that is damaged, or of a later
// format, keeps its place: the positions of the others hang on it, and a reader is told.
func (b *kept) decode(entries []sdk.Entry) []sdk.Entry {
	rest := decoder{rest: b.data}
	var prev *sdk.Entry
	for i := range b.entries {
		entries = append(entries, sdk.Entry{})
		e := &entries[len(entries)-1]
		one := decoder{rest: rest.text(rest.length())}
		if prev = one.entry(e, prev); prev == nil {
			at := time.Unix(0, b.tail).UTC()
			*e = sdk.Entry{Time: at, Published: at, Message: unreadable}
		}
		e.Position = b.first + uint64(i)
	}
	return entries
}

// decoder takes a text apart. After the first fault everything it answers is zero.
type decoder struct {
	rest    string
	corrupt bool
}

// entry reads what appendEntry wrote into e, which is zero; prev is the entry before it in
// its block, nil if that cannot be read. It returns nil if this one cannot. The texts share
// the block's memory.
func (d *decoder) entry(e, prev *sdk.Entry) *sdk.Entry {
	format := d.uvarint()
	e.Partial = format&formatPartial != 0
	format &^= formatPartial
	e.Source = sdk.Source(d.uvarint())
	seconds, nanos, offset := d.varint(), d.uvarint(), d.varint()
	e.Time = sdk.At(seconds, int64(nanos), int(int32(offset)))
	seconds += d.varint()
	e.Published = time.Unix(seconds, int64(d.uvarint())).UTC()
	e.CutBytes = d.uvarint()
	same := format == formatSame && prev != nil // its labels are known to be valid
	if same {
		e.Process, e.Release, e.Pod, e.Container, e.Stream, e.Host = prev.Process, prev.Release, prev.Pod, prev.Container, prev.Stream, prev.Host
	} else {
		for _, text := range labels(e) {
			*text = d.text(d.uvarint())
		}
	}
	e.Message = d.rest
	if d.corrupt || same && !utf8.ValidString(e.Message) || !same && (format != formatWhole || e.Valid() != nil) {
		return nil
	}
	return e
}

func (d *decoder) uvarint() (x uint64) {
	for i := 0; i < len(d.rest) && i < binary.MaxVarintLen64; i++ {
		c := d.rest[i]
		x |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			d.rest = d.rest[i+1:]
			return x
		}
	}
	d.rest, d.corrupt = "", true
	return 0
}

func (d *decoder) varint() int64 {
	x := d.uvarint()
	return int64(x>>1) ^ -int64(x&1)
}

// length reads the length of an entry.
func (d *decoder) length() uint64 {
	if b := d.text(4); b != "" {
		return uint64(binary.BigEndian.Uint32([]byte(b)))
	}
	return 0
}

func (d *decoder) text(n uint64) (s string) {
	if n > uint64(len(d.rest)) {
		n, d.corrupt = 0, true
	}
	s, d.rest = d.rest[:n], d.rest[n:]
	return s
}
