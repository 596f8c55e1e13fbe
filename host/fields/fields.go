// Package fields reads members of log lines that are JSON objects.
package fields

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/deis/logger/sdk"
)

const (
	// MaxNames and maxNameBytes bound what one request may ask for.
	MaxNames, maxNameBytes = 20, 200
	// deepest bounds the number of dots in a name.
	deepest = 8
)

// Names lists the wanted members. A dot leads to a member of a member, or belongs to the name
// itself.
type Names []string

// Parse reads names. Each value has one name or several, separated by commas.
func Parse(values []string) (names Names, err error) {
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			if len(name) > maxNameBytes || strings.Count(name, ".") > deepest {
				return nil, sdk.Refusef("fields=%.40q: want names of at most %d bytes and %d dots", name, maxNameBytes, deepest)
			}
			names = append(names, name)
		}
	}
	if len(names) > MaxNames {
		return nil, sdk.Refusef("fields has %d names, want at most %d", len(names), MaxNames)
	}
	var once Names
	for _, name := range names {
		if !slices.Contains(once, name) {
			once = append(once, name)
		}
	}
	return once, nil
}

// Values returns the members of a message as they are written, but without white space between
// their parts. A missing member is nil. The result is nil if the message is not a JSON object or
// has none of the members.
func (n Names) Values(message string) []jsontext.Value {
	text := strings.TrimSpace(message)
	if len(n) == 0 || !strings.HasPrefix(text, "{") || !strings.HasSuffix(text, "}") {
		return nil
	}
	found := make([]jsontext.Value, len(n))
	if !n.members(jsontext.Value(text), found) {
		return nil
	}
	some := false
	for i := range found {
		if found[i] == nil {
			continue
		}
		if some = true; found[i].Compact(lenient...) != nil {
			return nil
		}
		found[i] = jsontext.Value(lineEnds.Replace(string(found[i])))
	}
	if !some {
		return nil
	}
	return found
}

// lineEnds replaces characters that some clients take for the end of a line. In JSON they occur
// only in strings.
var lineEnds = strings.NewReplacer("\u0085", `\u0085`, "\u2028", `\u2028`, "\u2029", `\u2029`)

// lenient accepts JSON as programs write it.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// members finds the wanted members of an object. If a name comes twice, the last one counts. It
// returns false for a value that is not an object.
func (n Names) members(object jsontext.Value, found []jsontext.Value) bool {
	d := jsontext.NewDecoder(strings.NewReader(string(object)), lenient...)
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return false
	}
	for d.PeekKind() == '"' {
		t, err := d.ReadToken()
		if err != nil {
			return false
		}
		name := t.String()
		value, err := d.ReadValue()
		if err != nil {
			return false
		}
		inner := make(Names, len(n))
		into := false
		for i, wanted := range n {
			rest, is := strings.CutPrefix(wanted, name)
			switch {
			case wanted == "" || !is:
			case rest == "":
				found[i] = value.Clone()
			case rest[0] == '.' && len(rest) > 1 && value.Kind() == '{':
				inner[i], into = rest[1:], true
			}
		}
		if into {
			inner.members(value.Clone(), found)
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return false
	}
	_, err := d.ReadToken()
	return errors.Is(err, io.EOF)
}

// AppendObject appends the members as a JSON object.
func (n Names) AppendObject(b []byte, values []jsontext.Value) []byte {
	b = append(b, '{')
	for i, value := range values {
		if value == nil {
			continue
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b, _ = jsontext.AppendQuote(b, n[i])
		b = append(append(b, ':'), value...)
	}
	return append(b, '}')
}

// Text returns the members as name=value, separated by spaces. A string without spaces has no
// quotes.
func (n Names) Text(values []jsontext.Value) string {
	var b []byte
	for i, value := range values {
		if value == nil {
			continue
		}
		if len(b) > 0 {
			b = append(b, ' ')
		}
		b = append(append(b, n[i]...), '=')
		text, err := jsontext.AppendUnquote(nil, value)
		if err == nil && len(text) > 0 && !bytes.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c == '=' || c == '"' || c == '\\' || !strconv.IsPrint(c) }) {
			b = append(b, text...)
		} else {
			b = append(b, value...)
		}
	}
	return string(b)
}
