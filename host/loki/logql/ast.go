package logql

import "time"

// Expr is a query: a *LogQuery, or a metric query, which is one of *Number, *Vector,
// *RangeAggregation, *VectorAggregation and *Binary. String writes it in one form for all
// spellings, and Parse of that text returns an equal Expr. Nothing changes an Expr, so that
// goroutines may share it.
type Expr interface {
	String() string
	expr()
}

// LogQuery selects streams and says what becomes of their lines.
type LogQuery struct {
	Matchers []*Matcher
	Stages   []Stage
}

// Stage is one step of a log query: a *LineFilter, *Extract, *LabelFilter, *LineFormat,
// *LabelFormat, *Project or Decolorize.
type Stage interface {
	String() string
	// compile makes the step for one pipeline.
	compile() (step, error)
}

// Op compares or calculates, and is written as in a query.
type Op string

// The comparisons of matchers and filters.
const (
	Equal    Op = "="
	NotEqual Op = "!="
	Match    Op = "=~"
	NotMatch Op = "!~"
)

// LineFilter lets a line pass by its text. Negative says that none of the patterns may be in it;
// otherwise one has to be.
type LineFilter struct {
	Negative bool
	Regexp   bool
	Patterns []*Pattern
}

// Pattern is one text or regular expression of a LineFilter.
type Pattern struct {
	Text string
	re   *compiled // of a regular expression
}

// Extract makes labels of the line's fields. Without Labels it takes all fields.
type Extract struct {
	Format    string // "json" or "logfmt"
	Strict    bool   // logfmt: a malformed line is an error
	KeepEmpty bool   // logfmt: fields without a value become labels
	Labels    []Extraction
}

// Extraction is a label, and the path in JSON or the key in logfmt of its value.
type Extraction struct {
	Name, From string
}

// LabelFilter is a stage that lets a line pass by its labels.
type LabelFilter struct {
	Predicate Predicate
}

// Predicate is a condition on labels: a *Matcher, *Compare or *Logical.
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

// Unit says how a Compare reads a label's value.
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
	Text  string // the value as it was written
}

// LineFormat replaces the line by what a template makes of the labels.
type LineFormat struct {
	Template string
}

// LabelFormat sets labels.
type LabelFormat struct {
	Assignments []Assignment
}

// Assignment sets the label Name to what Template makes, or renames the label From.
type Assignment struct {
	Name, From, Template string
	Rename               bool
}

// Project drops the targets, or keeps nothing but the targets.
type Project struct {
	Keep    bool
	Targets []*Matcher // with an empty Op: whatever the label's value
}

// Decolorize removes the escape sequences of terminals from the line.
type Decolorize struct{}

// Number is a scalar.
type Number struct {
	Value float64
}

// Vector is a vector of one element without labels.
type Vector struct {
	Value float64
}

// RangeAggregation makes a sample of the lines of a duration.
type RangeAggregation struct {
	Op     string // count_over_time, rate, bytes_over_time or bytes_rate
	Query  *LogQuery
	Range  time.Duration
	Offset time.Duration
}

// Grouping says by which labels an aggregation groups: by Labels, or by all others.
type Grouping struct {
	Without bool
	Labels  []string // sorted, without duplicates
}

// VectorAggregation makes one element of each group of a vector. A nil Grouping makes one group.
type VectorAggregation struct {
	Op       string // sum, count, min, max, avg or topk
	K        int    // of topk
	Grouping *Grouping
	Operand  Expr
}

// Binary calculates with two operands, or compares them. A comparison lets those elements pass for
// which it is true; with Bool it makes 0 or 1 of each.
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
