package redis

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/golang/snappy"
	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

// A block is consecutive entries of one app, compressed by Snappy. Each has its length before it (4
// bytes), then
//
//	format     1 byte, formatWhole or formatSame, formatPartial of a piece of a line, and the level
//	           from levelShift on
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
	levelShift    = 3
	levelMask     = 7

	// blockBytes is the size, before it is compressed, from which a block takes no further entry.
	blockBytes = 32 << 10
	// blockShare is the share of the kept entries that a block has at most: blocks leave
	// as a whole.
	blockShare = 16
	// blockSpan is the most time between the publish times of a block's entries. The kept
	// entries are the newest up to that.
	blockSpan = time.Second
	// unreadable is the message in the place of an entry that cannot be read.
	unreadable = "(the entry in this place cannot be read)"
)

// labels are the texts of an entry that most entries of a block have in common.
func labels(e *sdk.Entry) [6]*string {
	return [...]*string{&e.Process, &e.Release, &e.Pod, &e.Container, &e.Stream, &e.Host}
}

// mostExpanded is more than what Snappy makes of a byte.
const mostExpanded = 64

// block is some encoded entries. A pointer to it goes into a command without an allocation of
// its own, which a slice of bytes would need.
type block struct {
	data    []byte
	entries int
	numbers [28]byte // the field, see state.lua
}

// MarshalBinary implements [encoding.BinaryMarshaler], by which go-redis writes it.
func (b *block) MarshalBinary() ([]byte, error) { return b.data, nil }

// encode makes a block of the first entries, at most so many, and appends its data to
// buffer. It encodes into raw first. The entries of a block are in the order of publishing.
func encode(buffer, raw []byte, entries []sdk.Entry, most int) (b block, grown, rawGrown []byte) {
	raw = raw[:0]
	n, stated := 0, int64(math.MinInt64)
	first := published(&entries[0])
	last := first
	var prev *sdk.Entry
	for n < min(most, len(entries)) && len(raw) < blockBytes {
		e := &entries[n]
		at := published(e)
		if at < last || at-first > int64(blockSpan) {
			break
		}
		begin := len(raw)
		raw = appendEntry(append(raw, 0, 0, 0, 0), e, prev)
		binary.BigEndian.PutUint32(raw[begin:], uint32(len(raw)-begin-4))
		stated = max(stated, e.Time.UnixMicro())
		prev, last, n = e, at, n+1
	}
	start := len(buffer)
	buffer = slices.Grow(buffer, snappy.MaxEncodedLen(len(raw)))
	b = block{data: snappy.Encode(buffer[start:cap(buffer)], raw), entries: n}
	binary.BigEndian.PutUint32(b.numbers[0:], uint32(n))
	putTime(b.numbers[4:], last)
	binary.BigEndian.PutUint32(b.numbers[12:], uint32(last-first))
	binary.BigEndian.PutUint64(b.numbers[16:], uint64(stated))
	binary.BigEndian.PutUint32(b.numbers[24:], uint32(len(raw)))
	return b, buffer[:start+len(b.data)], raw
}

// published is the publish time by which entries are ordered, in nanoseconds.
func published(e *sdk.Entry) int64 {
	if e.Published.IsZero() {
		return 0
	}
	return e.Published.UnixNano()
}

// putTime writes a time as bytes whose order is that of time, and timeOf reads it.
func putTime(b []byte, t int64) { binary.BigEndian.PutUint64(b, uint64(t)^1<<63) }

func timeOf(b []byte) int64 { return int64(binary.BigEndian.Uint64(b) ^ 1<<63) }

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
	format |= byte(e.Level&levelMask) << levelShift
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

// kept is a block as Redis has it, or, without its data, as the order of an app tells of it.
type kept struct {
	data    string
	entries int
	bytes   int    // of the data, before it was compressed
	last    uint64 // position of its last entry
	at      int64  // publish time of its last entry, in nanoseconds
	stated  int64  // the newest of its entries' own times, in microseconds
}

// first is the position of its first entry.
func (b *kept) first() uint64 { return b.last - uint64(b.entries) + 1 }

// parseMember takes a block as it is in the order of an app, see state.lua.
func parseMember(text string) (b kept, ok bool) {
	m := []byte(text)
	if len(m) != 36 {
		return kept{}, false
	}
	b = kept{
		at: timeOf(m), last: binary.BigEndian.Uint64(m[8:]),
		entries: int(binary.BigEndian.Uint32(m[16:])), bytes: int(binary.BigEndian.Uint32(m[20:])),
		stated: int64(binary.BigEndian.Uint64(m[28:])),
	}
	return b, b.entries > 0 && uint64(b.entries) <= b.last
}

// blocksOf takes the reply of XRANGE. What is no block of ours is left out.
func blocksOf(reply []redis.XMessage) []kept {
	blocks := make([]kept, 0, len(reply))
	for _, message := range reply {
		id, _, _ := strings.Cut(message.ID, "-")
		last, _ := strconv.ParseUint(id, 10, 64)
		for name, value := range message.Values {
			numbers := []byte(name)
			data, _ := value.(string)
			if len(message.Values) == 1 && len(numbers) == 28 {
				n := uint64(binary.BigEndian.Uint32(numbers))
				if n > 0 && n <= last && n <= mostExpanded*uint64(len(data)) {
					blocks = append(blocks, kept{data: data, entries: int(n), bytes: int(binary.BigEndian.Uint32(numbers[24:])), last: last, at: timeOf(numbers[4:])})
				}
			}
		}
	}
	return blocks
}

// decode appends the entries of the block, in their order. One that is damaged, or of a later
// format, keeps its place: the positions of the others hang on it, and a reader is told.
func (b *kept) decode(entries []sdk.Entry) []sdk.Entry {
	data := []byte(b.data)
	var raw []byte
	if n, err := snappy.DecodedLen(data); err == nil && n <= mostExpanded*len(data) { // else it is damaged
		raw, _ = snappy.Decode(nil, data)
	}
	rest := decoder{rest: string(raw)}
	var prev *sdk.Entry
	for i := range b.entries {
		entries = append(entries, sdk.Entry{})
		e := &entries[len(entries)-1]
		one := decoder{rest: rest.text(rest.length())}
		if prev = one.entry(e, prev); prev == nil {
			at := time.Unix(0, b.at).UTC()
			*e = sdk.Entry{Time: at, Published: at, Message: unreadable}
		}
		e.Position = b.first() + uint64(i)
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
	e.Level = sdk.Level(format >> levelShift & levelMask)
	format &^= formatPartial | levelMask<<levelShift
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

func (d *decoder) uvarint() uint64 {
	x, n := binary.Uvarint([]byte(d.rest[:min(len(d.rest), binary.MaxVarintLen64)]))
	if n <= 0 {
		d.rest, d.corrupt = "", true
		return 0
	}
	d.rest = d.rest[n:]
	return x
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
