package memory

import (
	"encoding/binary"
	"hash/crc32"
	"hash/maphash"
	"math"
	"math/bits"
	"time"

	"github.com/deis/logger/sdk"
)

// An encoded entry is the length and the checksum of what follows, four bytes each,
// then the publish time, a byte of flags, the time with the level, what the flags announce, and the
// message.
const (
	entryHead = 8
	// entryFlags is where the flags are, after the publish time in nanoseconds.
	entryFlags = entryHead + 8
	// entryStart is the greatest length of everything up to the position.
	entryStart = entryFlags + 1 + binary.MaxVarintLen64

	flagSource  = 0b11 // sourceOther: twice its number follows, and 1 more for a piece of a line
	sourceOther = 3
	flagStream  = 0b11 << 2 // streamOther: a text of its own
	streamOut   = 1 << 2
	streamErr   = 2 << 2
	streamOther = 3 << 2
	// flagJump: the position is not one above that of the entry before in the run. The number of
	// positions between follows.
	flagJump = 1 << 4
	flagCut  = 1 << 5
	// flagSame: process, release, pod, container and host are those of the entry before.
	// The first entry that begins in a block never has it.
	flagSame  = 1 << 6
	flagNanos = 1 << 7

	// levelBits is the number of bits, below the offset from UTC, that hold the level. In UTC,
	// where most times are, the level takes no byte of its own.
	levelBits = 3
	levelMask = 1<<levelBits - 1
)

// nanos returns a time in nanoseconds since the Unix epoch; 0 for no time.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// timeNanos returns an entry's own time in nanoseconds since the Unix epoch. The time may be in any
// year: one that int64 has no room for becomes the first or the last that it has.
func timeNanos(t time.Time) int64 {
	switch seconds := t.Unix(); {
	case seconds <= math.MinInt64/int64(time.Second):
		return math.MinInt64
	case seconds >= math.MaxInt64/int64(time.Second):
		return math.MaxInt64
	}
	return t.UnixNano()
}

// entryBound returns at least the length of the entry's encoding.
func entryBound(e *sdk.Entry) int {
	const numbers = entryStart + 2 + 4*binary.MaxVarintLen64 + 6*binary.MaxVarintLen32
	return numbers + len(e.Process) + len(e.Release) + len(e.Pod) + len(e.Container) + len(e.Stream) + len(e.Host) + len(e.Message)
}

// appendEntry encodes the entry, as published at that time. Jump positions are left out before its
// own. Same says that the texts of flagSame are those of the entry before it in the block.
func appendEntry(b []byte, e *sdk.Entry, published int64, jump uint64, same bool) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0) // head, for now
	b = binary.LittleEndian.AppendUint64(b, uint64(published))
	b = append(b, 0) // flags, for now
	var flags byte
	if jump != 0 {
		flags |= flagJump
		b = binary.AppendUvarint(b, jump)
	}
	_, offset := e.Time.Zone()
	b = binary.AppendVarint(b, e.Time.Unix())
	b = binary.AppendVarint(b, int64(offset)<<levelBits|int64(e.Level&levelMask))
	if n := e.Time.Nanosecond(); n != 0 {
		flags |= flagNanos
		b = binary.AppendUvarint(b, uint64(n))
	}
	switch {
	case e.Partial:
		flags |= sourceOther
		b = binary.AppendUvarint(b, uint64(e.Source)<<1|1)
	case e.Source >= sourceOther:
		flags |= sourceOther
		b = binary.AppendUvarint(b, uint64(e.Source)<<1)
	default:
		flags |= byte(e.Source)
	}
	if e.CutBytes != 0 {
		flags |= flagCut
		b = binary.AppendUvarint(b, e.CutBytes)
	}
	switch e.Stream {
	case "":
	case "stdout":
		flags |= streamOut
	case "stderr":
		flags |= streamErr
	default:
		flags |= streamOther
		b = appendText(b, e.Stream)
	}
	if same {
		flags |= flagSame
	} else {
		for _, text := range [...]string{e.Process, e.Release, e.Pod, e.Container, e.Host} {
			b = appendText(b, text)
		}
	}
	b = append(b, e.Message...)
	b[start+entryFlags] = flags
	body := b[start+entryHead:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(body)))
	binary.LittleEndian.PutUint32(b[start+4:], crc32.Checksum(body, castagnoli))
	return b
}

// sameTexts reports whether flagSame may be set for an entry that comes after the other.
func sameTexts(e, f *sdk.Entry) bool {
	return e.Pod == f.Pod && e.Process == f.Process && e.Release == f.Release && e.Container == f.Container && e.Host == f.Host
}

var textSeed = maphash.MakeSeed()

