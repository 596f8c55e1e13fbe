package logql

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// precedence tells which operators bind stronger. Operators of equal precedence are read from left
// to right, except ^, which is read from right to left.
var precedence = map[Op]int{
	"or": 1, "and": 2, "unless": 2,
	"==": 3, "!=": 3, ">": 3, ">=": 3, "<": 3, "<=": 3,
	"+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "^": 6,
}

const topk = "topk"

var (
	rangeOps  = []string{"count_over_time", "rate", "bytes_over_time", "bytes_rate"}
	vectorOps = []string{"sum", "count", "min", "max", "avg", topk}

	// unsupported lists words that LogQL accepts as an operand and this package does not.
	unsupported = []string{
		"avg_over_time", "sum_over_time", "min_over_time", "max_over_time", "stddev_over_time", "stdvar_over_time",
		"quantile_over_time", "first_over_time", "last_over_time", "absent_over_time", "rate_counter",
		"stddev", "stdvar", "bottomk", "sort", "sort_desc", "label_replace",
	}
)

const (
	wantOperand = `a selector such as {app="foo"}, a number, vector(…), or one of the functions ` +
		"count_over_time, rate, bytes_over_time, bytes_rate, sum, count, min, max, avg, topk"
	wantMetric = "a metric, such as count_over_time({…} [1m]), here: lines cannot be calculated with"
	wantVector = "a vector, such as count_over_time({…} [1m]), here: a number has no elements to aggregate"
)

// expression reads operands, and operators whose precedence is at least least.
func (p *parser) expression(least int) Expr {
	p.nest()
	defer func() { p.depth-- }()
	first := p.peek()
	left := p.operand()
	for {
		t := p.peek()
		op := Op(strings.ToLower(t.value))
		strength := precedence[op]
		if t.kind == text || strength < least {
			return left
		}
		if op == "and" || op == "or" || op == "unless" {
			p.unexpected("one of + - * / % ^ == != > >= < <=")
		}
		p.next()
		p.metric(first, left)
		b := &Binary{Op: op, Left: left}
		if p.isWord("bool") {
			if precedence["=="] != strength {
				p.unexpected("an operand: only comparisons take bool")
			}
			p.next()
			b.Bool = true
		}
		if p.isWord("on") || p.isWord("ignoring") {
			p.unexpected("an operand: vectors match where all their labels are equal")
		}
		if op != "^" {
			strength++
		}
		at := p.peek()
		b.Right = p.expression(strength)
		p.metric(at, b.Right)
		left = b
	}
}

// metric fails if the expression yields lines.
func (p *parser) metric(at token, e Expr) {
	if _, ok := e.(*LogQuery); ok {
		p.fail(at, "want %s", wantMetric)
	}
}

// isScalar reports whether the expression is a number without labels.
func isScalar(e Expr) bool {
	switch e := e.(type) {
	case *Number:
		return true
	case *Binary:
		return isScalar(e.Left) && isScalar(e.Right)
	}
	return false
}

func (p *parser) operand() Expr {
	t := p.peek()
	switch {
	case p.is("{"):
		return p.logQuery()
	case p.accept("("):
		e := p.expression(1)
		p.expect(")", `")" or an operator`)
		return e
	case t.kind == number, p.is("+"), p.is("-"):
		return &Number{Value: p.number()}
	case t.kind != name:
		p.unexpected(wantOperand)
	case slices.Contains(rangeOps, t.value):
		return p.rangeAggregation()
	case slices.Contains(vectorOps, strings.ToLower(t.value)):
		return p.vectorAggregation()
	case p.acceptWord("vector"):
		p.expect("(", `"("`)
		v := &Vector{Value: p.number()}
		p.expect(")", `")"`)
		return v
	case slices.Contains(unsupported, strings.ToLower(t.value)):
		p.fail(t, "%s is not supported, want %s", t.value, wantOperand)
	}
	p.unexpected(wantOperand)
	return nil
}

// number reads a number with an optional sign.
func (p *parser) number() float64 {
	sign := 1.0
	if p.accept("-") {
		sign = -1
	} else {
		p.accept("+")
	}
	t := p.peek()
	if t.kind != number {
		p.unexpected("a number")
	}
	p.next()
	value, err := strconv.ParseFloat(t.value, 64)
	if hex, ok := strings.CutPrefix(t.value, "0x"); ok {
		var n uint64
		n, err = strconv.ParseUint(hex, 16, 64)
		value = float64(n)
	}
	if err != nil {
		p.fail(t, "the number %.40s is too large", t.value)
	}
	return sign * value
}

