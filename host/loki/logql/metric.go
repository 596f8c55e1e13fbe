package logql

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Limits of a metric query. They bound the memory that its evaluation takes.
const (
	// MaxSteps bounds the number of times at which a query is evaluated.
	MaxSteps = 11_000
	// MaxSeries bounds the series of each range.
	MaxSeries = 500
	// MaxLabelBytes bounds the labels of all series of all ranges together.
	MaxLabelBytes = 4 << 20
	// MaxPoints bounds the points of all series of all ranges together.
	MaxPoints = 1 << 20
	// MaxWork bounds the points that operators and aggregations look at; topk counts each point
	// topWork times. It is at most a second of processor time.
	MaxWork = 32 << 20
	topWork = 16
)

// The errors of an evaluation that the query or the lines cause.
var (
	// ErrTooLarge tells that an evaluation would exceed the limits above.
	ErrTooLarge = errors.New("the query makes too much")
	// ErrLine tells that a stage could not handle a line that a range counts.
	ErrLine = errors.New("a line has an error")
)

// Span says when a metric query is evaluated: at Start, and then every Step until End. Without a
// Step, it is evaluated only at Start.
type Span struct {
	Start, End time.Time
	Step       time.Duration
}

// steps returns the number of times.
func (s Span) steps() (int, error) {
	if s.Step <= 0 || !s.End.After(s.Start) {
		return 1, nil
	}
	n := s.End.Sub(s.Start) / s.Step
	if n >= MaxSteps {
		return 0, fmt.Errorf("%w: more than %d points in each series, want a longer step than %s", ErrTooLarge, MaxSteps, s.Step)
	}
	return int(n) + 1, nil
}

// Evaluation evaluates a metric query. First, its ranges count the lines that the caller reads for
// them. Then Result evaluates the rest of the query.
type Evaluation struct {
	expr   Expr
	span   Span
	steps  int
	ranges []*Range
	of     map[*RangeAggregation]*Range
	points int
	// labelBytes is about the number of bytes of the series' labels so far.
	labelBytes int
	work       int
}

// NewEvaluation prepares a metric query that [Parse] returned.
func NewEvaluation(expr Expr, span Span) (*Evaluation, error) {
	steps, err := span.steps()
	if err != nil {
		return nil, err
	}
	e := &Evaluation{expr: expr, span: span, steps: steps, of: map[*RangeAggregation]*Range{}}
	return e, e.collect(expr, &everything)
}

// everything groups by all labels.
var everything = Grouping{Without: true}

// collect makes the ranges of the expression, grouped by g.
func (e *Evaluation) collect(expr Expr, g *Grouping) error {
	switch x := expr.(type) {
	case *RangeAggregation:
		r, err := e.newRange(x, g)
		e.ranges, e.of[x] = append(e.ranges, r), r
		return err
	case *VectorAggregation:
		if x.Op == "sum" && isRange(x.Operand) {
			return e.collect(x.Operand, x.groups())
		}
		return e.collect(x.Operand, &everything)
	case *Binary:
		return errors.Join(e.collect(x.Left, &everything), e.collect(x.Right, &everything))
	case *LogQuery:
		return errors.New("a log query has no metric")
	}
	return nil
}

// isRange reports whether the operand is a range. A sum of a range is computed while lines are
// counted, because the range alone may have many series.
func isRange(e Expr) bool {
	_, ok := e.(*RangeAggregation)
	return ok
}

// Ranges returns the ranges. Each has to get its lines before Result is called.
func (e *Evaluation) Ranges() []*Range { return e.ranges }

// Scalar reports whether the query is a number without labels.
func (e *Evaluation) Scalar() bool { return isScalar(e.expr) }

// Range counts the lines of one range aggregation. It is for one goroutine.
type Range struct {
	// Query selects the lines to count.
	Query *LogQuery
	// After and Until bound the times of the lines that count; only Until is inclusive.
	After, Until time.Time

	aggregation *RangeAggregation
	evaluation  *Evaluation
	pipeline    *Pipeline
	grouping    *Grouping
	series      map[string]*counts
	key         []byte
	ofStream    map[*Label]*counts // by the labels of streams, if no stage changes them
}

// counts holds one series of a range. Each slot holds the difference from the slot before it, so a
// line changes only two of them, however many steps it counts in.
type counts struct {
	labels Labels
	lines  []int64
	bytes  []int64 // nil if only lines are counted
}

func (e *Evaluation) newRange(a *RangeAggregation, g *Grouping) (*Range, error) {
	p, err := NewPipeline(a.Query)
	last := e.span.Start.Add(time.Duration(e.steps-1) * e.span.Step)
	return &Range{
		Query:       a.Query,
		After:       e.span.Start.Add(-a.Offset).Add(-a.Range),
		Until:       last.Add(-a.Offset),
		aggregation: a,
		evaluation:  e,
		pipeline:    p,
		grouping:    g,
		series:      map[string]*counts{},
		ofStream:    map[*Label]*counts{},
	}, err
}

// Selects reports whether the range counts lines of the stream. The answer is the same for all
// lines of a stream.
func (r *Range) Selects(stream Labels) bool { return r.pipeline.Selects(stream) }

// ReadsLines reports whether the range looks at the lines that it counts. If not, their labels and
// times are enough.
func (r *Range) ReadsLines() bool {
	return r.aggregation.sized() || slices.ContainsFunc(r.Query.Stages, func(s Stage) bool {
		switch s.(type) {
		case *LabelFilter, *Project:
			return false
		}
		return true // the templates of a LabelFormat can read the line
	})
}

