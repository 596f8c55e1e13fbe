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

// answer returns the answer to a query, around what body appends.
func (s *request) answer(kind string, body func([]byte) []byte) []byte {
	b := []byte(`{"status":"success",`)
	if warnings := s.Warnings(); len(warnings) > 0 {
		b = append(b, `"warnings":[`...)
		for i, text := range warnings {
			b = appendText(comma(b, i), text)
		}
		b = append(b, `],`...)
	}
	b = append(append(b, `"data":{"resultType":"`...), kind...)
	b = append(b, `","result":`...)
	return append(body(b), `,"stats":{}}}`+"\n"...)
}

// appendStreams appends groups of lines that have the same labels.
func appendStreams(b []byte, groups [][]line) []byte {
	b = append(b, '[')
	for i, group := range groups {
		b = append(comma(b, i), `{"stream":`...)
		b = append(appendLabels(b, group[0].labels), `,"values":[`...)
		for j := range group {
			b = append(comma(b, j), `["`...)
			b = append(strconv.AppendInt(b, group[j].at, 10), `",`...)
			b = append(appendText(b, group[j].text), ']')
		}
		b = append(b, `]}`...)
	}
	return append(b, ']')
}

// inTurn groups neighbours that have the same labels. So the lines of a tail stay in their order,
// and a stream may come more than once in a message.
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

// byLabels groups lines that have the same labels, and sorts the groups by these.
func byLabels(lines []line) (groups [][]line) {
	if !slices.ContainsFunc(lines, func(l line) bool { return !same(l.labels, lines[0].labels) }) {
		if len(lines) > 0 { // of one stream, as most live lines are
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

// appendMatrix appends all points of the series.
func appendMatrix(b []byte, all []logql.Series) []byte {
	b = append(b, '[')
	for i, series := range all {
		b = append(comma(b, i), `{"metric":`...)
		b = append(appendLabels(b, series.Labels), `,"values":[`...)
		for j, p := range series.Points {
			b = appendPoint(comma(b, j), p)
		}
		b = append(b, `]}`...)
	}
	return append(b, ']')
}

// appendVector appends the last point of each series.
func appendVector(b []byte, all []logql.Series) []byte {
	b = append(b, '[')
	for i, series := range all {
		b = append(comma(b, i), `{"metric":`...)
		b = append(appendLabels(b, series.Labels), `,"value":`...)
		b = append(appendPoint(b, series.Points[len(series.Points)-1]), '}')
	}
	return append(b, ']')
}

// appendPoint appends the seconds since 1970 and the value, which is a text.
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

// appendText appends a JSON string. Text that is not UTF-8 is mended.
func appendText(b []byte, text string) []byte {
	b, _ = jsontext.AppendQuote(b, text)
	return b
}

// comma appends what is before element i of a list.
func comma(b []byte, i int) []byte {
	if i > 0 {
		b = append(b, ',')
	}
	return b
}
