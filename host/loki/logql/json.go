package logql

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// jsonStep makes labels from a JSON document: from all fields of an object, or from the wanted
// ones.
type jsonStep struct {
	wanted []wanted
	names  names

	line    string
	in      bytes.Buffer
	decoder jsontext.Decoder
	prefix  []byte // the name of the object being read
	text    []byte // a text without its escapes
	ends    []int  // lengths of the prefix in the surrounding objects
}

// wanted names a label, and the path of its value.
type wanted struct {
	name string
	path []pathStep
}

// pathStep names a field of an object. If key is empty, it is an element of an array.
type pathStep struct {
	key   string
	index int
}

var jsonOptions = []jsontext.Options{
	jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true),
}

const jsonError = "JSONParserErr"

var (
	errNoObject = errors.New("the line is not a JSON object")
	errNoJSON   = errors.New("the line is not a JSON document")
	errTooMany  = fmt.Errorf("the line has more than %d fields, or one with a name of more than %d bytes", maxFields, maxNameBytes)
)

func (s *jsonStep) run(b *builder) bool {
	s.line = b.line
	if len(s.wanted) > 0 {
		s.find(b)
		return true
	}
	// If the document turns out to be invalid, the labels added so far are removed.
	before := len(b.labels)
	if err := s.flatten(b); err != nil {
		if len(b.labels) > before {
			b.labels = b.labels[:before]
		}
		b.fail(jsonError, err.Error())
	}
	return true
}

// begin starts to read the line.
func (s *jsonStep) begin() {
	s.in.Reset()
	s.in.WriteString(s.line)
	s.decoder.Reset(&s.in, jsonOptions...)
}

// flatten makes a label from each field. The names of inner objects' fields begin with the object's
// name. Arrays and nulls are left out.
func (s *jsonStep) flatten(b *builder) error {
	s.begin()
	if t, err := s.decoder.ReadToken(); err != nil || t.Kind() != jsontext.KindBeginObject {
		return errNoObject
	}
	s.prefix, s.ends = s.prefix[:0], s.ends[:0]
	for fields := 0; ; {
		if s.decoder.PeekKind() == jsontext.KindEndObject {
			if _, err := s.decoder.ReadToken(); err != nil {
				return errNoObject
			}
			if len(s.ends) == 0 {
				break
			}
			s.ends = s.ends[:len(s.ends)-1]
			continue
		}
		s.prefix = s.prefix[:s.end()]
		field, err := s.value()
		if err != nil {
			return errNoObject
		}
		if len(s.prefix) > 0 {
			s.prefix = append(s.prefix, '_')
		}
		if s.prefix = appendName(s.prefix, field); len(s.prefix) > maxNameBytes {
			return errTooMany
		}
		switch s.decoder.PeekKind() {
		case jsontext.KindBeginObject:
			_, err = s.decoder.ReadToken()
			s.ends = append(s.ends, len(s.prefix))
		case jsontext.KindBeginArray, jsontext.KindNull:
			err = s.decoder.SkipValue()
		default:
			var value string
			if value, err = s.value(); err == nil && len(s.prefix) > 0 {
				b.extract(s.names.of(s.prefix), value)
			}
			if fields++; fields > maxFields {
				return errTooMany
			}
		}
		if err != nil {
			return errNoObject
		}
	}
	if _, err := s.decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return errNoObject
	}
	return nil
}

// end returns the length of the prefix that belongs to the object being read.
func (s *jsonStep) end() int {
	if len(s.ends) == 0 {
		return 0
	}
	return s.ends[len(s.ends)-1]
}

// value reads a value: a string without quotes and escapes, anything else as it is written. If
// possible, the result is a part of the line.
func (s *jsonStep) value() (string, error) {
	raw, err := s.decoder.ReadValue()
	if err != nil {
		return "", err
	}
	if len(raw) > 0 && raw[0] == '"' {
		if bytes.IndexByte(raw, '\\') >= 0 {
			s.text, err = jsontext.AppendUnquote(s.text[:0], raw)
			return string(s.text), err
		}
		end := int(s.decoder.InputOffset())
		return s.line[end-len(raw)+1 : end-1], nil
	}
	end := int(s.decoder.InputOffset())
	return s.line[end-len(raw) : end], nil
}

// find makes the wanted labels.
func (s *jsonStep) find(b *builder) {
	s.begin()
	if !jsontext.Value(s.in.Bytes()).IsValid(jsonOptions...) {
		b.fail(jsonError, errNoJSON.Error())
		return
	}
	for _, w := range s.wanted {
		s.begin()
		if value, ok := s.at(w.path); ok {
			b.extract(w.name, value)
		}
	}
}

// at returns the value at the path. A null counts as absent.
func (s *jsonStep) at(path []pathStep) (string, bool) {
	for _, p := range path {
		if !s.enter(p) {
			return "", false
		}
	}
	if s.decoder.PeekKind() == jsontext.KindNull {
		return "", false
	}
	value, err := s.value()
	return value, err == nil
}

// enter moves to a field or an element of the next value.
func (s *jsonStep) enter(p pathStep) bool {
	t, err := s.decoder.ReadToken()
	if err != nil {
		return false
	}
	if p.key == "" {
		for i := 0; t.Kind() == jsontext.KindBeginArray && s.decoder.PeekKind() != jsontext.KindEndArray; i++ {
			if i == p.index {
				return true
			}
			if s.decoder.SkipValue() != nil {
				return false
			}
		}
		return false
	}
	for t.Kind() == jsontext.KindBeginObject && s.decoder.PeekKind() != jsontext.KindEndObject {
		field, err := s.value()
		if err != nil {
			return false
		}
		if field == p.key {
			return true
		}
		if s.decoder.SkipValue() != nil {
			return false
		}
	}
	return false
}

// parsePath parses a path such as servers[0].headers["User-Agent"].
func parsePath(path string) ([]pathStep, error) {
	wrong := fmt.Errorf(`want a path such as servers[0].headers["User-Agent"], not %.80q`, path)
	var steps []pathStep
	for rest := path; rest != ""; {
		if rest[0] == '[' {
			inner, after, ok := bracket(rest)
			if !ok {
				return nil, wrong
			}
			steps, rest = append(steps, inner), after
			continue
		}
		if len(steps) > 0 {
			if rest[0] != '.' {
				return nil, wrong
			}
			rest = rest[1:]
		}
		n := strings.IndexAny(rest, ".[]\" \t")
		if n < 0 {
			n = len(rest)
		}
		if n == 0 {
			return nil, wrong
		}
		steps, rest = append(steps, pathStep{key: rest[:n]}), rest[n:]
	}
	if len(steps) == 0 {
		return nil, wrong
	}
	return steps, nil
}

// bracket parses [0] or ["key"].
func bracket(s string) (p pathStep, rest string, ok bool) {
	if quoted, err := strconv.QuotedPrefix(s[1:]); err == nil {
		p.key, err = strconv.Unquote(quoted)
		rest, ok = strings.CutPrefix(s[1+len(quoted):], "]")
		return p, rest, ok && err == nil && p.key != ""
	}
	digits, rest, ok := strings.Cut(s[1:], "]")
	n, err := strconv.ParseUint(digits, 10, 31)
	p.index = int(n)
	return p, rest, ok && err == nil
}
