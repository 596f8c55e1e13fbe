package render

import (
	"iter"
	"slices"
	"strconv"
	"strings"
)

// attributes yields, in order, the attributes that the parameters of a colour sequence set: the
// number of each, and its text, which is whole for an extended colour such as 38;5;208. It ends at
// an incomplete extended colour, which a terminal ignores.
func attributes(params string) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		fields := strings.Split(params, ";")
		for len(fields) > 0 {
			number, _, own := strings.Cut(fields[0], ":") // what follows a colon belongs to it
			code, _ := strconv.Atoi(number)               // nothing is 0
			n := 1
			if extended(code) && !own && len(fields) > 1 {
				switch strings.TrimLeft(fields[1], "0") {
				case "5":
					n = 3
				case "2":
					n = 5
				}
			}
			if n > len(fields) || !yield(code, strings.Join(fields[:n], ";")) {
				return
			}
			fields = fields[n:]
		}
	}
}

// extended reports whether an attribute's number is followed by a colour.
func extended(code int) bool { return code == 38 || code == 48 || code == 58 }

// style says how a terminal shows text after a message's own sequences: it has the attributes in
// force, in the order in which they were set, and at most one of each.
type style []attribute

type attribute struct {
	code int // 38 for all colours of text, 48 for all colours of its ground
	text string
}

// ends has, for an attribute, those that it ends.
var ends = map[int][]int{
	10: {11}, 22: {1, 2}, 23: {3, 20}, 24: {4, 21}, 25: {5, 6}, 27: {7}, 29: {9}, 39: {38}, 49: {48},
	54: {51, 52}, 55: {53}, 59: {58}, 75: {73, 74},
}

// obey applies a sequence with these parameters to the style.
func (s *style) obey(params string) {
	for code, text := range attributes(params) {
		ended := ends[code]
		switch {
		case code == 0:
			*s = nil
			continue
		case code == 4 && strings.TrimLeft(text, "0") == "4:0":
			code, ended = 24, ends[24]
		case code >= 30 && code <= 37, code >= 90 && code <= 97:
			code = 38
		case code >= 40 && code <= 47, code >= 100 && code <= 107:
			code = 48
		case code >= 11 && code <= 19:
			code = 11
		case extended(code) && !strings.ContainsAny(text, ";:"):
			continue // a colour is not there
		}
		if ended == nil && !endable[code] {
			continue // a terminal does not know it either
		}
		*s = slices.DeleteFunc(*s, func(a attribute) bool { return a.code == code || slices.Contains(ended, a.code) })
		if ended == nil {
			*s = append(*s, attribute{code, text})
		}
	}
}

// endable has the attributes that another one ends.
var endable = func() map[int]bool {
	all := map[int]bool{}
	for _, codes := range ends {
		for _, code := range codes {
			all[code] = true
		}
	}
	return all
}()

// String returns the sequences that set the style after a reset.
func (s style) String() string {
	var b strings.Builder
	for _, a := range s {
		b.WriteString("\x1b[" + a.text + "m")
	}
	return b.String()
}

// sequenceAt holds a sequence that sets colours, and its place in the line without sequences.
type sequenceAt struct {
	offset int
	text   string
}

func (s sequenceAt) params() string { return s.text[len("\x1b[") : len(s.text)-len("m")] }

// part separates a cleaned line from its sequences.
func part(line string) (plain string, sequences []sequenceAt) {
	var b strings.Builder
	for {
		i := strings.IndexByte(line, esc)
		if i < 0 {
			b.WriteString(line)
			return b.String(), sequences
		}
		n, _ := sequence(line[i:])
		b.WriteString(line[:i])
		sequences = append(sequences, sequenceAt{b.Len(), line[i : i+n]})
		line = line[i+n:]
	}
}
