package level

import (
	"strings"

	"github.com/deis/logger/sdk"
)

const (
	// headBytes bounds the distance of a level from the beginning of a line, or from a pair of
	// logfmt.
	headBytes = 200
	// mostWords bounds the words before a level, apart from those in brackets.
	mostWords = 2
	// epochDigits is the least number of digits of a time in seconds since the Unix epoch.
	epochDigits = 9
)

// Of returns the level that the text of a line states, or [sdk.LevelUnknown].
func Of(text string) sdk.Level {
	if l := ofStart(text); l != sdk.LevelUnknown {
		return l
	}
	h := head{text: text, limit: min(len(text), headBytes), start: true, stance: anyForm}
	return h.level()
}

// ofStart returns the level of a line whose first bytes tell its form.
func ofStart(text string) sdk.Level {
	if len(text) < 4 {
		return sdk.LevelUnknown
	}
	switch c := text[0]; c {
	case '<': // syslog: <PRI>
		n, i := 0, 1
		for ; i < 4 && text[i] >= '0' && text[i] <= '9'; i++ {
			n = n*10 + int(text[i]-'0')
		}
		if i > 1 && n < 192 && i < len(text) && text[i] == '>' {
			return severity(n % 8)
		}
	case 'D', 'I', 'W', 'E', 'F':
		switch {
		case text[1:4] == ", [": // Ruby: I, [2024-01-01T10:00:00 #1]  INFO -- : text
			return initial(c)
		case len(text) > 6 && digits(text[1:5]) && text[5] == ' ' && digits(text[6:7]): // klog: I0912 10:00:00
			return initial(c)
		}
	}
	return sdk.LevelUnknown
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// stance says which words would be a level in the next place.
type stance uint8

const (
	noForm stance = iota
	// capitals accepts a word in capitals.
	capitals
	// anyForm accepts a word in capitals, and one in small letters with a colon, bars or brackets.
	anyForm
)

// head goes over the beginning of a line token by token, until it finds the level or a token that
// does not occur in a head.
type head struct {
	text   string
	i      int
	limit  int // of i
	stance stance
	start  bool // no token has passed yet
	dated  bool // a time has passed
	closer byte // closes the open brackets; 0 outside
	words  int  // that have passed outside brackets
	escape int  // where the last escape sequence ends
}

// class says what a byte may begin.
type class uint8

const (
	other class = iota // a path, a name
	space
	letter
	digit
	mark // punctuation that may stand before a level
	opening
	closing
	brace
	quote
	escape
)

var classes = func() (c [256]class) {
	for b := range c {
		switch {
		case b == ' ', b == '\t', b == '\r', b == '\n':
			c[b] = space
		case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z':
			c[b] = letter
		case b >= '0' && b <= '9':
			c[b] = digit
		case b >= 0x80: // ticks, crosses, bullets
			c[b] = mark
		}
	}
	for class, bytes := range map[class]string{
		mark: "-|*#!>=~,;:+", opening: "[(", closing: "])", brace: "{", quote: "\"'`", escape: "\x1b",
	} {
		for i := range len(bytes) {
			c[bytes[i]] = class
		}
	}
	return c
}()

func (h *head) level() sdk.Level {
	for h.i < h.limit {
		c := h.text[h.i]
		switch classes[c] {
		case space:
			h.i++
		case letter:
			if l, on := h.word(); !on {
				return l
			}
		case digit:
			if !h.number() {
				return sdk.LevelUnknown
			}
		case mark:
			next := classes[h.at(h.i+1)]
			switch {
			case c == '-' && next == letter: // an option
				return sdk.LevelUnknown
			case c == '-' || c == '|':
				h.stance = anyForm
			case c == ':' && next == letter && h.closer != 0: // [core:error]
				h.stance = anyForm
			}
			h.i++
		case opening:
			if next := classes[h.at(h.i+1)]; next == quote || next == brace {
				return sdk.LevelUnknown // data
			}
			h.start, h.stance, h.closer = false, anyForm, ']'
			if c == '(' {
				h.closer = ')'
			}
			h.i++
		case closing:
			h.stance, h.closer = anyForm, 0
			h.i++
		case brace:
			if h.closer != 0 {
				return sdk.LevelUnknown
			}
			return ofObject(h.text[h.i:], false)
		case escape:
			h.i = h.skipEscapes(h.i)
			h.escape = h.i
		case other:
			switch {
			case classes[h.at(h.i+1)] != letter:
				h.i++
			case c == '/' && h.closer != 0: // [main/INFO]
				h.stance = capitals
				h.i++
			case !h.ordinary(h.i):
				return sdk.LevelUnknown
			}
		case quote:
			return sdk.LevelUnknown
		}
	}
	return sdk.LevelUnknown
}

// at returns the byte at i, or 0 after the end.
func (h *head) at(i int) byte {
	if i < len(h.text) {
		return h.text[i]
	}
	return 0
}

// skipEscapes returns the index after the escape sequences at i.
func (h *head) skipEscapes(i int) int {
	for h.at(i) == 0x1b {
		i++
		if h.at(i) != '[' {
			continue
		}
		for i++; i < len(h.text); i++ {
			if c := h.text[i]; c >= '@' && c <= '~' {
				i++
				break
			}
		}
	}
	return i
}

func (h *head) skipSpaces(i int) int {
	for h.at(i) == ' ' {
		i++
	}
	return i
}

// tokenEnd returns the end of the token that contains i.
func (h *head) tokenEnd(i int) int {
	for i < len(h.text) && !ends[h.text[i]] {
		i++
	}
	return i
}

// ends has the bytes that end a token.
var ends = func() (e [256]bool) {
	for b, class := range classes {
		e[b] = class == space || class >= opening
	}
	e['|'] = true
	return e
}()

// number passes a token that begins with a digit. It returns false if no level can follow: a line
// that begins with a plain number may be about anything.
func (h *head) number() bool {
	end, dotted := h.i+1, false
	for ; end < len(h.text) && !ends[h.text[end]]; end++ {
		switch h.text[end] {
		case ':', '-', '/':
			h.dated = true
		case '.':
			dotted = true
		}
	}
	if end-h.i >= epochDigits && digits(h.text[h.i:h.i+epochDigits]) {
		h.dated = true
	}
	if h.start && h.closer == 0 && !dotted && !h.dated {
		return false
	}
	h.start, h.i = false, end
	return true
}

// word passes a token that begins with a letter. on is false if the search ends here: the token is
// the level, or the line has none.
func (h *head) word() (l sdk.Level, on bool) {
	var folded [longestWord]byte
	upper, end := true, h.i
	for ; classes[h.at(end)] == letter; end++ {
		c := h.text[end]
		if n := end - h.i; n < len(folded) {
			folded[n] = c | 0x20
		}
		upper = upper && c < 'a'
	}
	if n := end - h.i; n > 1 && n <= len(folded) {
		l, kind := lookup(string(folded[:n]))
		switch {
		case l != sdk.LevelUnknown && h.states(l, kind, upper, end):
			return l, false
		case l == sdk.LevelFatal && !upper && h.stance == anyForm && strings.HasPrefix(h.text[end:], " error:"):
			return l, false
		case kind == neutral && tokenEnds[h.at(end)]:
			h.start, h.i = false, end
			return 0, true
		}
	}
	if h.closer != 0 {
		return 0, h.bracketed(end)
	}
	if l, is := h.pair(end); is {
		return l, l == sdk.LevelUnknown
	}
	if l := h.exception(end); l != sdk.LevelUnknown {
		return l, false
	}
	return 0, h.ordinary(end)
}

var tokenEnds = [256]bool{0: true, ' ': true, ',': true, '.': true, ']': true, ')': true, '|': true}

// states reports whether the word of a level, which ends at end, stands where a level stands.
func (h *head) states(l sdk.Level, kind use, upper bool, end int) bool {
	if h.stance == noForm || h.stance == capitals && !upper {
		return false
	}
	behind := h.skipEscapes(end)
	c := h.at(behind)
	rest := h.skipSpaces(behind)
	if h.closer != 0 {
		if h.at(rest) == h.closer {
			return upper || h.closer == ']'
		}
		return upper && kind == common && (c == ' ' || c == '/' || c == ':')
	}
	switch c {
	case ':':
		next := classes[h.at(behind+1)]
		return (upper || next == space || behind+1 == len(h.text)) && !nothing(h.text[behind+1:])
	case '|':
		return true
	case '\t':
		return kind == common && (upper || h.dated)
	case ' ':
		switch next := h.at(rest); {
		case next == '|', next == '[' && kind == marked && upper:
			return true
		case kind == marked:
			return false
		case next == '-' && h.at(rest+1) == ' ':
			return true
		case next == '/' && l == sdk.LevelTrace: // the method of HTTP
			return false
		}
		coloured := h.escape == h.i && h.i > 0 && behind > end
		return upper || coloured
	case 0, '\n', '\r', '[', '(', '!':
		return upper && kind == common
	}
	return false
}

// nothing reports whether the text after a level says that there is none: "error: none".
func nothing(text string) bool {
	for len(text) > 0 && text[0] == ' ' {
		text = text[1:]
	}
	switch text {
	case "0", "no", "none", "None", "nil", "null", "false":
		return true
	}
	return false
}

// bracketed passes a token in brackets that begins with the word up to end.
func (h *head) bracketed(end int) bool {
	h.stance = noForm
	if c := h.at(end); c != ':' && c != '/' {
		end = h.tokenEnd(end)
	}
	h.i = end
	return true
}

// pair passes a pair of logfmt whose key begins with the word up to end. If the key is one for
// levels, it returns the level. is tells whether there is such a pair.
func (h *head) pair(end int) (l sdk.Level, is bool) {
	for {
		c := h.at(end)
		if k := classes[c]; k != letter && k != digit && c != '_' && c != '.' && c != '-' && c != '/' {
			break
		}
		end++
	}
	value := end + 1
	if h.at(end) != '=' || h.at(value) == '=' {
		return 0, false
	}
	key := h.text[h.i:end]
	if h.at(value) == '"' {
		end = stringEnd(h.text, value)
		l = named(h.text[value+1 : max(value+1, end-1)])
	} else {
		for end = value; end < len(h.text) && classes[h.text[end]] != space; {
			end++
		}
		l = named(h.text[value:end])
	}
	switch key {
	case "level", "lvl", "severity", "log.level", "levelname", "at":
	default:
		l = sdk.LevelUnknown
	}
	h.start, h.i, h.limit, h.stance = false, end, min(len(h.text), end+headBytes), anyForm
	return l, true
}

// exception returns the level of a token that names an error, such as "ValueError:", or that ends
// with a level, such as "production.ERROR:".
func (h *head) exception(end int) sdk.Level {
	if rest := h.text[h.i:]; h.start &&
		(strings.HasPrefix(rest, "Traceback (most recent call last)") || strings.HasPrefix(rest, "Exception in thread ")) {
		return sdk.LevelError
	}
	token := h.text[h.i:h.tokenEnd(end)]
	name, colon := strings.CutSuffix(token, ":")
	if !colon || h.stance != anyForm {
		return sdk.LevelUnknown
	}
	dot := strings.LastIndexByte(name, '.')
	if last := name[dot+1:]; dot > 0 && !h.start && last != "" && last[0] < 'a' {
		return named(last)
	}
	if (strings.HasSuffix(name, "Error") || strings.HasSuffix(name, "Exception")) && (dot > 0 || name[0] < 'a') &&
		!nothing(h.text[h.i+len(token):]) {
		return sdk.LevelError
	}
	return sdk.LevelUnknown
}

// ordinary passes the token that contains i and is not a level. It returns false if the token
// begins the message. The name of a host, a program or a logger stands alone, between marks or
// brackets. After a time, one name may stand before a level in capitals.
func (h *head) ordinary(i int) bool {
	end := h.tokenEnd(i)
	if h.closer != 0 {
		h.i, h.stance = end, noForm
		return true
	}
	next := h.skipSpaces(h.skipEscapes(end))
	h.words++
	switch c := h.at(next); {
	case h.words > mostWords, c == 0:
		return false
	case c == '[', c == '(', c == '{', c == '|', c == '-' && h.at(next+1) == ' ':
		h.stance = anyForm
	case h.dated && h.words == 1 && h.stance == anyForm && h.text[h.i:end] != "no":
		h.stance = capitals
	default:
		return false
	}
	h.start, h.i = false, end
	return true
}
