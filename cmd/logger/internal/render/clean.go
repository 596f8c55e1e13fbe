package render

import (
	"strings"
	"unicode/utf8"
)

const (
	esc = 0x1b
	bel = 0x07
	can = 0x18
	sub = 0x1a

	// The C1 controls that begin or end a sequence, as runes: a terminal takes each for ESC and a
	// letter.
	c1DCS, c1SOS, c1CSI, c1ST, c1OSC, c1PM, c1APC = 0x90, 0x98, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f
)

// reset ends all colours.
const reset = "\x1b[0m"

// Clean removes from text whatever a terminal would obey instead of show: control characters (C0,
// DEL, C1), escape sequences with all that belongs to them, the marks that turn the direction of
// writing, and Unicode's tags, which nobody sees. Newlines and tab characters stay; a carriage
// return that ends no line, and whatever else begins a new line or page, becomes a space. Bytes
// that are no UTF-8 become U+FFFD. With colour, sequences that set colours and weights stay too,
// but none that hides text.
//
// The rest of an unfinished sequence is shown: nothing is swallowed while waiting for an end that
// never comes.
func Clean(s string, colour bool) string {
	i := harmless(s)
	if i == len(s) {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	b.WriteString(s[:i])
	for i < len(s) {
		if n := harmless(s[i:]); n > 0 {
			b.WriteString(s[i : i+n])
			i += n
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\r':
			rest := strings.TrimLeft(s[i:], "\r")
			i = len(s) - len(rest)
			if rest != "" && rest[0] != '\n' {
				b.WriteByte(' ')
			}
			continue
		case r == '\v', r == '\f', r == 0x85, r == 0x2028, r == 0x2029:
			b.WriteByte(' ')
		case r == esc || r >= 0x80 && r <= 0x9f:
			length, sgr := sequence(s[i:])
			if colour && sgr {
				b.WriteString("\x1b[")
				b.WriteString(s[i+size+boolInt(r == esc) : i+length])
			}
			i += length
			continue
		case r == utf8.RuneError && size <= 1:
			b.WriteRune(utf8.RuneError)
		case obeyed(r):
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// cleanField does what Clean does, for text that has to stay on one line.
func cleanField(s string) string {
	if harmless(s) == len(s) && !strings.ContainsAny(s, "\n\t") {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return ' '
		}
		return r
	}, Clean(s, false))
}

// obeyed reports whether the rune controls a terminal or misleads a reader's eye.
func obeyed(r rune) bool {
	switch {
	case r < ' ':
		return r != '\n' && r != '\t'
	case r >= 0x7f && r <= 0x9f:
		return true
	case r == 0x061c, r == 0x200e, r == 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // the direction of writing
		return true
	default: // annotations and tags, which are not shown
		return r >= 0xfff9 && r <= 0xfffb || r >= 0xe0000 && r <= 0xe007f
	}
}

// harmless returns how many bytes at the beginning of s are plain ASCII.
func harmless(s string) int {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\n' && c != '\t' || c >= 0x7f {
			return i
		}
	}
	return len(s)
}

// sequence measures the escape sequence that s begins with, an ESC or a C1 control, and reports
// whether it sets colours. If s begins with no whole sequence, the length is that of the ESC or C1
// control alone.
func sequence(s string) (length int, sgr bool) {
	r, n := utf8.DecodeRuneInString(s)
	if r == esc {
		if len(s) == 1 {
			return 1, false
		}
		switch c := s[1]; {
		case strings.IndexByte("[]PX^_", c) >= 0:
			r, n = rune(c)+0x40, 2
		case c >= 0x20 && c <= 0x2f: // such as the choice of a character set
			i := 2
			for i < len(s) && s[i] >= 0x20 && s[i] <= 0x2f {
				i++
			}
			if i < len(s) && s[i] >= 0x30 && s[i] <= 0x7e {
				return i + 1, false
			}
			return 1, false
		case c >= 0x30 && c <= 0x7e:
			return 2, false
		default:
			return 1, false
		}
	}
	switch r {
	case c1CSI:
		return controlSequence(s, n)
	case c1OSC, c1DCS, c1SOS, c1PM, c1APC:
		return controlString(s, n, r == c1OSC), false
	default:
		return n, false
	}
}

// maxColours is the longest run of parameters that a colour needs, with much to spare.
const maxColours = 64

func controlSequence(s string, n int) (length int, sgr bool) {
	i := n
	for i < len(s) && s[i] >= 0x30 && s[i] <= 0x3f {
		i++
	}
	params := s[n:i]
	for i < len(s) && s[i] >= 0x20 && s[i] <= 0x2f {
		i++
	}
	if i == len(s) || s[i] < 0x40 || s[i] > 0x7e {
		return n, false
	}
	sgr = s[i] == 'm' && len(params) == i-n && len(params) <= maxColours && !strings.ContainsAny(params, "<=>?") && !hides(params)
	return i + 1, sgr
}

// hides reports whether parameters of a colour make the text invisible (8).
func hides(params string) bool {
	for code := range attributes(params) {
		if code == 8 {
			return true
		}
	}
	return false
}

// controlString measures a string that a terminal does not show as text: a title, the target of a
// link, a picture. It ends with ST, a title also with BEL, or where a terminal would give up on it;
// never beyond the line.
func controlString(s string, n int, bell bool) int {
	for i := n; i < len(s); i++ {
		switch s[i] {
		case '\n':
			return n
		case bel:
			if bell {
				return i + 1
			}
		case can, sub:
			return i + 1
		case esc:
			if i+1 < len(s) && s[i+1] == '\\' {
				return i + 2
			}
			return i
		case 0xc2:
			if i+1 < len(s) && s[i+1] == c1ST {
				return i + 2
			}
		}
	}
	return n
}
