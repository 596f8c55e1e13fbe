package pipeline

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// unquote appends what the text stands for to dst, up to limit bytes, which may end inside a rune.
// It returns the length of the whole, and its last byte.
func (s *scanner) unquote(t *extent, dst []byte, limit int) (kept []byte, size int, last byte) {
	w := limited{b: dst, room: limit}
	raw := s.raw(t)
	for n := t.escape - t.start; ; {
		if t.ascii {
			w.write(raw[:n])
		} else {
			w.writeValid(raw[:n])
		}
		if raw = raw[n:]; len(raw) == 0 {
			return w.b, w.size, w.last
		}
		raw = w.unescape(raw)
		if n = bytes.IndexByte(raw, '\\'); n < 0 {
			n = len(raw)
		}
	}
}

// limited keeps the first bytes that are written to it, and counts all.
type limited struct {
	b          []byte
	room, size int
	last       byte
}

func (w *limited) write(b []byte) {
	if len(b) == 0 {
		return
	}
	w.size += len(b)
	w.last = b[len(b)-1]
	n := min(len(b), w.room)
	w.b = append(w.b, b[:n]...)
	w.room -= n
}

// writeValid writes b with U+FFFD in the place of each byte that is not part of valid UTF-8.
func (w *limited) writeValid(b []byte) {
	if utf8.Valid(b) {
		w.write(b)
		return
	}
	start := 0
	for i := 0; i < len(b); {
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 {
			w.write(b[start:i])
			w.write(replacement)
			start = i + 1
		}
		i += size
	}
	w.write(b[start:])
}

var replacement = []byte("\ufffd")

// unescape writes what the escape at the head of raw stands for, and returns the rest.
func (w *limited) unescape(raw []byte) []byte {
	c := raw[1]
	switch c {
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		r, _ := hex4(raw)
		raw = raw[6:]
		if utf16.IsSurrogate(r) {
			low := rune(0)
			if len(raw) >= 6 && raw[0] == '\\' && raw[1] == 'u' {
				low, _ = hex4(raw)
			}
			// A surrogate without its other half becomes U+FFFD, and what follows stands for
			// itself.
			if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
				raw = raw[6:]
			}
		}
		var b [utf8.UTFMax]byte
		w.write(b[:utf8.EncodeRune(b[:], r)])
		return raw
	}
	w.write([]byte{c})
	return raw[2:]
}

// oneLine returns the text without control characters. These could forge a line where the text is
// shown before one.
func oneLine(text string) string {
	if strings.IndexFunc(text, unicode.IsControl) < 0 {
		return text
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, text)
}