// hashTexts returns a hash of what sameTexts compares; never 0. Equal hashes of different texts are
// far less likely than a broken machine.
func hashTexts(e *sdk.Entry) uint64 {
	var h uint64
	for _, text := range [...]string{e.Process, e.Release, e.Pod, e.Container, e.Host} {
		h = bits.RotateLeft64(h, 23)*0x9e37_79b9_7f4a_7c15 ^ maphash.String(textSeed, text)
	}
	return max(1, h)
}

func appendText(b []byte, text string) []byte {
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

// decodeEntry reads into e what appendEntry wrote, without its head. prev is the entry before it in
// the block, if any. The texts of e are parts of the body. Its position becomes the number of
// positions that are left out before it. decodeEntry returns false for anything else.
func decodeEntry(body string, prev, e *sdk.Entry) bool {
	d := decoder{rest: body, ok: true}
	e.Published = time.Time{}
	if published := int64(d.fixed64()); published != 0 {
		e.Published = time.Unix(0, published).UTC()
	}
	flags := d.byte()
	e.Position = 0
	if flags&flagJump != 0 {
		e.Position = d.uvarint()
	}
	e.Time, e.Level = d.time(flags)
	e.Source, e.Partial = sdk.Source(flags&flagSource), false
	if e.Source == sourceOther {
		other := d.uvarint()
		e.Source, e.Partial = sdk.Source(other>>1), other&1 != 0
	}
	e.CutBytes = 0
	if flags&flagCut != 0 {
		e.CutBytes = d.uvarint()
	}
	switch flags & flagStream {
	case streamOut:
		e.Stream = "stdout"
	case streamErr:
		e.Stream = "stderr"
	case streamOther:
		e.Stream = d.text()
	default:
		e.Stream = ""
	}
	switch {
	case flags&flagSame == 0:
		e.Process, e.Release, e.Pod, e.Container, e.Host = d.text(), d.text(), d.text(), d.text(), d.text()
	case prev != nil:
		e.Process, e.Release, e.Pod, e.Container, e.Host = prev.Process, prev.Release, prev.Pod, prev.Container, prev.Host
	default:
		return false
	}
	e.Message = d.rest
	return d.ok
}

// entryTime returns the time of the encoded entry, which need not be whole. It returns false if the
// time is not.
func entryTime(body string) (int64, bool) {
	d := decoder{rest: body, ok: true}
	d.take(entryFlags - entryHead)
	flags := d.byte()
	if flags&flagJump != 0 {
		d.uvarint()
	}
	t, _ := d.time(flags)
	return timeNanos(t), d.ok
}

// cutEntry returns the body of the encoded entry that the stream begins with, and the rest of the
// stream. It returns false if the stream ends too soon.
func cutEntry(stream string) (body, rest string, ok bool) {
	if len(stream) < entryHead {
		return "", "", false
	}
	n := uint64(stream[0]) | uint64(stream[1])<<8 | uint64(stream[2])<<16 | uint64(stream[3])<<24
	if n > uint64(len(stream)-entryHead) {
		return "", "", false
	}
	return stream[entryHead : entryHead+n], stream[entryHead+n:], true
}

// decoder reads from the front of what is left; ok is false once that was too short.
type decoder struct {
	rest string
	ok   bool
}

func (d *decoder) take(n uint64) string {
	if n > uint64(len(d.rest)) {
		d.rest, d.ok = "", false
		return ""
	}
	part := d.rest[:n]
	d.rest = d.rest[n:]
	return part
}

func (d *decoder) byte() byte {
	if b := d.take(1); d.ok {
		return b[0]
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	if len(d.rest) > 0 && d.rest[0] < 0x80 { // nearly always
		v := d.rest[0]
		d.rest = d.rest[1:]
		return uint64(v)
	}
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		b := d.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	d.ok = false
	return 0
}

func (d *decoder) varint() int64 {
	v := d.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (d *decoder) fixed64() uint64 {
	b := d.take(8)
	if !d.ok {
		return 0
	}
	return binary.LittleEndian.Uint64([]byte(b))
}

// time returns an entry's own time, and its level.
func (d *decoder) time(flags byte) (time.Time, sdk.Level) {
	seconds, offset, n := d.varint(), d.varint(), uint64(0)
	level := sdk.Level(offset & levelMask)
	offset >>= levelBits
	if flags&flagNanos != 0 {
		n = d.uvarint()
	}
	if offset < math.MinInt32 || offset > math.MaxInt32 || n >= uint64(time.Second) {
		d.ok = false
		return time.Time{}, sdk.LevelUnknown
	}
	return sdk.At(seconds, int64(n), int(offset)), level
}

func (d *decoder) text() string { return d.take(d.uvarint()) }
