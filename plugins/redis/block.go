package redis

import (
	"encoding/binary"
	"time"
	"unicode/utf8"

	"github.com/deis/logger/sdk"
)

// A block is consecutive entries of one app. Each has its length before it, and these parts:
//
//	format     1 byte, formatWhole or formatSame
//	source     uvarint
//	time       varint seconds since the Unix epoch, uvarint nanoseconds, varint offset
//	published  varint seconds after time, uvarint nanoseconds
//	cut        uvarint bytes
//	texts      process, release, pod, container, stream, host: uvarint length, bytes
//	message    the rest
//
// With formatSame there are no texts but the message: the others are those of the entry
// before it, which most entries of a block have in common.
const (
	formatWhole = 1
	formatSame  = 2
)

const (
	// blockBytes is the size from which a block takes no further entry.
	blockBytes = 32 << 10
	// blockShare is the share of the kept entries that a block has at most: blocks leave
	// as a whole.
	blockShare = 16
	// blockGap is between entries that had better be in different blocks: they most likely
	// belong to different runs.
	blockGap = time.Second
)

// block is some encoded entries. A pointer to it goes into a command without an
// allocation of its own, which a slice of bytes would need.
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
	start, n := len(buffer), 0
	var prev *sdk.Entry
	var stated int64
	for n < min(most, len(entries)) && len(buffer)-start < blockBytes {
		e := &entries[n]
		if prev != nil && e.Published.Sub(prev.Published) > blockGap {
			break
		}
		buffer = appendEntry(buffer, e, prev)
		stated = max(stated, e.Time.UnixMicro())
		prev = e
		n++
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

// published is the publish time as the scripts compare it. Runs know nothing of times
// before 1970.
func published(e *sdk.Entry) int64 {
	if e.Published.IsZero() {
		return 0
	}
	return max(e.Published.UnixNano(), 0)
}

// appendEntry appends the kept form of the entry. The one before it in its block is prev,
// or nil.
func appendEntry(b []byte, e, prev *sdk.Entry) []byte {
	size := 96 + len(e.Message) // more than the numbers take
	alike := prev != nil && e.Pod == prev.Pod && e.Process == prev.Process && e.Release == prev.Release &&
		e.Container == prev.Container && e.Stream == prev.Stream && e.Host == prev.Host
	if !alike {
		size += len(e.Process) + len(e.Release) + len(e.Pod) + len(e.Container) + len(e.Stream) + len(e.Host)
	}
	// The length gets as many bytes as the most would need: what is unused is a varint of
	// more bytes than necessary.
	at, room := len(b), 2
	for size >= 1<<(7*room) {
		room++
	}
	b = append(b, make([]byte, room)...)
	_, offset := e.Time.Zone()
	seconds := e.Time.Unix()
	if alike {
		b = append(b, formatSame)
	} else {
		b = append(b, formatWhole)
	}
	b = binary.AppendUvarint(b, uint64(e.Source))
	b = binary.AppendVarint(b, seconds)
	b = binary.AppendUvarint(b, uint64(e.Time.Nanosecond()))
	b = binary.AppendVarint(b, int64(offset))
	b = binary.AppendVarint(b, e.Published.Unix()-seconds)
	b = binary.AppendUvarint(b, uint64(e.Published.Nanosecond()))
	b = binary.AppendUvarint(b, e.CutBytes)
	if !alike {
		for _, text := range [...]string{e.Process, e.Release, e.Pod, e.Container, e.Stream, e.Host} {
			b = binary.AppendUvarint(b, uint64(len(text)))
			b = append(b, text...)
		}
	}
	b = append(b, e.Message...)
	length := len(b) - at - room
	for i := range room {
		b[at+i] = byte(length>>(7*i))&0x7f | 0x80
	}
	b[at+room-1] &= 0x7f
	return b
}

// unreadable is the message in the place of an entry that cannot be read.
const unreadable = "(the entry in this place cannot be read)"

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

const keptNumbers = 40

// parseKept takes a block as it is in its stream, under that id.
func parseKept(last uint64, numbers, data string) (kept, bool) {
	if len(numbers) != keptNumbers {
		return kept{}, false
	}
	n := []byte(numbers)
	count := binary.BigEndian.Uint32(n)
	if count == 0 || uint64(count) > last || int(count) > len(data) {
		return kept{}, false
	}
	return kept{
		data: data, entries: int(count), first: last - uint64(count) + 1,
		before: binary.BigEndian.Uint64(n[4:]),
		floor:  timeOf(n[12:]), tail: timeOf(n[22:]),
		stated: int64(binary.BigEndian.Uint64(n[32:])),
	}, true
}

// decode appends the entries of the block, in their order. One that is damaged, or of a later
// format, keeps its place: the positions of the others hang on it, and a reader is told.
func (b *kept) decode(entries []sdk.Entry) []sdk.Entry {
	d := decoder{rest: b.data}
	var prev *sdk.Entry
	for i := range b.entries {
		entries = append(entries, sdk.Entry{})
		e := &entries[len(entries)-1]
		one := decoder{rest: d.text()}
		if d.corrupt || !one.entry(e, prev) {
			*e = sdk.Entry{Published: time.Unix(0, b.tail).UTC(), Message: unreadable}
			e.Time = e.Published
			prev = nil
		} else {
			prev = e
		}
		e.Position = b.first + uint64(i)
	}
	return entries
}

// latest is the latest time that an entry of the run states, up to this block; 0 if nobody
// asks since when.
func (b *kept) latest(since time.Time) int64 {
	if since.IsZero() {
		return 0
	}
	latest := b.stated
	for _, e := range b.decode(make([]sdk.Entry, 0, b.entries)) {
		latest = max(latest, e.Time.UnixMicro())
	}
	return latest
}

// decoder takes a text apart. After the first fault everything it answers is zero.
type decoder struct {
	rest    string
	corrupt bool
}

// entry reads what appendEntry wrote into e, which is zero; prev is the entry before it in
// its block, nil if that cannot be read. The texts share the block's memory.
func (d *decoder) entry(e, prev *sdk.Entry) (ok bool) {
	format := d.uvarint()
	e.Source = sdk.Source(d.uvarint())
	seconds, nanos, offset := d.varint(), d.uvarint(), d.varint()
	e.Time = sdk.At(seconds, int64(nanos), int(int32(offset)))
	seconds += d.varint()
	e.Published = time.Unix(seconds, int64(d.uvarint())).UTC()
	e.CutBytes = d.uvarint()
	same := format == formatSame && prev != nil // its texts are known to be valid
	if same {
		e.Process, e.Release, e.Pod, e.Container, e.Stream, e.Host = prev.Process, prev.Release, prev.Pod, prev.Container, prev.Stream, prev.Host
	} else {
		for _, text := range [...]*string{&e.Process, &e.Release, &e.Pod, &e.Container, &e.Stream, &e.Host} {
			*text = d.text()
		}
	}
	e.Message = d.rest
	return !d.corrupt && (same && utf8.ValidString(e.Message) || format == formatWhole && e.Valid() == nil)
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

func (d *decoder) text() (s string) {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		n, d.corrupt = 0, true
	}
	s, d.rest = d.rest[:n], d.rest[n:]
	return s
}

// sizeOfEntry is about what the entry takes in a page.
func sizeOfEntry(e *sdk.Entry) int {
	const numbers = 48
	return numbers + len(e.Process) + len(e.Release) + len(e.Pod) + len(e.Container) + len(e.Stream) + len(e.Host) + len(e.Message)
}
