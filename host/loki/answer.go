package loki

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/deis/logger/host/loki/logql"
)

// answer returns the function that writes the answer to a query. body appends the result.
func (s *request) answer(kind string, body func(*out)) func(*out) {
	return func(o *out) {
		o.b = append(o.b, `{"status":"success",`...)
		if warnings := s.Warnings(); len(warnings) > 0 {
			o.b = append(o.b, `"warnings":[`...)
			for i, text := range warnings {
				o.b = appendText(comma(o.b, i), text)
			}
			o.b = append(o.b, `],`...)
		}
		o.b = append(append(o.b, `"data":{"resultType":"`...), kind...)
		o.b = append(o.b, `","result":`...)
		body(o)
		o.b = append(o.b, `,"stats":{}}}`+"\n"...)
	}
}

// appendStreams appends groups of lines with equal labels. Unless sent is nil, it calls sent after
// each line with what was appended so far, and continues with the bytes that sent returns. It ends
// early if sent returns over.
func appendStreams(b []byte, groups [][]line, sent func([]byte, *line) (rest []byte, over bool)) []byte {
	b = append(b, '[')
	for i, group := range groups {
		b = append(comma(b, i), `{"stream":`...)
		b = append(appendLabels(b, group[0].labels), `,"values":[`...)
		for j := range group {
			b = append(comma(b, j), `["`...)
			b = append(strconv.AppendInt(b, group[j].at, 10), `",`...)
			b = append(appendText(b, group[j].text), ']')
			if sent == nil {
				continue
			}
			var over bool
			if b, over = sent(b, &group[j]); over {
				return b
			}
		}
		b = append(b, `]}`...)
	}
	return append(b, ']')
}

// inTurn groups neighbouring lines with equal labels. So a tail's lines stay in order, and a stream
// may come more than once in a message.
func inTurn(lines []line) (groups [][]line) {
	for from := 0; from < len(lines); {
		to := from + 1
		for to < len(lines) && same(lines[to].labels, lines[from].labels) {
			to++
		}
		groups = append(groups, lines[from:to])
		from = to
	}
	return groups
}

// byLabels groups lines with equal labels, and sorts the groups by their labels.
func byLabels(lines []line) (groups [][]line) {
	if !slices.ContainsFunc(lines, func(l line) bool { return !same(l.labels, lines[0].labels) }) {
		if len(lines) > 0 { // all of one stream, as most live lines are
			groups = append(groups, lines)
		}
		return groups
	}
	byKey := map[string]int{}
	var key []byte
	for _, l := range lines {
		key = l.labels.AppendKey(key[:0])
		at, ok := byKey[string(key)]
		if !ok {
			at = len(groups)
			byKey[string(key)] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], l)
	}
	slices.SortStableFunc(groups, func(a, b []line) int {
		return slices.CompareFunc(a[0].labels, b[0].labels, func(a, b logql.Label) int {
			return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Value, b.Value))
		})
	})
	return groups
}

// appendPoint appends the time, in seconds since 1970, and the value, as text.
func appendPoint(b []byte, p logql.Point) []byte {
	b = append(b, '[')
	b = strconv.AppendFloat(b, float64(p.At.UnixMilli())/1e3, 'f', -1, 64)
	b = append(b, `,"`...)
	switch {
	case math.IsInf(p.Value, 1):
		b = append(b, "+Inf"...)
	default:
		b = strconv.AppendFloat(b, p.Value, 'f', -1, 64)
	}
	return append(b, `"]`...)
}

func appendLabels(b []byte, labels logql.Labels) []byte {
	b = append(b, '{')
	for i, l := range labels {
		b = append(appendText(comma(b, i), l.Name), ':')
		b = appendText(b, l.Value)
	}
	return append(b, '}')
}

// appendText appends a JSON string. It replaces bytes that are not UTF-8.
func appendText(b []byte, text string) []byte {
	b, _ = jsontext.AppendQuote(b, text)
	return b
}

// comma appends what precedes element i of a list.
func comma(b []byte, i int) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	return b
}
