package pipeline

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// maxDepth bounds how deep a message may nest, counting the object that it is.
const maxDepth = 10_000

// scanner walks through one JSON text (RFC 8259) once, from front to back, and checks all of it. It
// accepts invalid UTF-8 and lone surrogates inside strings, which become U+FFFD where text is kept,
// and equal names in an object. Its memory does not grow, whatever it reads.
//
// A method that reads something is called with the scanner on the first byte of it, and leaves the
// scanner behind the last when it returns true. When it returns false, the text is malformed at i,
// for the reason in fault.
type scanner struct {
	b      []byte
	i      int
	fault  string
	nameAt int // where the last name begins
	// objects has a bit for each depth, which skip uses: whether what is open there is an object.
	objects [maxDepth/64 + 1]uint64
}

func (s *scanner) reset(b []byte) { s.b, s.i, s.fault = b, 0, "" }

func (s *scanner) fail(fault string) bool {
	s.fault = fault
	return false
}

// space goes to the next byte that is not white space and returns it; 0 at the end.
func (s *scanner) space() byte {
	b := s.b
	for i := s.i; i < len(b); i++ {
		if c := b[i]; c > ' ' || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			s.i = i
			return c
		}
	}
	s.i = len(b)
	return 0
}

// nextLine goes to the next line that begins with an object, or to the end.
func (s *scanner) nextLine() {
	end := bytes.Index(s.b[s.i:], []byte("\n{"))
	if end < 0 {
		s.i = len(s.b)
		return
	}
	s.i += end + 1
}

// extent tells where a string is, as it is written between its quotes. Like everything in fields it
// has no pointer, so that moving it is cheap.
type extent struct {
	start, end int
	// escape is where the first escape begins; end without one.
	escape int
	// ascii says that the text is all ASCII.
	ascii bool
}

// verbatim reports whether the string stands for itself, byte by byte.
func (t *extent) verbatim() bool { return t.ascii && t.escape == t.end }

func (s *scanner) raw(t *extent) []byte { return s.b[t.start:t.end] }

const (
	everyByte = 0x0101_0101_0101_0101
	highBits  = everyByte << 7
)

// special marks, by their high bits, the quotes, backslashes and control characters among eight
// bytes. The lowest mark, and all bits below it, are right; what is above it may be wrong.
func special(w uint64) uint64 {
	quote := w ^ '"'*everyByte
	backslash := w ^ '\\'*everyByte
	return ((quote-everyByte)&^quote | (backslash-everyByte)&^backslash | (w-' '*everyByte)&^w) & highBits
}

// str reads a string.
func (s *scanner) str(t *extent) bool {
	b := s.b
	i := s.i + 1
	t.start, t.escape = i, -1
	for high := uint64(0); ; {
		for i+8 <= len(b) {
			w := binary.LittleEndian.Uint64(b[i:])
			if m := special(w); m != 0 {
				n := bits.TrailingZeros64(m) &^ 7
				high |= w & (1<<n - 1) // of the bytes before it
				i += n / 8
				break
			}
			high |= w
			i += 8
		}
		for i < len(b) && b[i] >= ' ' && b[i] != '"' && b[i] != '\\' {
			high |= uint64(b[i])
			i++
		}
		s.i = i
		if i == len(b) {
			return s.fail("string without an end")
		}
		switch b[i] {
		case '"':
			s.i = i + 1
			t.end, t.ascii = i, high&highBits == 0
			if t.escape < 0 {
				t.escape = i
			}
			return true
		case '\\':
			if t.escape < 0 {
				t.escape = i
			}
			n := escapeLen(b[i:])
			if n == 0 {
				return s.fail("no such escape")
			}
			i += n
		default:
			return s.fail("control character in a string")
		}
	}
}

// escapeLen returns the length of the escape at the beginning of b; 0 if there is none.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b); ok {
			return 6
		}
	}
	return 0
}

// hex4 returns the number in an escape of the form \uXXXX.
func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 6 {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// name reads a name in an object, and goes on to its value.
func (s *scanner) name(t *extent) bool {
	if s.space() != '"' {
		return s.fail("want a name")
	}
	s.nameAt = s.i
	if !s.str(t) {
		return false
	}
	if s.space() != ':' {
		return s.fail("want a colon")
	}
	s.i++
	s.space()
	return true
}

// literal reads null, true or false.
func (s *scanner) literal(word string) bool {
	if rest := s.b[s.i:]; len(rest) < len(word) || string(rest[:len(word)]) != word {
		return s.fail("want a value")
	}
	s.i += len(word)
	return true
}

// number reads a number of any size: nobody asks for its value.
func (s *scanner) number() bool {
	if s.peek() == '-' {
		s.i++
	} else if c := s.peek(); c < '0' || c > '9' {
		return s.fail("want a value")
	}
	if s.peek() == '0' {
		s.i++
	} else if !s.digits() {
		return false
	}
	if s.peek() == '.' {
		s.i++
		if !s.digits() {
			return false
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		return s.digits()
	}
	return true
}

func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

// digits reads one or more digits.
func (s *scanner) digits() bool {
	start := s.i
	for c := s.peek(); '0' <= c && c <= '9'; c = s.peek() {
		s.i++
	}
	return s.i > start || s.fail("want a digit")
}

// skip reads a value of any kind that is in an object or array at the depth.
func (s *scanner) skip(depth int) bool {
	var t extent
	for base := depth; ; {
		switch s.space() { // a value begins
		case '"':
			if !s.str(&t) {
				return false
			}
		case '{', '[':
			if depth++; depth > maxDepth {
				return s.fail("nested too deep")
			}
			object := s.b[s.i] == '{'
			s.open(depth, object)
			s.i++
			if c := s.space(); object && c == '}' || !object && c == ']' {
				s.i++
				depth--
				break
			}
			if object && !s.name(&t) {
				return false
			}
			continue
		case 'n':
			if !s.literal("null") {
				return false
			}
		case 't':
			if !s.literal("true") {
				return false
			}
		case 'f':
			if !s.literal("false") {
				return false
			}
		default:
			if !s.number() {
				return false
			}
		}
		// The value has ended, and so may have what it is in.
		for ; depth > base; depth-- {
			object := s.isObject(depth)
			c := s.space()
			if c == ',' {
				s.i++
				if object && !s.name(&t) {
					return false
				}
				break
			}
			if object && c != '}' || !object && c != ']' {
				return s.fail("want a comma or an end")
			}
			s.i++
		}
		if depth == base {
			return true
		}
	}
}

func (s *scanner) open(depth int, object bool) {
	bit := uint64(1) << (depth % 64)
	s.objects[depth/64] &^= bit
	if object {
		s.objects[depth/64] |= bit
	}
}

func (s *scanner) isObject(depth int) bool { return s.objects[depth/64]>>(depth%64)&1 == 1 }