// sized reports whether it adds up the bytes of lines.
func (a *RangeAggregation) sized() bool { return strings.HasPrefix(a.Op, "bytes") }

// Add counts the line if its time is within the range and it passes the stages of the query. Lines
// may come in any order. All lines of a stream come with the same slice of labels, which must not
// change. Its error is [ErrTooLarge] or [ErrLine].
func (r *Range) Add(at time.Time, line string, stream Labels) error {
	if !at.After(r.After) || at.After(r.Until) {
		return nil
	}
	line, labels, keep := r.pipeline.Process(at, line, stream)
	if !keep {
		return nil
	}
	if kind := labels.Get(ErrorLabel); kind != "" {
		return fmt.Errorf(`%w: %s (%s) in %s; leave such lines out by | %s="", or count them by | drop %[5]s`,
			ErrLine, kind, labels.Get(DetailsLabel), stream, ErrorLabel)
	}
	first, last := r.window(at)
	if first > last {
		return nil
	}
	c, err := r.countsOf(labels)
	if err != nil {
		return err
	}
	add(c.lines, first, last, 1)
	if c.bytes != nil {
		add(c.bytes, first, last, int64(len(line)))
	}
	return nil
}

func add(to []int64, first, last int, n int64) {
	to[first] += n
	if last+1 < len(to) {
		to[last+1] -= n
	}
}

// window returns the first and the last step whose range contains the time.
func (r *Range) window(at time.Time) (first, last int) {
	e := r.evaluation
	if e.steps == 1 {
		return 0, 0
	}
	since := at.Sub(e.span.Start) + r.aggregation.Offset
	first = max(ceil(since, e.span.Step), 0)
	last = min(ceil(since+r.aggregation.Range, e.span.Step), e.steps) - 1
	return first, last
}

func ceil(d, unit time.Duration) int {
	n := d / unit
	if d%unit > 0 {
		n++
	}
	return int(n)
}

// countsOf returns the series for a line's labels. Lines of one stream have the same labels unless
// a stage changes them.
func (r *Range) countsOf(labels Labels) (*counts, error) {
	if r.pipeline.b.owned || len(labels) == 0 {
		return r.counts(labels)
	}
	c, ok := r.ofStream[&labels[0]]
	if ok {
		return c, nil
	}
	c, err := r.counts(labels)
	if err == nil {
		r.ofStream[&labels[0]] = c
	}
	return c, err
}

// counts returns the series with these labels.
func (r *Range) counts(labels Labels) (*counts, error) {
	r.key = r.grouping.appendKey(r.key[:0], labels)
	if c, ok := r.series[string(r.key)]; ok {
		return c, nil
	}
	e := r.evaluation
	points := e.steps
	if r.aggregation.sized() {
		points *= 2
	}
	if e.points += points; e.points > MaxPoints {
		return nil, fmt.Errorf("%w: more than %d points, want fewer series or a longer step", ErrTooLarge, MaxPoints)
	}
	if len(r.series) == MaxSeries {
		return nil, fmt.Errorf("%w: more than %d series, want fewer labels, such as by sum by (…)", ErrTooLarge, MaxSeries)
	}
	if e.labelBytes += len(r.key); e.labelBytes > MaxLabelBytes {
		return nil, fmt.Errorf("%w: the series' labels have more than %d MiB, want fewer or shorter labels", ErrTooLarge, MaxLabelBytes>>20)
	}
	c := &counts{labels: r.grouping.of(labels), lines: make([]int64, e.steps)}
	if r.aggregation.sized() {
		c.bytes = make([]int64, e.steps)
	}
	r.series[string(r.key)] = c
	return c, nil
}

// vector returns what was counted.
func (r *Range) vector() []vector {
	perSecond := 1.0
	if strings.HasSuffix(r.aggregation.Op, "rate") {
		perSecond = r.aggregation.Range.Seconds()
	}
	all := make([]vector, 0, len(r.series))
	for _, c := range r.series {
		v := vector{labels: c.labels, values: make([]float64, len(c.lines))}
		lines, bytes := int64(0), int64(0)
		for i := range v.values {
			lines += c.lines[i]
			n := lines
			if c.bytes != nil {
				bytes += c.bytes[i]
				n = bytes
			}
			v.values[i] = float64(n) / perSecond
			if lines == 0 {
				v.values[i] = absent
			}
		}
		all = append(all, v)
	}
	return sorted(all)
}

// Point holds a value and its time.
type Point struct {
	At    time.Time
	Value float64
}

// Series holds the points of one set of labels, one for each step that has a value.
type Series struct {
	Labels Labels
	Points []Point
}

// Result evaluates the query with the lines that its ranges have counted. Call it once. The series
// are sorted by their labels, except that those of topk at a single time are sorted by value, the
// largest first. A scalar is one series without labels. The error is an ErrTooLarge.
func (e *Evaluation) Result() ([]Series, error) {
	result := e.evaluate(e.expr)
	if e.work > MaxWork {
		return nil, fmt.Errorf("%w: its operators and aggregations look at more than %d points, want fewer of them, fewer series or a longer step", ErrTooLarge, MaxWork)
	}
	if result.scalar {
		result.vectors = []vector{e.constant(result.value)}
	}
	var series []Series
	for _, v := range result.vectors {
		s := Series{Labels: v.labels}
		for i, value := range v.values {
			if !isAbsent(value) {
				s.Points = append(s.Points, Point{e.span.Start.Add(time.Duration(i) * e.span.Step), value})
			}
		}
		if len(s.Points) > 0 {
			series = append(series, s)
		}
	}
	return series, nil
}
