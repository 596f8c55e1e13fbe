package logql

import (
	"strconv"
	"strings"
	"unicode"
)

func (q *LogQuery) String() string {
	var b strings.Builder
	b.WriteByte('{')
	for i, m := range q.Matchers {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(m.String())
	}
	b.WriteByte('}')
	for _, s := range q.Stages {
		b.WriteByte(' ')
		b.WriteString(s.String())
	}
	return b.String()
}

func (m *Matcher) String() string {
	if m.Op == "" {
		return m.Name
	}
	return m.Name + string(m.Op) + quote(m.Value)
}

func (f *LineFilter) String() string {
	var b strings.Builder
	b.WriteString(f.operator())
	for i, p := range f.Patterns {
		if i > 0 {
			b.WriteString(" or")
		}
		b.WriteByte(' ')
		b.WriteString(quote(p.Text))
	}
	return b.String()
}

func (f *LineFilter) operator() string {
	switch {
	case f.Negative && f.Regexp:
		return "!~"
	case f.Negative:
		return "!="
	case f.Regexp:
		return "|~"
	}
	return "|="
}

func (e *Extract) String() string {
	s := "| " + e.Format
	if e.Strict {
		s += " --strict"
	}
	if e.KeepEmpty {
		s += " --keep-empty"
	}
	for i, l := range e.Labels {
		if i > 0 {
			s += ","
		}
		s += " " + l.Name
		if l.From != l.Name {
			s += "=" + quote(l.From)
		}
	}
	return s
}

func (f *LabelFilter) String() string { return "| " + f.Predicate.String() }

// String puts parentheses around the right side where they decide the order: and and or have equal
// precedence, from left to right.
func (l *Logical) String() string {
	word := " and "
	if l.Or {
		word = " or "
	}
	right := l.Right.String()
	if _, ok := l.Right.(*Logical); ok {
		right = "(" + right + ")"
	}
	return l.Left.String() + word + right
}

func (c *Compare) String() string { return c.Name + " " + string(c.Op) + " " + c.Text }

func (f *LineFormat) String() string { return "| line_format " + quote(f.Template) }

func (f *LabelFormat) String() string {
	s := "| label_format "
	for i, a := range f.Assignments {
		if i > 0 {
			s += ", "
		}
		if a.Rename {
			s += a.Name + "=" + a.From
		} else {
			s += a.Name + "=" + quote(a.Template)
		}
	}
	return s
}

func (p *Project) String() string {
	s := "| drop "
	if p.Keep {
		s = "| keep "
	}
	for i, t := range p.Targets {
		if i > 0 {
			s += ", "
		}
		s += t.String()
	}
	return s
}

func (Decolorize) String() string { return "| decolorize" }

func (n *Number) String() string { return formatNumber(n.Value) }

func (v *Vector) String() string { return "vector(" + formatNumber(v.Value) + ")" }

func (r *RangeAggregation) String() string {
	s := r.Op + "(" + r.Query.String() + " [" + formatDuration(r.Range) + "]"
	if r.Offset != 0 {
		s += " offset " + formatDuration(r.Offset)
	}
	return s + ")"
}

func (g *Grouping) String() string {
	word := "by"
	if g.Without {
		word = "without"
	}
	return word + " (" + strings.Join(g.Labels, ", ") + ")"
}

func (a *VectorAggregation) String() string {
	s := a.Op
	if a.Grouping != nil {
		s += " " + a.Grouping.String() + " "
	}
	s += "("
	if a.Op == topk {
		s += strconv.Itoa(a.K) + ", "
	}
	return s + a.Operand.String() + ")"
}

func (b *Binary) String() string {
	s := b.operand(b.Left, b.Op == "^") + " " + string(b.Op) + " "
	if b.Bool {
		s += "bool "
	}
	return s + b.operand(b.Right, b.Op != "^")
}

// operand writes one side, in parentheses if it would otherwise be read as part of another
// operation. equal tells that this also happens at equal precedence.
func (b *Binary) operand(e Expr, equal bool) string {
	inner, ok := e.(*Binary)
	if !ok {
		return e.String()
	}
	if p, q := precedence[inner.Op], precedence[b.Op]; p < q || p == q && equal {
		return "(" + inner.String() + ")"
	}
	return inner.String()
}

func formatNumber(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// quote writes a text, in backquotes if that saves escapes.
func quote(s string) string {
	plain := func(r rune) bool { return r != '`' && r != unicode.ReplacementChar && unicode.IsPrint(r) }
	if strings.ContainsAny(s, `"\`) && strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return "`" + s + "`"
	}
	return strconv.Quote(s)
}
