package redis

import (
	"encoding/binary"
	"math"
	"slices"
	"time"
	"unsafe"

	"github.com/golang/snappy"
	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

const (
	// blockBytes is about how much text a block has at most.
	blockBytes = 32 << 10
	// blockShare bounds a block to this fraction of the kept entries, since blocks leave as a
	// whole.
	blockShare = 16
	// blockSpan is the most time between the publish times of a block's entries. The shorter it
	// is, the fewer blocks overlap, which trim compares to tell which entries are the oldest.
	blockSpan = time.Second
	// labelSize is the size of a block's label, see state.lua.
	labelSize = 36
	// mostExpanded is more than the number of bytes that Snappy expands one to.
	mostExpanded = 64
	// unreadable is the message that replaces an entry that cannot be read.
	unreadable = "(the entry in this place cannot be read)"
)

// block holds consecutive entries of one app, as the SDK encodes them, compressed by Snappy. A
// pointer to it goes into a command without an allocation; a slice of bytes would need one.
type block struct {
	data    []byte
	entries int
	label   [labelSize]byte // without its position
}

// MarshalBinary implements [encoding.BinaryMarshaler], which go-redis calls to write the block.
func (b *block) MarshalBinary() ([]byte, error) { return b.data, nil }

// encode makes a block of the first entries, at most most of them, and appends its data to buffer.
// It encodes into raw first. The entries of a block are in the order of publishing.
func encode(buffer, raw []byte, entries []sdk.Entry, most int) (b block, grown, rawGrown []byte) {
	n, size, stated := 0, 0, int64(math.MinInt64)
	first := published(&entries[0])
	last := first
	for ; n < min(most, len(entries)) && size < blockBytes; n++ {
		e := &entries[n]
		at := published(e)
		if at < last || at-first > int64(blockSpan) {
			break
		}
		last, size, stated = at, size+sizeOf(e), max(stated, e.Time.UnixMicro())
	}
	raw, _ = sdk.AppendEntries(raw[:0], entries[:n]) // the SDK hands over only valid entries
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

// published returns the publish time by which entries are ordered, in nanoseconds.
func published(e *sdk.Entry) int64 {
	if e.Published.IsZero() {
		return 0
	}
	return e.Published.UnixNano()
}

// timeText returns a time as labels have it: as bytes that sort by time.
func timeText(t int64) string { return string(binary.BigEndian.AppendUint64(nil, uint64(t)^1<<63)) }

// sizeOf returns about how many bytes an entry takes.
func sizeOf(e *sdk.Entry) int {
	return 48 + len(e.Process) + len(e.Release) + len(e.Pod) + len(e.Container) + len(e.Stream) + len(e.Host) + len(e.Message)
}

// kept holds a block as Redis has it, or, without its data, what its label says.
type kept struct {
	data    string
	entries int
	bytes   int    // of the data, before it was compressed
	last    uint64 // position of its last entry
	at      int64  // publish time of its last entry, in nanoseconds
	span    int64  // since that of its first
}

// first returns the position of its first entry.
func (b kept) first() uint64 { return b.last - uint64(b.entries) + 1 }

// parseLabel reads a label, see state.lua. ok is false for text that is no label.
func parseLabel(text string) (b kept, ok bool) {
	m := []byte(text)
	if len(m) != labelSize {
		return kept{}, false
	}
	b = kept{
		at: int64(binary.BigEndian.Uint64(m) ^ 1<<63), last: binary.BigEndian.Uint64(m[8:]),
		entries: int(binary.BigEndian.Uint32(m[16:])), bytes: int(binary.BigEndian.Uint32(m[20:])),
		span: int64(binary.BigEndian.Uint32(m[24:])),
	}
	return b, b.entries > 0 && uint64(b.entries) <= b.last
}

// blocksOf reads the reply of XRANGE. It skips what is no block of ours.
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

// raw returns the uncompressed data, or nothing if it is damaged.
func (b kept) raw() string {
	data := unsafe.Slice(unsafe.StringData(b.data), len(b.data)) //nolint:gosec // G103: only read
	if n, err := snappy.DecodedLen(data); err != nil || n > mostExpanded*len(data) {
		return ""
	}
	raw, _ := snappy.Decode(nil, data)
	return unsafe.String(unsafe.SliceData(raw), len(raw)) //nolint:gosec // G103: nobody else has it
}

// decode appends the entries of the block, in their order. The entries of a damaged block are
// replaced, not dropped: the positions of others depend on them, and a reader is told.
func (b kept) decode(entries []sdk.Entry) []sdk.Entry {
	had := len(entries)
	entries = append(entries, make([]sdk.Entry, b.entries)...)
	err := sdk.ParseEntries(b.raw(), entries[had:])
	for i := range b.entries {
		e := &entries[had+i]
		if err != nil {
			at := time.Unix(0, b.at).UTC()
			*e = sdk.Entry{Time: at, Published: at, Message: unreadable}
		}
		e.Position = b.first() + uint64(i)
	}
	return entries
}
