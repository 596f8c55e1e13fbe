package logql

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// kind tells what a token is.
type kind int

const (
	end      kind = iota
	name          // an identifier or a keyword
	text          // a quoted string; token.value is its content
	number        // 5, 0.5, 1e3 or 0x1F
	duration      // 1h30m
	size          // 20KB
	flag          // --strict
	operator      // everything else
)

func (k kind) String() string {
	return [...]string{
		end: "end", name: "word", text: "text", number: "number", duration: "duration", size: "size",
		flag: "option", operator: "operator",
	}[k]
}

// token holds one word of a query.
type token struct {
	kind  kind
	value string
	at    int // its byte offset
}

// lexer cuts a query into tokens.
type lexer struct {
	query string
	at    int
}

var (
	durationForm = longest(`(\d+y)?(\d+w)?(\d+d)?(F h)?(F m)?(F s)?(F ms)?(F µs|F us)?(F ns)?`)
	sizeForm     = longest(`F (B|[kKMGTP]B|[KMGTP]iB)`)
	numberForm   = longest(`(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|0x[0-9a-fA-F]+`)
)

// longest compiles an expression that matches at the beginning of a text. F in it stands for a
// decimal number.
func longest(expression string) *regexp.Regexp {
	expression = strings.ReplaceAll(expression, "F ", `\d+(\.\d+)?`)
	re := regexp.MustCompile(`^(?:` + expression + `)`)
	re.Longest()
	return re
}

// operators lists longer operators before shorter ones.
var operators = []string{
	"|=", "|~", "|>", "!=", "!~", "!>", "=~", "==", ">=", "<=",
	"{", "}", "(", ")", "[", "]", ",", "|", "=", ">", "<", "+", "-", "*", "/", "%", "^",
}

var flags = []string{"--strict", "--keep-empty"}

// lex returns the query's tokens. The last one has the kind end.
func lex(query string) ([]token, *Error) {
	l := lexer{query: query}
	var tokens []token
	for {
		t, err := l.next()
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
		if t.kind == end {
			return tokens, nil
		}
	}
}

func (l *lexer) next() (token, *Error) {
	l.skip()
	rest, at := l.query[l.at:], l.at
	take := func(k kind, n int) (token, *Error) {
		l.at += n
		return token{kind: k, value: rest[:n], at: at}, nil
	}
	if rest == "" {
		return take(end, 0)
	}
	switch c := rest[0]; {
	case isNameByte(c) && !isDigit(c):
		n := 1
		for n < len(rest) && isNameByte(rest[n]) {
			n++
		}
		return take(name, n)
	case isDigit(c), c == '.' && len(rest) > 1 && isDigit(rest[1]):
		return l.quantity(rest)
	case c == '"', c == '`':
		return l.quoted(rest)
	}
	for _, f := range flags {
		if strings.HasPrefix(rest, f) {
			return take(flag, len(f))
		}
	}
	for _, o := range operators {
		if strings.HasPrefix(rest, o) {
			return take(operator, len(o))
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	hint := ""
	switch r {
	case '\'':
		hint = `; texts are in "…" or in backquotes`
	case '$':
		hint = "; variables such as $__auto are replaced before a query is sent"
	}
	return token{}, errorAt(l.query, at, "unexpected character %q%s", r, hint)
}

// skip passes white space, and comments from # to the end of the line.
func (l *lexer) skip() {
	for l.at < len(l.query) {
		switch l.query[l.at] {
		case ' ', '\t', '\r', '\n':
			l.at++
		case '#':
			n := strings.IndexByte(l.query[l.at:], '\n')
			if n < 0 {
				n = len(l.query) - l.at
			}
			l.at += n
		default:
			return
		}
	}
}

// quantity returns the longest number, duration or size at the beginning of the text.
func (l *lexer) quantity(rest string) (token, *Error) {
	t := token{at: l.at}
	n := 0
	for _, form := range []struct {
		kind kind
		re   *regexp.Regexp
	}{{duration, durationForm}, {size, sizeForm}, {number, numberForm}} {
		if m := form.re.FindString(rest); len(m) > n {
			n, t.kind, t.value = len(m), form.kind, m
		}
	}
	if n < len(rest) && (isNameByte(rest[n]) || rest[n] == '.') {
		return t, errorAt(l.query, l.at, "want a number, a duration such as 1h30m (units y w d h m s ms us ns, the longer first), or a size such as 20KB (B kB KB MB GB TB PB KiB MiB GiB TiB PiB)")
	}
	l.at += n
	return t, nil
}

// quoted returns the quoted text at the beginning of rest.
func (l *lexer) quoted(rest string) (token, *Error) {
	n := 1
	for n < len(rest) && rest[n] != rest[0] {
		if rest[0] == '"' && rest[n] == '\n' {
			break
		}
		if rest[0] == '"' && rest[n] == '\\' {
			n++
		}
		n++
	}
	if n >= len(rest) || rest[n] != rest[0] {
		return token{}, errorAt(l.query, l.at, "the text that begins here has no end: want %c in the same line", rest[0])
	}
	t := token{kind: text, value: rest[1:n], at: l.at}
	if rest[0] == '"' {
		value, err := strconv.Unquote(rest[:n+1])
		if err != nil {
			return t, errorAt(l.query, l.at, `a backslash in "…" begins an escape as in Go (\n, \", \\, \u00e9); write regular expressions in backquotes`)
		}
		t.value = value
	}
	l.at += n + 1
	return t, nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == ':' || isDigit(c)
}
