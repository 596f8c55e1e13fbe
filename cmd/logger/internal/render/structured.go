package render

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/deis/logger/client"
)

// mostFields and deepest bound the fields of a message that is shown apart. Beyond them a message
// is shown as it is.
const mostFields, deepest = 200, 8

// field holds a member of a message. Its name has dots if it is a member of a member.
type field struct{ name, value string }

// fieldsOf returns, in their order, the members of a message that is a JSON object, or the pairs of
// a message that is all logfmt. It returns none for other messages.
func fieldsOf(message string) []field {
	message = strings.TrimSpace(message)
	if !strings.HasPrefix(message, "{") {
		return pairsOf(message)
	}
	d := json.NewDecoder(strings.NewReader(message))
	d.UseNumber()
	fields, err := membersOf(d, "", 0, nil)
	if _, more := d.Token(); err != nil || !errors.Is(more, io.EOF) {
		return nil
	}
	return fields
}

var errFields = errors.New("too many fields")

// membersOf appends the members of the object that comes next.
func membersOf(d *json.Decoder, prefix string, depth int, fields []field) ([]field, error) {
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		if len(fields) == mostFields {
			return nil, errFields
		}
		full := prefix + name.(string) // a name is a text
		text := string(value)
		switch {
		case text[0] == '{' && len(text) > 2 && depth < deepest:
			inner := json.NewDecoder(strings.NewReader(text))
			inner.UseNumber()
			if fields, err = membersOf(inner, full+".", depth+1, fields); err != nil {
				return nil, err
			}
			continue
		case text[0] == '"':
			err = json.Unmarshal(value, &text)
		}
		if err != nil {
			return nil, err
		}
		fields = append(fields, field{full, text})
	}
	_, err := d.Token()
	return fields, err
}

// pairsOf returns the pairs of a message that has nothing else.
func pairsOf(message string) (fields []field) {
	for message != "" {
		name, rest, found := strings.Cut(message, "=")
		if !found || name == "" || strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c == '"' }) || len(fields) == mostFields {
			return nil
		}
		value, after, _ := strings.Cut(rest, " ")
		if strings.HasPrefix(rest, `"`) {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return nil
			}
			value, _ = strconv.Unquote(quoted) // it is well-formed
			after = rest[len(quoted):]
			if after != "" && after[0] != ' ' {
				return nil
			}
		}
		fields = append(fields, field{name, value})
		message = strings.TrimLeft(after, " ")
	}
	return fields
}

// The members that repeat the record, and those that are its text.
var (
	levelNames = []string{"level", "lvl", "severity", "levelname", "log.level", "@l"}
	timeNames  = []string{"time", "ts", "timestamp", "@timestamp", "@t"}
	textNames  = []string{"msg", "message", "event", "@m"}
)

// parts splits a message into its text and the fields that the record does not have itself.
func parts(r *client.Record) (text string, rest []field, structured bool) {
	fields := fieldsOf(r.Message)
	if fields == nil {
		return r.Message, nil, false
	}
	for _, f := range fields {
		switch {
		case slices.Contains(timeNames, f.name), r.Level != "" && slices.Contains(levelNames, f.name):
		case text == "" && slices.Contains(textNames, f.name):
			text = f.value
		default:
			rest = append(rest, f)
		}
	}
	return text, rest, true
}

// pretty returns the record with a message that a person reads: its level, its text, its fields,
// and below them those that have several lines. A message without fields stays as it is.
func (p *Printer) pretty(r *client.Record) *client.Record {
	text, fields, structured := parts(r)
	if !structured {
		return r
	}
	var shown []string
	var below strings.Builder
	if _, known := levelColours[r.Level]; known && r.Level != "" {
		shown = append(shown, p.paint(cmp.Or(levelColours[r.Level], colours["bold"]), strings.ToUpper(string(r.Level))))
	}
	if text != "" {
		shown = append(shown, text)
	}
	for _, f := range fields {
		name := p.paint(dim, quoteIfNeeded(f.name)+"=")
		if strings.Contains(strings.TrimSpace(f.value), "\n") {
			below.WriteString("\n  " + name + "\n    " + strings.ReplaceAll(strings.TrimSpace(f.value), "\n", "\n    "))
			continue
		}
		shown = append(shown, name+quoteIfNeeded(f.value))
	}
	own := *r
	own.Message = strings.Join(shown, " ") + below.String()
	return &own
}

// chosen returns the record with the fields that were asked for in the place of its message: as
// pairs, if messages are shown as they are.
func (p *Printer) chosen(r *client.Record) *client.Record {
	own := *r
	own.Message = string(r.Fields)
	if p.opts.Format == Default || p.opts.Format == Raw {
		fields := fieldsOf(own.Message)
		pairs := make([]string, 0, len(fields))
		for _, f := range fields {
			pairs = append(pairs, quoteIfNeeded(f.name)+"="+quoteIfNeeded(f.value))
		}
		own.Message = strings.Join(pairs, " ")
	}
	return &own
}

// appendLogfmt appends the record as pairs, on one line.
func (p *Printer) appendLogfmt(b []byte, r *client.Record) []byte {
	text, fields, _ := parts(r)
	b = append(append(b, "time="...), p.at(r.Time).Format(timeLayout)...)
	add := func(f field) {
		b = append(append(append(append(b, ' '), quoteIfNeeded(f.name)...), '='), quoteIfNeeded(f.value)...)
	}
	for _, f := range []field{
		{"app", cmp.Or(p.opts.App, r.App)}, {"process", r.Process}, {"release", r.Release}, {"pod", r.Pod}, {"level", string(r.Level)},
	} {
		if f.value != "" {
			add(f)
		}
	}
	add(field{"msg", strings.TrimRight(text, "\n")})
	for _, f := range fields {
		add(f)
	}
	return append(b, '\n')
}

// quoteIfNeeded quotes a text if it would not be a single value of logfmt, or if a terminal would
// obey it.
func quoteIfNeeded(text string) string {
	if text == "" || strings.ContainsFunc(text, func(c rune) bool {
		return c <= ' ' || c == '=' || c == '"' || c == '\\' || c == unicode.ReplacementChar || !strconv.IsPrint(c)
	}) {
		return strconv.Quote(text)
	}
	return text
}
