package logql

import (
	"regexp"
	"slices"
	"strings"
)

// Pushdown is what a storage may filter by: whatever the query lets pass, passes it. The query's
// pipeline still has to filter what the storage returns.
type Pushdown struct {
	// Values has the labels of which only some values pass, and these values, sorted. The empty
	// value is that of a stream without the label.
	Values map[string][]string
	// Include has regular expressions (RE2): of each list a line has to match one.
	Include [][]string
	// Exclude has those that a line may not match.
	Exclude []string
}

// Pushdown returns what can be said about the streams and the stored text of lines that pass.
func (q *LogQuery) Pushdown() Pushdown {
	d := Pushdown{Values: map[string][]string{}}
	for _, m := range q.Matchers {
		d.restrict(m)
	}
	// From some stages on, filters look at another line or at other labels than the stored ones.
	line, labels := true, true
	for _, s := range q.Stages {
		switch s := s.(type) {
		case *LineFilter:
			if line {
				d.filter(s)
			}
		case *LabelFilter:
			if labels {
				d.restrictAll(s.Predicate)
			}
		case *LineFormat, Decolorize:
			line = false
		default:
			labels = false
		}
	}
	return d
}

// restrictAll takes what has to be true for the predicate to be.
func (d *Pushdown) restrictAll(p Predicate) {
	switch p := p.(type) {
	case *Matcher:
		d.restrict(p)
	case *Logical:
		if !p.Or {
			d.restrictAll(p.Left)
			d.restrictAll(p.Right)
		}
	}
}

func (d *Pushdown) restrict(m *Matcher) {
	values, ok := m.Values()
	if !ok || strings.HasPrefix(m.Name, "__") {
		return // the labels of errors are in no stream
	}
	if before, ok := d.Values[m.Name]; ok {
		values = slices.DeleteFunc(slices.Clone(before), func(v string) bool { return !m.Matches(v) })
	}
	d.Values[m.Name] = values
}

func (d *Pushdown) filter(f *LineFilter) {
	expressions := make([]string, len(f.Patterns))
	for i, p := range f.Patterns {
		expressions[i] = p.Text
		if !f.Regexp {
			expressions[i] = regexp.QuoteMeta(p.Text)
		}
	}
	switch {
	case f.Negative:
		d.Exclude = append(d.Exclude, expressions...)
	case !slices.Contains(expressions, ""):
		d.Include = append(d.Include, expressions)
	}
}
