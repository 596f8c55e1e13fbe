package redis

import (
	"encoding/binary"
	"errors"
	"math"
	"time"
	"unicode/utf8"

	"github.com/deis/logger/sdk"
)

// An entry is kept as one string: a byte for the format, numbers as varints, and
// texts with their length before them; the message, which comes last, has none.
//
//	format     1 byte, formatWhole or formatSame
//	source     uvarint
//	time       varint seconds since the Unix epoch, uvarint nanoseconds, varint offset
//	published  uvarint 0 for none, else 1 + nanoseconds; then varint seconds after time
//	cut        uvarint bytes
//	texts      process, release, pod, stream, host: uvarint length, bytes
//	message    the rest
//
// With formatSame there are no texts but the message: the others are those of the entry
// before it in its block, which most entries of a run have in common. The first of a block is
// whole.
const (
	formatWhole = 1
	formatSame  = 2
)

const nanosPerSecond = 1e9

// errCorrupt is the error of a value that no encoder of ours wrote.
var errCorrupt = errors.New("not an entry")

// appendEntry appends the kept form of the entry. The one before it in its block is prev,
// or nil.
func appendEntry(b []byte, e, prev *sdk.Entry) []byte {
	_, offset := e.Time.Zone()
	seconds := e.Time.Unix()
	alike := prev != nil && e.Pod == prev.Pod && e.Process == prev.Process && e.Release == prev.Release &&
		e.Stream == prev.Stream && e.Host == prev.Host
	if alike {
		b = append(b, formatSame)
	} else {
		b = append(b, formatWhole)
	}
	b = binary.AppendUvarint(b, uint64(e.Source))
	b = binary.AppendVarint(b, seconds)
	b = binary.AppendUvarint(b, uint64(e.Time.Nanosecond()))
	b = binary.AppendVarint(b, int64(offset))
	if e.Published.IsZero() {
		b = append(b, 0)
	} else {
		b = binary.AppendUvarint(b, uint64(e.Published.Nanosecond())+1)
		b = binary.AppendVarint(b, e.Published.Unix()-seconds)
	}
	b = binary.AppendUvarint(b, e.CutBytes)
	if !alike {
		for _, text := range [...]string{e.Process, e.Release, e.Pod, e.Stream, e.Host} {
			b = binary.AppendUvarint(b, uint64(len(text)))
			b = append(b, text...)
		}
	}
	return append(b, e.Message...)
}

// decode reads what appendEntry wrote into e, which is zero; prev is as there, and nil too
// if that cannot be read. The texts share the values' memory.
func decode(value string, e, prev *sdk.Entry) error {
	d := decoder{rest: value}
	format := d.byte()
	if format != formatWhole && (format != formatSame || prev == nil) {
		return errCorrupt
	}
	e.Source = sdk.Source(d.below(math.MaxUint8 + 1))
	seconds := d.varint()
	nanos := d.below(nanosPerSecond)
	offset := d.varint()
	if offset != int64(int32(offset)) {
		d.corrupt = true
	}
	if published := d.below(nanosPerSecond + 1); published > 0 {
		e.Published = time.Unix(seconds+d.varint(), int64(published-1)).UTC()
	}
	e.CutBytes = d.uvarint()
	same := format == formatSame // the texts of prev are known to be valid
	if same {
		e.Process, e.Release, e.Pod, e.Stream, e.Host = prev.Process, prev.Release, prev.Pod, prev.Stream, prev.Host
	} else {
		e.Process = d.text()
		e.Release = d.text()
		e.Pod = d.text()
		e.Stream = d.text()
		e.Host = d.text()
	}
	e.Message = d.rest
	e.Time = sdk.At(seconds, int64(nanos), int(offset))
	if d.corrupt || same && !utf8.ValidString(e.Message) || !same && e.Valid() != nil {
		return errCorrupt
	}
	return nil
}

// decoder takes a value apart. After the first fault everything it answers is zero.
type decoder struct {
	rest    string
	corrupt bool
}

func (d *decoder) byte() byte {
	if d.rest == "" {
		d.corrupt = true
		return 0
	}
	c := d.rest[0]
	d.rest = d.rest[1:]
	return c
}

func (d *decoder) uvarint() uint64 {
	if d.rest != "" && d.rest[0] < 0x80 { // most are short
		x := uint64(d.rest[0])
		d.rest = d.rest[1:]
		return x
	}
	var x uint64
	for shift := 0; shift < 64; shift += 7 {
		c := d.byte()
		if shift == 63 && c > 1 {
			break
		}
		x |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return x
		}
	}
	d.corrupt = true
	return 0
}

func (d *decoder) varint() int64 {
	x := d.uvarint()
	return int64(x>>1) ^ -int64(x&1)
}

func (d *decoder) below(bound uint64) uint64 {
	x := d.uvarint()
	if x >= bound {
		d.corrupt = true
		return 0
	}
	return x
}

func (d *decoder) text() string {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.corrupt = true
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}
