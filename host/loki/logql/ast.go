package logql

import "time"

// Expr holds a query: a *LogQuery, or a metric query, which is a *Number, *Vector,
// *RangeAggregation, *VectorAggregation or *Binary. String writes it in one form, however it was
// spelt, and Parse of that text returns an equal Expr. Nothing changes an Expr, so goroutines may
// share it.
type Expr interface {
	String() string
	expr()
}

// LogQuery selects streams, and tells how their lines are processed.
type LogQuery struct {
	Matchers []*Matcher
	Stages   []Stage
}

// Stage holds one step of a log query: a *LineFilter, *Extract, *LabelFilter, *LineFormat,
// *LabelFormat, *Project or Decolorize.
type Stage interface {
	String() string
	// compile makes the step for one pipeline.
	compile() (step, error)
}

// Op names a comparison or a calculation, as it is written in a query.
type Op string

// The comparisons of matchers and filters.
const (
	Equal    Op = "="
	NotEqual Op = "!="
	Match    Op = "=~"
	NotMatch Op = "!~"
)

// LineFilter passes a line by its text. If Negative is set, none of the patterns may occur in the
// line; otherwise one has to.
type LineFilter struct {
	Negative bool
	Regexp   bool
	Patterns []*Pattern
}

// Pattern holds one text or regular expression of a LineFilter.
type Pattern struct {
	Text string
	re   *compiled // nil for a text
}

// Extract makes labels from the line's fields. Without Labels, it takes all fields.
type Extract struct {
	Format    string // "json" or "logfmt"
	Strict    bool   // logfmt: a malformed line is an error
	KeepEmpty bool   // logfmt: fields without a value become labels
	Labels    []Extraction
}

// Extraction names a label, and where its value comes from: a path in JSON, or a key in logfmt.
type Extraction struct {
	Name, From string
}

// LabelFilter passes a line by its labels.
type LabelFilter struct {
	Predicate Predicate
}

// Predicate holds a condition on labels: a *Matcher, *Compare or *Logical.
type Predicate interface {
	String() string
	// test evaluates the condition, and may set an error label.
	test(b *builder) bool
}

// Logical combines two predicates.
type Logical struct {
	Or          bool
	Left, Right Predicate
}

// Unit tells how a Compare reads a label's value.
type Unit int

// The units.
const (
	Plain    Unit = iota // a number
	Duration             // in seconds
	Size                 // in bytes
)

// Compare compares a label's value as a quantity.
type Compare struct {
	Name  string
	Op    Op // one of == != > >= < <=
	Unit  Unit
	Value float64
	Text  string // the value as written
}

// LineFormat replaces the line by the output of a template, which gets the labels.
type LineFormat struct {
	Template string
}

// LabelFormat sets labels.
type LabelFormat struct {
	Assignments []Assignment
}

// Assignment sets the label Name to the output of Template, or renames the label From to Name.
type Assignment struct {
	Name, From, Template string
	Rename               bool
}

// Project drops the targets, or everything but the targets.
type Project struct {
	Keep    bool
	Targets []*Matcher // an empty Op matches any value of the label
}

// Decolorize removes the escape sequences of terminals from the line.
type Decolorize struct{}

// Number holds a scalar.
type Number struct {
	Value float64
}

// Vector holds a vector of one element without labels.
type Vector struct {
	Value float64
}

// RangeAggregation makes a sample from the lines of a duration.
type RangeAggregation struct {
	Op     string // count_over_time, rate, bytes_over_time or bytes_rate
	Query  *LogQuery
	Range  time.Duration
	Offset time.Duration
}

// Grouping tells by which labels an aggregation groups: by Labels, or by all others.
type Grouping struct {
	Without bool
	Labels  []string // sorted, without duplicates
}

// VectorAggregation makes one element from each group of a vector. A nil Grouping makes one group.
type VectorAggregation struct {
	Op       string // sum, count, min, max, avg or topk
	K        int    // of topk
	Grouping *Grouping
	Operand  Expr
}

// Binary calculates with two operands, or compares them. A comparison passes the elements for which
// it is true. With Bool, it makes each element 0 or 1.
type Binary struct {
	Op          Op
	Bool        bool
	Left, Right Expr
}

func (*LogQuery) expr()          {}
func (*Number) expr()            {}
func (*Vector) expr()            {}
func (*RangeAggregation) expr()  {}
func (*VectorAggregation) expr() {}
func (*Binary) expr()            {}