func (p *parser) rangeAggregation() Expr {
	a := &RangeAggregation{Op: p.next().value}
	p.expect("(", `"("`)
	if p.peek().kind == number {
		p.unexpected("a selector: " + a.Op + " takes no number")
	}
	p.logRange(a)
	p.expect(")", `")"`)
	if p.isWord("by") || p.isWord("without") {
		p.unexpected("an operator or the end: " + a.Op + " does not group, write sum by (…) (" + a.Op + "(…))")
	}
	return a
}

// logRange reads a log query with its range, which stands before or after the stages.
func (p *parser) logRange(a *RangeAggregation) {
	p.nest()
	defer func() { p.depth-- }()
	inside := p.accept("(")
	if inside && p.is("(") {
		p.logRange(a)
		p.expect(")", `")"`)
		return
	}
	a.Query = p.logQuery()
	if inside && p.accept(")") {
		p.rangeAndOffset(a)
		return
	}
	p.rangeAndOffset(a)
	if len(a.Query.Stages) == 0 {
		a.Query.Stages = p.stages()
	}
	if inside {
		p.expect(")", `")"`)
	}
}

func (p *parser) rangeAndOffset(a *RangeAggregation) {
	p.expect("[", "a stage, or a range such as [5m]")
	at := p.peek()
	a.Range = p.duration("a duration such as 5m")
	if a.Range <= 0 {
		p.fail(at, "want a range above 0")
	}
	p.expect("]", `"]"`)
	if p.acceptWord("offset") {
		a.Offset = p.duration("a duration such as 5m")
	}
}

// maxDuration bounds durations, so that those of a query can be added to a time.
const maxDuration = 36500 * day

// duration reads a duration with an optional minus directly before it.
func (p *parser) duration(want string) time.Duration {
	minus := p.peek()
	negative := p.accept("-")
	t := p.peek()
	if t.kind != duration || negative && t.at != minus.at+1 {
		p.unexpected(want)
	}
	p.next()
	d, err := parseDuration(t.value)
	if err != nil || d > maxDuration {
		p.fail(t, "want a duration of at most %s", formatDuration(maxDuration))
	}
	if negative {
		d = -d
	}
	return d
}

func (p *parser) vectorAggregation() Expr {
	t := p.next()
	a := &VectorAggregation{Op: strings.ToLower(t.value), Grouping: p.grouping()}
	want := `"(", by or without`
	if a.Grouping != nil {
		want = `"("`
	}
	p.expect("(", want)
	if a.Op == topk {
		a.K = p.k()
	}
	at := p.peek()
	a.Operand = p.expression(1)
	p.metric(at, a.Operand)
	if p.is(",") && a.Op != topk {
		p.unexpected(`")": only topk takes a number before its operand`)
	}
	if isScalar(a.Operand) {
		p.fail(at, "want %s", wantVector)
	}
	p.expect(")", `")" or an operator`)
	if a.Grouping == nil {
		a.Grouping = p.grouping()
	}
	return a
}

// k reads how many elements topk takes.
func (p *parser) k() int {
	at := p.peek()
	if at.kind != number {
		p.unexpected("how many elements, such as topk(10, …)")
	}
	k := p.number()
	if k < 1 || k > math.MaxInt32 || k != math.Trunc(k) {
		p.fail(at, "want a whole number from 1 on")
	}
	p.expect(",", `","`)
	return int(k)
}

// grouping reads by (…) or without (…), if it is there.
func (p *parser) grouping() *Grouping {
	g := &Grouping{Without: p.isWord("without")}
	if !g.Without && !p.isWord("by") {
		return nil
	}
	p.next()
	p.expect("(", `"("`)
	if p.accept(")") {
		return g
	}
	for {
		g.Labels = append(g.Labels, p.label("a label's name"))
		if p.accept(")") {
			slices.Sort(g.Labels)
			g.Labels = slices.Compact(g.Labels)
			return g
		}
		p.expect(",", `"," or ")"`)
	}
}
