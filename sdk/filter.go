package sdk

import (
	"context"
	"io"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Filter says which entries are wanted. If a field has several values, an entry needs to have one
// of them. An empty field lets all entries pass, and so does the zero Filter.
type Filter struct {
	// Since and Until bound the entry's own time, both inclusive.
	Since, Until time.Time
	// Process, Release and Stream are compared as a whole.
	Process, Release, Stream []string
	// Pod has whole names of pods, or the parts behind their last dashes.
	Pod    []string
	Source []Source
	// Level is the least level that passes. Unless it is LevelUnknown, an entry without a level
	// does not pass. A piece of a line passes with any level: the host takes the level of the first
	// piece.
	Level Level
	// Include and Exclude are regular expressions (RE2) on the message: one of Include has to
	// match, none of Exclude may. A piece of a line (see [Entry.Partial]) passes with any text:
	// only the host knows the whole line.
	Include, Exclude []string
}

// The limits of a filter. They bound the memory and time that its regular expressions take, whoever
// wrote them.
const (
	// MaxPatterns bounds the number of regular expressions in Include, and in Exclude.
	MaxPatterns = 8
	// MaxPatternBytes bounds the text of one regular expression.
	MaxPatternBytes = 1000
	// MaxPatternSize bounds the compiled regular expressions of a filter together, in instructions.
	// A literal of n characters has n. A repetition has as many as what it repeats, times the
	// number of repetitions.
	MaxPatternSize = 4000
)

// IsZero reports whether the filter lets everything pass.
func (f *Filter) IsZero() bool {
	return f.Since.IsZero() && f.Until.IsZero() && len(f.Process) == 0 && len(f.Release) == 0 && len(f.Stream) == 0 &&
		len(f.Pod) == 0 && len(f.Source) == 0 && f.Level == LevelUnknown && len(f.Include) == 0 && len(f.Exclude) == 0
}

// ReadsMessages reports whether the filter matches messages.
func (f *Filter) ReadsMessages() bool { return len(f.Include)+len(f.Exclude) > 0 }

// Compile makes a Matcher of the filter. It fails with [ErrInvalid] if a text is no regular
// expression or if there are more than MaxPatterns, and with [ErrTooExpensive] beyond the other
// limits.
func (f *Filter) Compile() (*Matcher, error) {
	m := &Matcher{filter: *f}
	size := 0
	for _, list := range []struct {
		name     string
		patterns []string
		to       *[]pattern
	}{{"include", f.Include, &m.include}, {"exclude", f.Exclude, &m.exclude}} {
		if len(list.patterns) > MaxPatterns {
			return nil, Refusef("%s is given %d times, want at most %d", list.name, len(list.patterns), MaxPatterns)
		}
		for _, text := range list.patterns {
			p, err := compilePattern(list.name, text, &size)
			if err != nil {
				return nil, err
			}
			*list.to = append(*list.to, p)
		}
	}
	return m, nil
}

// pattern holds one compiled regular expression.
type pattern struct {
	// literal is in every message that the expression matches. It is looked for first, which is
	// many times faster. Fold says that the case of its letters does not count; the literal is then
	// in lower case.
	literal string
	fold    bool
	// whole says that the expression is nothing but the literal, with its case.
	whole bool
	re    *regexp.Regexp
	size  int // in instructions
}

func compilePattern(name, text string, size *int) (p pattern, err error) {
	if len(text) > MaxPatternBytes {
		return p, tooExpensive("%s has %d bytes, want at most %d", name, len(text), MaxPatternBytes)
	}
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return p, Refusef("%s=%.80q: not a regular expression (RE2): %v", name, text, err)
	}
	// Count before compiling, since that takes the memory.
	p.size = instructions(tree)
	if *size += p.size; *size > MaxPatternSize {
		return p, tooExpensive("%s=%.80q: the regular expressions have more than %d instructions when they are compiled, repetitions multiplied; write shorter ones", name, text, MaxPatternSize)
	}
	l := literalOf(tree)
	p.literal, p.fold, p.whole = l.text, l.fold, l.whole && !l.fold
	p.re, err = regexp.Compile(text)
	if err != nil {
		return p, Refusef("%s=%.80q: not a regular expression (RE2): %v", name, text, err)
	}
	return p, nil
}

// instructions returns about how many instructions the compiled expression has. It counts no
// further than a multiple of MaxPatternSize, so that nothing overflows.
func instructions(re *syntax.Regexp) int {
	const most = 100 * MaxPatternSize
	var n int
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpCharClass:
		n = 1 + len(re.Rune)/8 // wide classes take longer to compare
	default:
		n = 1
	}
	for _, sub := range re.Sub {
		n = min(n+instructions(sub), most)
	}
	if re.Op == syntax.OpRepeat {
		n = min(n*max(re.Max, re.Min, 1), most)
	}
	return n
}

// literal holds a text that every match has.
type literal struct {
	text  string
	fold  bool // in any case of letters
	whole bool // a match has nothing else
}

