package redis

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/golang/snappy"
	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

// A block is consecutive entries of one app, compressed by Snappy. Each has its length before it (4
// bytes), then
//
//	format     1 byte, formatEntry, formatPartial of a piece of a line, and the level from
//	           levelShift on
//	source     uvarint
//	time       varint seconds since the Unix epoch, uvarint nanoseconds, varint offset
//	published  varint seconds after time, uvarint nanoseconds
//	cut        uvarint bytes
//	texts      of each 0 if it is that of the entry before, or uvarint its length and one, bytes
//	message    the rest
const (
	formatEntry   = 3
	formatPartial = 4 // is added to it
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
	// labelSize is the size of a block's label, see state.lua.
	labelSize = 36
	// mostExpanded is more than what Snappy makes of a byte.
	mostExpanded = 64
	// unreadable is the message in the place of an entry that cannot be read.
	unreadable = "(the entry in this place cannot be read)"
)

// texts are those of an entry that most entries of a block have in common; none of nil.
func texts(e *sdk.Entry) (texts [6]*string) {
	if e != nil {
		texts = [...]*string{&e.Process, &e.Release, &e.Pod, &e.Container, &e.Stream, &e.Host}
	}
	return texts
}

// block is some encoded entries. A pointer to it goes into a command without an allocation of
// its own, which a slice of bytes would need.
type block struct {
	data    []byte
	entries int
	label   [labelSize]byte // without its position
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
	copy(b.label[0:], timeText(last))
	binary.BigEndian.PutUint32(b.label[16:], uint32(n))
	binary.BigEndian.PutUint32(b.label[20:], uint32(len(raw)))
	binary.BigEndian.PutUint32(b.label[24:], uint32(last-first))
	copy(b.label[28:], timeText(stated))
	return b, buffer[:start+len(b.data)], raw
}

// published is the publish time by which entries are ordered, in nanoseconds.
func published(e *sdk.Entry) int64 {
	if e.Published.IsZero() {
		return 0
	}
	return e.Published.UnixNano()
}

// timeText is a time as labels have it: as bytes in the order of time.
func timeText(t int64) string { return string(binary.BigEndian.AppendUint64(nil, uint64(t)^1<<63)) }

// appendEntry appends an entry. The one before it in its block is prev, or nil.
func appendEntry(b []byte, e, prev *sdk.Entry) []byte {
	format := byte(formatEntry) | byte(e.Level&levelMask)<<levelShift
	if e.Partial {
		format |= formatPartial
	}
	_, offset := e.Time.Zone()
	b = binary.AppendUvarint(append(b, format), uint64(e.Source))
	b = binary.AppendVarint(b, e.Time.Unix())
	b = binary.AppendUvarint(b, uint64(e.Time.Nanosecond()))
	b = binary.AppendVarint(b, int64(offset))
	b = binary.AppendVarint(b, e.Published.Unix()-e.Time.Unix())
	b = binary.AppendUvarint(b, uint64(e.Published.Nanosecond()))
	b = binary.AppendUvarint(b, e.CutBytes)
	before := texts(prev)
	for i, text := range texts(e) {
		if before[i] != nil && *text == *before[i] {
			b = append(b, 0)
		} else {
			b = append(binary.AppendUvarint(b, uint64(len(*text))+1), *text...)
		}
	}
	return append(b, e.Message...)
}

// kept is a block as Redis has it, or, without its data, what its label tells of it.
type kept struct {
	data    string
	entries int
	bytes   int    // of the data, before it was compressed
	last    uint64 // position of its last entry
	at      int64  // publish time of its last entry, in nanoseconds
}

// first is the position of its first entry.
func (b *kept) first() uint64 { return b.last - uint64(b.entries) + 1 }

// parseLabel reads a label, see state.lua. It is not ok for text that is none.
func parseLabel(text string) (b kept, ok bool) {
	m := []byte(text)
	if len(m) != labelSize {
		return kept{}, false
	}
	b = kept{
		at: int64(binary.BigEndian.Uint64(m) ^ 1<<63), last: binary.BigEndian.Uint64(m[8:]),
		entries: int(binary.BigEndian.Uint32(m[16:])), bytes: int(binary.BigEndian.Uint32(m[20:])),
	}
	return b, b.entries > 0 && uint64(b.entries) <= b.last
}

// blocksOf takes the reply of XRANGE. What is no block of ours is left out.
func blocksOf(reply []redis.XMessage) []kept {
	blocks := make([]kept, 0, len(reply))
	for _, message := range reply {
		for label, data := range message.Values {
			b, ok := parseLabel(label)
			b.data, _ = data.(string)
			if ok && b.entries <= mostExpanded*len(b.data) && len(message.Values) == 1 {
				blocks = append(blocks, b)
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
	e.Partial, e.Level = format&formatPartial != 0, sdk.Level(format>>levelShift&levelMask)
	e.Source = sdk.Source(d.uvarint())
	seconds, nanos, offset := d.varint(), d.uvarint(), d.varint()
	e.Time = sdk.At(seconds, int64(nanos), int(int32(offset)))
	seconds += d.varint()
	e.Published = time.Unix(seconds, int64(d.uvarint())).UTC()
	e.CutBytes = d.uvarint()
	before := texts(prev)
	for i, text := range texts(e) {
		if n := d.uvarint(); n > 0 {
			*text = d.text(n - 1)
		} else if d.corrupt = d.corrupt || prev == nil; !d.corrupt {
			*text = *before[i]
		}
	}
	e.Message = d.rest
	if d.corrupt || format&^(formatPartial|levelMask<<levelShift) != formatEntry || e.Valid() != nil {
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
