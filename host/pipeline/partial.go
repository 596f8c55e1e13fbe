package pipeline

import "unicode/utf8"

// dockerPiece is the size, in bytes, of the pieces that Docker cuts a long line into. Docker may
// cut a rune at each end. Each of the up to three bytes that are left there becomes the three bytes
// of U+FFFD, for which dockerMended leaves room.
const dockerPiece, dockerMended = 16 << 10, 2 * (utf8.UTFMax - 1) * 2

// tag reads CRI's tag of a line: P if the line goes on in the next record, F if it does not. More
// tags may follow behind a colon. A value that is not a tag changes nothing.
func (s *scanner) tag(tag *byte) bool {
	var t extent
	if !s.optional(&t, 1) {
		return false
	}
	var b [2]byte
	is, _, _ := s.unquote(&t, b[:0], len(b))
	if len(is) > 0 && (is[0] == 'P' || is[0] == 'F') && (len(is) == 1 || is[1] == ':') {
		*tag = is[0]
	}
	return true
}

// partial reports whether the text is a piece of a line, other than its last. size is without the
// final newline. Docker writes no tags: all pieces but the last lack the final newline. Some
// collectors cut the newline off whole lines too, so without a tag the size has to fit.
func (d *decoder) partial(log *value, size uint64) bool {
	f := &d.fields
	if f.tag != 0 {
		return f.tag == 'P'
	}
	if size < dockerPiece || size > dockerPiece+dockerMended || log != &f.texts[logKey] || log.kind != stringOf {
		return false
	}
	_, _, last := d.scan.unquote(&log.extent, nil, 0)
	return last != '\n'
}
