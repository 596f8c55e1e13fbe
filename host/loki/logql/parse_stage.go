package logql

import (
	"slices"
	"strings"
)

const (
	wantStage    = "one of json, logfmt, line_format, label_format, drop, keep, decolorize, or a label filter such as level=\"error\""
	wantCompared = `a text, a number, a duration such as 250ms, or a size such as 20KB`
)

// unsupportedStages lists stages that LogQL has and this package does not.
var unsupportedStages = []string{"unpack", "pattern", "regexp", "unwrap"}

// stages reads all stages that follow.
func (p *parser) stages() []Stage {
	var stages []Stage
	for {
		t := p.peek()
		if t.kind != operator {
			return stages
		}
		if len(stages) >= MaxStages {
			p.fail(t, "the query has more than %d stages", MaxStages)
		}
		switch t.value {
		case "|=", "!=", "|~", "!~":
			// After stages, != may also be an operator of metrics: then no text follows.
			stages = append(stages, p.lineFilter())
		case "|>", "!>":
			p.fail(t, "filters by pattern (%s) are not supported, want one of |= != |~ !~", t.value)
		case "|":
			p.next()
			stages = append(stages, p.stage())
		default:
			return stages
		}
	}
}

func (p *parser) lineFilter() *LineFilter {
	op := p.next().value
	f := &LineFilter{Negative: op[0] == '!', Regexp: op[1] == '~'}
	for {
		at := p.peek()
		if p.isWord("ip") {
			p.fail(at, "filters by address (ip) are not supported, want a text")
		}
		pattern := &Pattern{Text: p.text(`a text such as "foo"`)}
		if f.Regexp {
			pattern.re = p.regexp(at, pattern.Text, false)
		}
		f.Patterns = append(f.Patterns, pattern)
		if !p.acceptWord("or") {
			return f
		}
	}
}

// stage reads what follows a bar.
func (p *parser) stage() Stage {
	t := p.peek()
	switch {
	case p.acceptWord("json"):
		return &Extract{Format: "json", Labels: p.extractions("json")}
	case p.acceptWord("logfmt"):
		e := &Extract{Format: "logfmt"}
		for p.peek().kind == flag {
			if p.next().value == "--strict" {
				e.Strict = true
			} else {
				e.KeepEmpty = true
			}
		}
		e.Labels = p.extractions("logfmt")
		return e
	case p.acceptWord("line_format"):
		return &LineFormat{Template: p.template()}
	case p.acceptWord("label_format"):
		return p.labelFormat()
	case p.acceptWord("decolorize"):
		return Decolorize{}
	case p.isWord("drop"), p.isWord("keep"):
		return p.project()
	case t.kind == name && slices.Contains(unsupportedStages, strings.ToLower(t.value)):
		p.fail(t, "%s is not supported, want %s", t.value, wantStage)
	}
	return &LabelFilter{Predicate: p.predicate()}
}

// extractions reads the list of labels that a parser takes, if there is one.
func (p *parser) extractions(format string) []Extraction {
	if p.peek().kind != name || slices.Contains([]string{"and", "or", "unless"}, strings.ToLower(p.peek().value)) {
		return nil
	}
	var list []Extraction
	for {
		e := Extraction{Name: p.label("a label's name")}
		e.From = e.Name
		at := p.peek()
		if p.accept("=") {
			at = p.peek()
			e.From = p.text(`a text such as "request.method"`)
		}
		if format == "json" {
			if _, err := parsePath(e.From); err != nil {
				p.fail(at, "%v", err)
			}
		}
		list = append(list, e)
		if !p.accept(",") {
			return list
		}
	}
}

// template reads a template, and checks that it can be executed.
func (p *parser) template() string {
	at := p.peek()
	text := p.text(`a template such as "{{.level}} {{__line__}}"`)
	if _, err := newTemplate(text); err != nil {
		p.fail(at, "%v", err)
	}
	return text
}

func (p *parser) labelFormat() *LabelFormat {
	f := &LabelFormat{}
	for {
		at := p.peek()
		a := Assignment{Name: p.label("a label's name")}
		for _, other := range f.Assignments {
			if other.Name == a.Name {
				p.fail(at, "%s is set twice in one label_format, want another stage for the second", a.Name)
			}
		}
		p.expect("=", `"="`)
		if a.Rename = p.peek().kind == name; a.Rename {
			a.From = p.label("a label's name or a template")
		} else {
			a.Template = p.template()
		}
		f.Assignments = append(f.Assignments, a)
		if !p.accept(",") {
			return f
		}
	}
}

func (p *parser) project() *Project {
	f := &Project{Keep: p.isWord("keep")}
	p.next()
	for {
		target := &Matcher{Name: p.label("a label's name")}
		if t := p.peek(); t.kind == operator && slices.Contains([]string{"=", "!=", "=~", "!~"}, t.value) {
			if t.value == "=" || t.value == "=~" || p.tokens[p.at+1].kind == text {
				target = p.matcher(target.Name)
			}
		}
		f.Targets = append(f.Targets, target)
		if !p.accept(",") {
			return f
		}
	}
}

// predicate reads conditions. And, or and the comma have equal precedence, from left to right.
func (p *parser) predicate() Predicate {
	left := p.condition()
	for {
		l := &Logical{Or: p.isWord("or"), Left: left}
		if !l.Or && !p.isWord("and") && !p.is(",") {
			return left
		}
		p.next()
		l.Right = p.condition()
		left = l
	}
}

func (p *parser) condition() Predicate {
	if p.accept("(") {
		p.nest()
		defer func() { p.depth-- }()
		c := p.predicate()
		p.expect(")", `")", and, or`)
		return c
	}
	label := p.label(wantStage)
	op := p.peek()
	if op.kind != operator || !slices.Contains([]string{"=", "!=", "=~", "!~", "==", ">", ">=", "<", "<="}, op.value) {
		p.unexpected("one of = != =~ !~ == > >= < <=")
	}
	value := p.tokens[p.at+1]
	if value.kind == text || op.value == "=~" || op.value == "!~" {
		return p.matcher(label)
	}
	p.next()
	c := &Compare{Name: label, Op: Op(op.value)}
	if c.Op == Equal {
		c.Op = "=="
	}
	p.quantity(c)
	return c
}

// quantity reads the quantity of a Compare.
func (p *parser) quantity(c *Compare) {
	first := p.peek()
	if p.isWord("ip") {
		p.fail(first, "filters by address (ip) are not supported, want %s", wantCompared)
	}
	value := first
	signed := p.is("-") || p.is("+")
	if signed {
		value = p.tokens[p.at+1]
	}
	switch {
	case value.kind == number:
		c.Value = p.number()
		c.Text = formatNumber(c.Value)
	case value.kind == duration && first.value != "+":
		d := p.duration(wantCompared)
		c.Unit, c.Value, c.Text = Duration, d.Seconds(), formatDuration(d)
	case value.kind == size && !signed:
		p.next()
		c.Unit, c.Text = Size, value.value
		c.Value, _ = parseSize(value.value)
	default:
		p.unexpected(wantCompared)
	}
}
