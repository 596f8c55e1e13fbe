package logql

import (
	"regexp"
	"slices"
	"strings"
)

// Pushdown holds conditions by which a storage may filter. Everything that the query passes meets
// them. The query's pipeline still has to filter what the storage returns.
type Pushdown struct {
	// Values has the labels of which only some values pass, and these values, sorted. The empty
	// value stands for streams without the label.
	Values map[string][]string
	// Include has lists of regular expressions (RE2). A line has to match one of each list.
	Include [][]string
	// Exclude has expressions that no line may match.
	Exclude []string
}

// Pushdown returns what the query demands of the streams and of the stored text of lines.
func (q *LogQuery) Pushdown() Pushdown {
	d := Pushdown{Values: map[string][]string{}}
	for _, m := range q.Matchers {
		d.restrict(m)
	}
	// After some stages, filters no longer see the stored line or the stored labels.
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

// restrictAll adds the conditions that have to hold if the predicate does.
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
		return // no stream has the labels of errors
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
