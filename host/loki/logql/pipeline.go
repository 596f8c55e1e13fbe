package logql

import (
	"strings"
	"time"
)

// step runs a stage in one pipeline. It reports whether the line passes.
type step interface {
	run(b *builder) bool
}

// Pipeline puts lines through the stages of a log query. It is for one goroutine.
type Pipeline struct {
	matchers []*Matcher
	steps    []step
	b        builder
}

// NewPipeline makes the pipeline of a query that [Parse] returned.
func NewPipeline(q *LogQuery) (*Pipeline, error) {
	p := &Pipeline{matchers: q.Matchers}
	for _, s := range q.Stages {
		step, err := s.compile()
		if err != nil {
			return nil, err
		}
		p.steps = append(p.steps, step)
	}
	return p, nil
}

// Selects reports whether the query's selector selects the stream. Since the result is the same for
// all lines of a stream, callers ask once for each stream, and Process does not ask.
func (p *Pipeline) Selects(stream Labels) bool {
	for _, m := range p.matchers {
		if !m.Matches(stream.Get(m.Name)) {
			return false
		}
	}
	return true
}

// Process returns the result of the stages for a line and the labels of its stream, and whether the
// line passes. The labels are valid until the next call. They are the stream's own slice if no
// stage changed them.
func (p *Pipeline) Process(at time.Time, line string, stream Labels) (string, Labels, bool) {
	p.b.reset(at, line, stream)
	for _, s := range p.steps {
		if !s.run(&p.b) {
			return "", nil, false
		}
	}
	return p.b.line, p.b.result(), true
}

func (f *LineFilter) compile() (step, error) { return f, nil }

func (f *LineFilter) run(b *builder) bool {
	for _, p := range f.Patterns {
		if p.in(b.line) {
			return !f.Negative
		}
	}
	return f.Negative
}

func (p *Pattern) in(line string) bool {
	if p.re != nil {
		return p.re.matches(line)
	}
	return strings.Contains(line, p.Text)
}

func (f *LabelFilter) compile() (step, error) { return f, nil }

func (f *LabelFilter) run(b *builder) bool { return f.Predicate.test(b) }

func (p *Project) compile() (step, error) { return p, nil }

func (p *Project) run(b *builder) bool {
	for i := len(b.labels) - 1; i >= 0; i-- {
		l := b.labels[i]
		if p.Keep && (l.Name == ErrorLabel || l.Name == DetailsLabel) {
			continue
		}
		if p.targets(l) != p.Keep {
			b.remove(i)
		}
	}
	return true
}

func (p *Project) targets(l Label) bool {
	for _, t := range p.Targets {
		if t.Name == l.Name && t.Matches(l.Value) {
			return true
		}
	}
	return false
}

func (d Decolorize) compile() (step, error) { return d, nil }

func (Decolorize) run(b *builder) bool {
	b.line = decolorize(b.line)
	return true
}

// decolorize removes escape sequences: ESC [, the parameters, and the character that ends them.
func decolorize(s string) string {
	const begin = "\x1b["
	i := strings.Index(s, begin)
	if i < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for ; i >= 0; i = strings.Index(s, begin) {
		b.WriteString(s[:i])
		for i += len(begin); i < len(s) && s[i] >= 0x20 && s[i] < 0x40; i++ {
		}
		if i < len(s) && s[i] >= 0x40 && s[i] < 0x7F {
			i++
		}
		s = s[i:]
	}
	b.WriteString(s)
	return b.String()
}
