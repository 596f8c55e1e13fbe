package logql

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of a query. They bound what parsing and evaluating it takes, whoever wrote it.
const (
	// MaxBytes bounds the length of a query.
	MaxBytes = 16 << 10
	// MaxDepth bounds how deep parentheses, aggregations and powers may be nested.
	MaxDepth = 64
	// MaxStages bounds the stages of a log query.
	MaxStages = 64
)

// Parse parses a query. Its errors are of type *Error.
func Parse(query string) (e Expr, err error) {
	if len(query) > MaxBytes {
		return nil, errorAt(query, 0, "the query has %d bytes, want at most %d", len(query), MaxBytes)
	}
	if !utf8.ValidString(query) {
		return nil, errorAt(query, 0, "the query is not valid UTF-8")
	}
	tokens, failed := lex(query)
	if failed != nil {
		return nil, failed
	}
	p := &parser{query: query, tokens: tokens}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *Error:
			e, err = nil, r
		default:
			panic(r)
		}
	}()
	e = p.expression(1)
	if p.peek().kind != end {
		p.unexpected("an operator, or the end of the query")
	}
	return e, nil
}

// parser reads tokens one after the other. Its methods panic with an *Error, which Parse returns.
type parser struct {
	query  string
	tokens []token
	at     int
	depth  int
	limits regexpLimits
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != end {
		p.at++
	}
	return t
}

func (p *parser) fail(at token, format string, args ...any) {
	panic(errorAt(p.query, at.at, format, args...))
}

// unexpected fails at the next token.
func (p *parser) unexpected(want string) {
	t := p.peek()
	if t.kind == end {
		p.fail(t, "unexpected end of the query, want %s", want)
	}
	p.fail(t, "unexpected %s %.40q, want %s", t.kind, t.value, want)
}

// is reports whether the next token is this operator.
func (p *parser) is(op string) bool {
	t := p.peek()
	return t.kind == operator && t.value == op
}

// accept takes the next token if it is this operator.
func (p *parser) accept(op string) bool {
	if !p.is(op) {
		return false
	}
	p.at++
	return true
}

func (p *parser) expect(op, want string) {
	if !p.accept(op) {
		p.unexpected(want)
	}
}

// isWord reports whether the next token is this keyword, in any case.
func (p *parser) isWord(word string) bool {
	t := p.peek()
	return t.kind == name && strings.EqualFold(t.value, word)
}

func (p *parser) acceptWord(word string) bool {
	if !p.isWord(word) {
		return false
	}
	p.at++
	return true
}

func (p *parser) text(want string) string {
	if p.peek().kind != text {
		p.unexpected(want)
	}
	return p.next().value
}

// reserved lists the words that cannot be a label's name.
var reserved = []string{
	"json", "logfmt", "unpack", "pattern", "regexp", "unwrap", "label_format", "line_format", "label_replace",
	"vector", "offset", "bool", "on", "ignoring", "group_left", "group_right", "decolorize", "drop", "keep",
}

// label reads a label's name.
func (p *parser) label(want string) string {
	t := p.peek()
	if t.kind != name {
		p.unexpected(want)
	}
	if slices.Contains(reserved, strings.ToLower(t.value)) {
		p.unexpected(want + " (this word is reserved)")
	}
	return p.next().value
}

// nest enters something that could be nested endlessly. The caller leaves it by p.depth--.
func (p *parser) nest() {
	if p.depth++; p.depth > MaxDepth {
		p.fail(p.peek(), "the query is nested deeper than %d levels", MaxDepth)
	}
}

// logQuery reads a selector and the stages after it.
func (p *parser) logQuery() *LogQuery {
	return &LogQuery{Matchers: p.selector(), Stages: p.stages()}
}

func (p *parser) selector() []*Matcher {
	p.expect("{", `a selector such as {app="foo"}`)
	var matchers []*Matcher
	for {
		n := p.label("a label's name")
		matchers = append(matchers, p.matcher(n))
		if p.accept("}") {
			return matchers
		}
		p.expect(",", `"," or "}"`)
	}
}

// matcher reads the operator and the value of a matcher.
func (p *parser) matcher(label string) *Matcher {
	m := &Matcher{Name: label}
	switch op := p.peek(); {
	case p.accept("="), p.accept("!="), p.accept("=~"), p.accept("!~"):
		m.Op = Op(op.value)
	default:
		p.unexpected("one of = != =~ !~")
	}
	at := p.peek()
	m.Value = p.text(`a text such as "foo"`)
	if m.Op == Match || m.Op == NotMatch {
		m.re = p.regexp(at, m.Value, true)
	}
	return m
}

func (p *parser) regexp(at token, expression string, anchored bool) *compiled {
	re, err := p.limits.compile(expression, anchored)
	if err != nil {
		p.fail(at, "%v", err)
	}
	return re
}