// literalOf finds the longest literal of the expression.
func literalOf(re *syntax.Regexp) (l literal) {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 {
			return literal{text: foldable(re.Rune), fold: true}
		}
		return literal{text: string(re.Rune), whole: true}
	case syntax.OpCapture:
		return literalOf(re.Sub[0])
	case syntax.OpPlus:
		l = literalOf(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			l = literalOf(re.Sub[0])
		}
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if s := literalOf(sub); len(s.text) > len(l.text) {
				l = s
			}
		}
	default: // of the others a match may have any text
	}
	l.whole = false
	return l
}

// foldable returns, in lower case, the longest part of the text whose letters have no other forms
// than the two of ASCII. The letters k and s each have a third (U+212A and U+017F).
func foldable(text []rune) string {
	var longest, part []byte
	for _, r := range text {
		switch {
		case r >= 'A' && r <= 'Z':
			r += 'a' - 'A'
		case r >= utf8.RuneSelf:
			part = nil
			continue
		}
		if r == 'k' || r == 's' {
			part = nil
			continue
		}
		if part = append(part, byte(r)); len(part) > len(longest) {
			longest = part
		}
	}
	return string(longest)
}

// containsFold reports whether the text has the literal, in any case of ASCII letters. The literal
// is in lower case.
func containsFold(text, literal string) bool {
	lower := literal[0]
	upper := lower
	if lower >= 'a' && lower <= 'z' {
		upper -= 'a' - 'A'
	}
	next := func(c byte, from int) int {
		if i := strings.IndexByte(text[from:], c); i >= 0 {
			return from + i
		}
		return len(text)
	}
	i, j := next(lower, 0), next(upper, 0)
	for {
		at := min(i, j)
		if at+len(literal) > len(text) {
			return false
		}
		if strings.EqualFold(text[at:at+len(literal)], literal) {
			return true
		}
		if i == at {
			i = next(lower, at+1)
		}
		if j == at {
			j = next(upper, at+1)
		}
	}
}

// Matcher tells which entries pass a [Filter]. It is safe for concurrent use.
type Matcher struct {
	filter           Filter
	include, exclude []pattern
}

// Match reports whether the entry passes. A piece of a line passes with any text and level. The
// only error is that of ctx, which Match looks at within long messages too.
func (m *Matcher) Match(ctx context.Context, e *Entry) (bool, error) {
	f := &m.filter
	if !f.Since.IsZero() && e.Time.Before(f.Since) || !f.Until.IsZero() && e.Time.After(f.Until) || !f.labels(e) {
		return false, nil
	}
	if e.Partial {
		return true, nil
	}
	if e.Level < f.Level {
		return false, nil
	}
	if len(m.include) > 0 {
		if ok, err := anyMatch(ctx, m.include, e.Message); !ok || err != nil {
			return false, err
		}
	}
	excluded, err := anyMatch(ctx, m.exclude, e.Message)
	return !excluded && err == nil, err
}

// labels compares everything but times, the level and the message.
func (f *Filter) labels(e *Entry) bool {
	one := func(wanted []string, is string) bool { return len(wanted) == 0 || slices.Contains(wanted, is) }
	return one(f.Process, e.Process) && one(f.Release, e.Release) && one(f.Stream, e.Stream) &&
		(len(f.Source) == 0 || slices.Contains(f.Source, e.Source)) &&
		(len(f.Pod) == 0 || slices.ContainsFunc(f.Pod, func(pod string) bool {
			// The whole name, or what a line shows of it.
			return e.Pod == pod || e.Pod != "" && strings.HasSuffix(e.Pod, "-"+pod) && !strings.Contains(pod, "-")
		}))
}

func anyMatch(ctx context.Context, patterns []pattern, text string) (bool, error) {
	for i := range patterns {
		if ok, err := patterns[i].match(ctx, text); ok || err != nil {
			return ok, err
		}
	}
	return false, nil
}

// longWork bounds how much a match may cost without a look at ctx, in instructions times bytes:
// some milliseconds.
const longWork = 1 << 20

func (p *pattern) match(ctx context.Context, text string) (bool, error) {
	if p.literal != "" {
		if p.fold && !containsFold(text, p.literal) || !p.fold && !strings.Contains(text, p.literal) {
			return false, nil
		}
	}
	switch {
	case p.whole:
		return true, nil
	case p.size*len(text) <= longWork:
		return p.re.MatchString(text), nil
	}
	if err := ctx.Err(); err != nil {
		return false, err
	}
	r := &interruptible{ctx: ctx, text: text, every: longWork / p.size}
	ok := p.re.MatchReader(r)
	return ok && r.err == nil, r.err
}

// interruptible reads a text, but ends when ctx does. It looks at ctx every so many runes.
type interruptible struct {
	ctx   context.Context
	text  string
	every int
	since int // runes since the last look
	err   error
}

// ReadRune implements [io.RuneReader].
func (r *interruptible) ReadRune() (rune, int, error) {
	if r.since++; r.since > r.every {
		r.since, r.err = 0, r.ctx.Err()
	}
	if r.err != nil || r.text == "" {
		return 0, 0, io.EOF
	}
	c, n := utf8.DecodeRuneInString(r.text)
	r.text = r.text[n:]
	return c, n, nil
}
