package logql

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
)

// Limits of the regular expressions of a query.
const (
	// MaxRegexpBytes bounds the text of one expression.
	MaxRegexpBytes = 8 << 10
	// MaxRegexpSize bounds the compiled size of all expressions together, in instructions. A
	// literal of n bytes has n instructions, and a repetition multiplies those of what it repeats.
	// Lists of texts for a label, such as "a|b", do not count.
	MaxRegexpSize = 4000

	// maxValues and maxValueBytes bound the list of texts that replaces an anchored expression.
	maxValues     = 1000
	maxValueBytes = 64 << 10
)

// Matcher compares a label's value. An absent label has the empty value.
type Matcher struct {
	Name  string
	Op    Op
	Value string

	re *compiled // of =~ and !~
}

// Matches reports whether the value passes.
func (m *Matcher) Matches(value string) bool {
	switch m.Op {
	case Equal:
		return value == m.Value
	case NotEqual:
		return value != m.Value
	case Match:
		return m.re.matches(value)
	case NotMatch:
		return !m.re.matches(value)
	default: // of a Project: any value
		return true
	}
}

// Values returns the only values that pass, sorted. It returns false if there is no such list;
// there is one for = and for expressions such as =~"a|b". The caller must not change the list.
func (m *Matcher) Values() ([]string, bool) {
	switch {
	case m.Op == Equal:
		return []string{m.Value}, true
	case m.Op == Match && m.re.values != nil:
		return m.re.values, true
	}
	return nil, false
}

func (m *Matcher) test(b *builder) bool { return m.Matches(b.get(m.Name)) }

// compiled holds a regular expression.
type compiled struct {
	re     *regexp.Regexp
	values []string // the texts that an anchored expression matches, sorted; nil if there are many
}

func (c *compiled) matches(s string) bool {
	if c.values != nil {
		_, found := slices.BinarySearch(c.values, s)
		return found
	}
	return c.re.MatchString(s)
}

// regexpLimits adds up the sizes of a query's regular expressions.
type regexpLimits struct {
	size int
}

// compile compiles a regular expression. If anchored, it has to match the whole text.
func (l *regexpLimits) compile(expression string, anchored bool) (*compiled, error) {
	if len(expression) > MaxRegexpBytes {
		return nil, fmt.Errorf("the regular expression has %d bytes, want at most %d", len(expression), MaxRegexpBytes)
	}
	tree, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return nil, fmt.Errorf("want a regular expression (RE2): %w", err)
	}
	c := &compiled{}
	if anchored {
		if c.values = valuesOf(tree); c.values != nil {
			return c, nil
		}
		expression = "^(?s:" + expression + ")$"
	}
	// The size is checked before compiling, which is what takes the memory.
	if l.size += instructions(tree); l.size > MaxRegexpSize {
		return nil, fmt.Errorf("the query's regular expressions have more than %d instructions when they are compiled, repetitions multiplied, want shorter ones", MaxRegexpSize)
	}
	c.re, err = regexp.Compile(expression)
	if err != nil {
		return nil, fmt.Errorf("want a regular expression (RE2): %w", err)
	}
	return c, nil
}

// instructions estimates how many instructions the compiled expression has.
func instructions(re *syntax.Regexp) int {
	const most = 2 * MaxRegexpSize // keeps sums from overflowing
	n := 1
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpCharClass:
		n = 1 + len(re.Rune)/8 // wide classes take longer to compare
	default:
	}
	for _, sub := range re.Sub {
		n = min(n+instructions(sub), most)
	}
	if re.Op == syntax.OpRepeat {
		n = min(n*max(re.Max, re.Min, 1), most)
	}
	return n
}

// valuesOf returns all texts that the whole expression matches, sorted. It returns nil if there are
// many.
func valuesOf(re *syntax.Regexp) []string {
	if re.Op == syntax.OpConcat {
		// ^ and $ at the ends change nothing, since the whole text has to match.
		if re.Sub[0].Op == syntax.OpBeginText {
			re.Sub = re.Sub[1:]
		}
		if n := len(re.Sub); n > 0 && re.Sub[n-1].Op == syntax.OpEndText {
			re.Sub = re.Sub[:n-1]
		}
	}
	values, ok := expand(re)
	if !ok {
		return nil
	}
	slices.Sort(values)
	return slices.Compact(values)
}

func expand(re *syntax.Regexp) (values []string, ok bool) {
	switch re.Op {
	case syntax.OpEmptyMatch:
		return []string{""}, true
	case syntax.OpLiteral:
		return []string{string(re.Rune)}, re.Flags&syntax.FoldCase == 0
	case syntax.OpCapture:
		return expand(re.Sub[0])
	case syntax.OpQuest:
		values, ok = expand(re.Sub[0])
		return append(values, ""), ok
	case syntax.OpCharClass:
		for i := 0; i < len(re.Rune); i += 2 {
			if re.Rune[i+1]-re.Rune[i] > maxValues {
				return nil, false
			}
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				values = append(values, string(r))
			}
		}
		return values, isFew(values)
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			more, ok := expand(sub)
			if values = append(values, more...); !ok || !isFew(values) {
				return nil, false
			}
		}
		return values, true
	case syntax.OpConcat:
		values = []string{""}
		for _, sub := range re.Sub {
			more, ok := expand(sub)
			if !ok || len(values)*len(more) > maxValues {
				return nil, false
			}
			var product []string
			for _, head := range values {
				for _, tail := range more {
					product = append(product, head+tail)
				}
			}
			if values = product; !isFew(values) {
				return nil, false
			}
		}
		return values, true
	default:
		return nil, false
	}
}

func isFew(values []string) bool {
	n := 0
	for _, v := range values {
		n += len(v)
	}
	return len(values) <= maxValues && n <= maxValueBytes
}
