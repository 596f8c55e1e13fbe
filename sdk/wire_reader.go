package sdk

import (
	"errors"
	"math"
	"unicode/utf8"
)

// The errors of bytes that are no message of the contract.
var (
	errWire  = errors.New("not a message of the plugin contract: malformed protobuf")
	errUTF8  = errors.New("not a message of the plugin contract: text that is not valid UTF-8")
	errDepth = errors.New("not a message of the plugin contract: groups too deep")
)

// wireReader takes a message apart, from at on. After the first fault it is at its end.
type wireReader struct {
	text string
	at   int
	err  error
}

func (r *wireReader) fail(err error) {
	r.at = len(r.text)
	if r.err == nil {
		r.err = err
	}
}

func (r *wireReader) varint() uint64 {
	if r.at < len(r.text) && r.text[r.at] < 0x80 { // most are short
		r.at++
		return uint64(r.text[r.at-1])
	}
	return r.longVarint()
}

func (r *wireReader) longVarint() uint64 {
	rest := r.text[r.at:]
	var v uint64
	for i := 0; i < len(rest) && i < 10; i++ {
		c := rest[i]
		if i == 9 && c > 1 {
			break // more than 64 bits
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.at += i + 1
			return v
		}
	}
	r.fail(errWire)
	return 0
}

// field is the next field's tag, its number and wire type; ok is false at the end and
// after a fault.
func (r *wireReader) field() (tag uint64, ok bool) {
	if r.at < len(r.text) && r.text[r.at] >= 1<<3 && r.text[r.at] < 0x80 { // a number from 1 to 15
		r.at++
		return uint64(r.text[r.at-1]), true
	}
	return r.longField()
}

func (r *wireReader) longField() (tag uint64, ok bool) {
	if r.at == len(r.text) {
		return 0, false
	}
	tag = r.varint()
	if tag>>3 == 0 || tag>>3 > maxFieldNumber {
		r.fail(errWire)
	}
	return tag, r.err == nil
}

// maxFieldNumber is protobuf's.
const maxFieldNumber = 1<<29 - 1

// bytes is a field of wire type 2.
func (r *wireReader) bytes() string { return r.take(r.varint()) }

func (r *wireReader) take(n uint64) string {
	if n > uint64(len(r.text)-r.at) {
		r.fail(errWire)
		return ""
	}
	start := r.at
	r.at += int(n)
	return r.text[start:r.at]
}

func (r *wireReader) string() string {
	s := r.bytes()
	if !utf8.ValidString(s) {
		r.fail(errUTF8)
		return ""
	}
	return s
}

func (r *wireReader) fixed64() (v uint64) {
	for i, c := range []byte(r.take(8)) { // does not allocate
		v |= uint64(c) << (8 * i)
	}
	return v
}

// skip passes over the value of an unknown field, or of one of another wire type
// than it has.
func (r *wireReader) skip(tag uint64) { r.skipValue(tag, maxDepth) }

// maxDepth bounds groups within groups, as protobuf does.
const maxDepth = 10_000

func (r *wireReader) skipValue(tag uint64, depth int) {
	switch tag & 7 {
	case wireVarint:
		r.varint()
	case wireFixed64:
		r.take(8)
	case wireBytes:
		r.bytes()
	case wireFixed32:
		r.take(4)
	case wireGroup:
		if depth < 0 {
			r.fail(errDepth)
			return
		}
		for r.err == nil {
			inner := r.varint()
			switch {
			case inner>>3 == 0 || inner>>3 > math.MaxInt32:
				r.fail(errWire)
			case inner&7 != wireEnd:
				r.skipValue(inner, depth-1)
			case inner>>3 != tag>>3:
				r.fail(errWire)
			default:
				return
			}
		}
	default:
		r.fail(errWire)
	}
}

// count is how many fields with the tag the message has, as far as it can be read.
func count(message string, tag uint64) (n int) {
	r := wireReader{text: message}
	for {
		t, ok := r.field()
		if !ok {
			return n
		}
		if t == tag {
			n++
		}
		r.skip(t)
	}
}
