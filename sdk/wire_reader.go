package sdk

import (
	"errors"
	"unicode/utf8"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// The errors of bytes that are no message of the contract.
var (
	errWire = errors.New("malformed protobuf")
	errUTF8 = errors.New("text that is not valid UTF-8")
)

// wireReader takes a message apart, field by field, from at on. After the first fault it is at
// its end.
type wireReader struct {
	b   []byte
	at  int
	err error
}

// newWireReader reads a message, which is not written to.
func newWireReader(message string) wireReader {
	return wireReader{b: unsafe.Slice(unsafe.StringData(message), len(message))} //nolint:gosec // G103: only read
}

func (r *wireReader) fail(err error) {
	r.at = len(r.b)
	if r.err == nil {
		r.err = err
	}
}

// tag holds a field's number and wire type, as they are on the wire.
type tag uint64

func tagOf(field protowire.Number, t protowire.Type) tag { return tag(protowire.EncodeTag(field, t)) }

// field reads the next field's tag; ok is false at the end and after a fault.
func (r *wireReader) field() (t tag, ok bool) {
	if r.at == len(r.b) {
		return 0, false
	}
	if b := r.b[r.at]; b >= 1<<3 && b < 0x80 && b&7 <= 5 { // nearly always
		r.at++
		return tag(b), true
	}
	num, typ, n := protowire.ConsumeTag(r.b[r.at:])
	if n < 0 || num > protowire.MaxValidNumber {
		r.fail(errWire)
		return 0, false
	}
	r.at += n
	return tagOf(num, typ), true
}

// advance goes n bytes on; a negative n is protowire's word for a fault.
func (r *wireReader) advance(n int) {
	if n < 0 {
		r.fail(errWire)
		return
	}
	r.at += n
}

func (r *wireReader) varint() uint64 {
	if r.at < len(r.b) && r.b[r.at] < 0x80 { // most are short
		r.at++
		return uint64(r.b[r.at-1])
	}
	v, n := protowire.ConsumeVarint(r.b[r.at:])
	r.advance(n)
	return v
}

func (r *wireReader) fixed64() uint64 {
	v, n := protowire.ConsumeFixed64(r.b[r.at:])
	r.advance(n)
	return v
}

// bytes reads a field of bytes, in the message's own memory.
func (r *wireReader) bytes() string {
	b, n := protowire.ConsumeBytes(r.b[r.at:])
	r.advance(n)
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // G103: nobody writes to the message
}

func (r *wireReader) string() string {
	s := r.bytes()
	if !utf8.ValidString(s) {
		r.fail(errUTF8)
		return ""
	}
	return s
}

// skip passes over the value of an unknown field, or of one of another wire type than it
// should have.
func (r *wireReader) skip(t tag) {
	num, typ := protowire.DecodeTag(uint64(t))
	r.advance(protowire.ConsumeFieldValue(num, typ, r.b[r.at:]))
}

// count returns how many fields with the tag the message has, as far as it can be read.
func count(message string, wanted tag) (n int) {
	r := newWireReader(message)
	for t, ok := r.field(); ok; t, ok = r.field() {
		if t == wanted {
			n++
		}
		r.skip(t)
	}
	return n
}
