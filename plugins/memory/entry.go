package memory

import (
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"

	"github.com/deis/logger/sdk"
)

// An encoded entry is the length and the checksum of what follows, four bytes each,
// then a byte of flags, what the flags announce, and the message.
const (
	entryHead = 8

	flagSource    = 0b11 // sourceOther: a byte of its own
	sourceOther   = 3
	flagStream    = 0b11 << 2 // streamOther: a text of its own
	streamOut     = 1 << 2
	streamErr     = 2 << 2
	streamOther   = 3 << 2
	flagPublished = 1 << 4
	flagCut       = 1 << 5
	// flagSame: process, release, pod and host are those of the entry before. The
	// first entry that begins in a block never has it.
	flagSame  = 1 << 6
	flagNanos = 1 << 7
)

// entryBound is at least the length of the entry's encoding.
func entryBound(e *sdk.Entry) int {
	const numbers = entryHead + 2 + 5*binary.MaxVarintLen64 + 8 + 5*binary.MaxVarintLen32
	return numbers + len(e.Process) + len(e.Release) + len(e.Pod) + len(e.Stream) + len(e.Host) + len(e.Message)
}

// appendEntry encodes the entry. The one before it in the block is prev, or nil.
func appendEntry(b []byte, e, prev *sdk.Entry) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0, 0) // head and flags, for now
	var flags byte
	if e.Source < sourceOther {
		flags |= byte(e.Source)
	} else {
		flags |= sourceOther
		b = append(b, byte(e.Source))
	}
	_, offset := e.Time.Zone()
	b = binary.AppendVarint(b, e.Time.Unix())
	b = binary.AppendVarint(b, int64(offset))
	if nanos := e.Time.Nanosecond(); nanos != 0 {
		flags |= flagNanos
		b = binary.AppendUvarint(b, uint64(nanos))
	}
	if !e.Published.IsZero() {
		flags |= flagPublished
		b = binary.LittleEndian.AppendUint64(b, uint64(e.Published.UnixNano()))
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
	if prev != nil && e.Pod == prev.Pod && e.Process == prev.Process && e.Release == prev.Release && e.Host == prev.Host {
		flags |= flagSame
	} else {
		b = appendText(b, e.Process)
		b = appendText(b, e.Release)
		b = appendText(b, e.Pod)
		b = appendText(b, e.Host)
	}
	b = append(b, e.Message...)
	b[start+entryHead] = flags
	body := b[start+entryHead:]
	binary.LittleEndian.PutUint32(b[start:], uint32(len(body)))
	binary.LittleEndian.PutUint32(b[start+4:], crc32.Checksum(body, castagnoli))
	return b
}

func appendText(b []byte, text string) []byte {
	b = binary.AppendUvarint(b, uint64(len(text)))
	return append(b, text...)
}

// decodeEntry reads into e what appendEntry wrote, without its head; prev is as
// there. Texts of the entry are parts of the body. It is false for anything else.
func decodeEntry(body string, prev, e *sdk.Entry) bool {
	d := decoder{rest: body, ok: true}
	flags := d.byte()
	e.Source = sdk.Source(flags & flagSource)
	if e.Source == sourceOther {
		e.Source = sdk.Source(d.byte())
	}
	seconds, offset := d.varint(), d.varint()
	nanos := uint64(0)
	if flags&flagNanos != 0 {
		nanos = d.uvarint()
	}
	if offset < math.MinInt32 || offset > math.MaxInt32 || nanos >= uint64(time.Second) {
		return false
	}
	e.Time = sdk.At(seconds, int64(nanos), int(offset))
	e.Published = time.Time{}
	if flags&flagPublished != 0 {
		e.Published = time.Unix(0, int64(d.fixed64())).UTC()
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
		e.Process, e.Release, e.Pod, e.Host = d.text(), d.text(), d.text(), d.text()
	case prev != nil:
		e.Process, e.Release, e.Pod, e.Host = prev.Process, prev.Release, prev.Pod, prev.Host
	default:
		return false
	}
	e.Message = d.rest
	return d.ok
}

// cutEntry gives the body of the encoded entry that the stream begins with, and the
// stream after it. It is false if the stream ends before.
func cutEntry(stream string) (body, rest string, ok bool) {
	if len(stream) < entryHead {
		return "", stream, false
	}
	n := uint64(stream[0]) | uint64(stream[1])<<8 | uint64(stream[2])<<16 | uint64(stream[3])<<24
	if n > uint64(len(stream)-entryHead) {
		return "", stream, false
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

func (d *decoder) text() string { return d.take(d.uvarint()) }
