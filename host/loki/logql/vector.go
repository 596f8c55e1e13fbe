package logql

import (
	"cmp"
	"math"
	"slices"
	"strings"
)

// vector holds one series: for each step a value, or absent.
type vector struct {
	labels Labels
	values []float64
}

// absent stands for a missing value. It is a NaN that no calculation produces.
var absent = math.Float64frombits(0x7FF8_0000_0000_0BAD)

func isAbsent(f float64) bool { return math.Float64bits(f) == math.Float64bits(absent) }

// operand holds the value of an expression: a scalar, or vectors.
type operand struct {
	scalar  bool
	value   float64
	vectors []vector
}

// spend adds the operands' points to the work, and reports whether the evaluation may continue.
func (e *Evaluation) spend(times int, operands ...operand) bool {
	for _, o := range operands {
		e.work += times * len(o.vectors) * e.steps
	}
	return e.work <= MaxWork
}

// evaluate returns vectors that the caller may change. Beyond MaxWork, the result is useless.
func (e *Evaluation) evaluate(expr Expr) operand {
	switch x := expr.(type) {
	case *Number:
		return operand{scalar: true, value: x.Value}
	case *Vector:
		return operand{vectors: []vector{e.constant(x.Value)}}
	case *RangeAggregation:
		return operand{vectors: e.of[x].vector()}
	case *VectorAggregation:
		o := e.evaluate(x.Operand)
		switch {
		case x.Op == topk && e.spend(topWork, o):
			o.vectors = x.top(o.vectors, e.steps)
		case (x.Op != "sum" || !isRange(x.Operand)) && e.spend(1, o):
			o.vectors = x.aggregate(o.vectors, e.steps)
		}
		return o
	case *Binary:
		left, right := e.evaluate(x.Left), e.evaluate(x.Right)
		if e.spend(1, left, right) {
			return x.calculate(left, right)
		}
	}
	return operand{}
}

// constant returns a vector without labels.
func (e *Evaluation) constant(value float64) vector {
	return vector{values: slices.Repeat([]float64{value}, e.steps)}
}

// sorted sorts vectors by their labels.
func sorted(all []vector) []vector {
	slices.SortFunc(all, func(a, b vector) int {
		return slices.CompareFunc(a.labels, b.labels, func(a, b Label) int {
			return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Value, b.Value))
		})
	})
	return all
}

// groups returns how the aggregation groups.
func (a *VectorAggregation) groups() *Grouping {
	if a.Grouping == nil {
		return &Grouping{}
	}
	return a.Grouping
}

func (g *Grouping) includes(label string) bool {
	return slices.Contains(g.Labels, label) != g.Without
}

// appendKey appends a text that only labels of the same group have.
func (g *Grouping) appendKey(to []byte, labels Labels) []byte {
	for _, l := range labels {
		if l.Value != "" && g.includes(l.Name) {
			to = appendKey(to, l)
		}
	}
	return to
}

// of returns a copy of the labels by which the group is formed. It shares no memory with labels.
func (g *Grouping) of(labels Labels) Labels {
	var of Labels
	for _, l := range labels {
		if l.Value != "" && g.includes(l.Name) {
			of = append(of, Label{strings.Clone(l.Name), strings.Clone(l.Value)})
		}
	}
	return of
}

// split divides vectors into groups.
func (a *VectorAggregation) split(all []vector) [][]vector {
	g := a.groups()
	of := map[string]int{}
	var groups [][]vector
	for _, v := range all {
		key := string(g.appendKey(nil, v.labels))
		i, ok := of[key]
		if !ok {
			i = len(groups)
			of[key] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], v)
	}
	return groups
}

// aggregate makes one vector from each group.
func (a *VectorAggregation) aggregate(all []vector, steps int) []vector {
	groups := a.split(all)
	results := make([]vector, 0, len(groups))
	for _, group := range groups {
		result := vector{labels: a.groups().of(group[0].labels), values: make([]float64, steps)}
		for i := range steps {
			result.values[i] = a.reduce(group, i)
		}
		results = append(results, result)
	}
	return sorted(results)
}

// reduce makes one value from a group's values at a step.
func (a *VectorAggregation) reduce(group []vector, step int) float64 {
	n, sum, least, most := 0.0, 0.0, math.NaN(), math.NaN()
	for _, v := range group {
		value := v.values[step]
		if isAbsent(value) {
			continue
		}
		n++
		sum += value
		if math.IsNaN(least) || value < least {
			least = value
		}
		if math.IsNaN(most) || value > most {
			most = value
		}
	}
	switch {
	case n == 0:
		return absent
	case a.Op == "count":
		return n
	case a.Op == "min":
		return least
	case a.Op == "max":
		return most
	case a.Op == "avg":
		return sum / n
	}
	return sum
}

// top keeps the K largest values of each group at each step.
func (a *VectorAggregation) top(all []vector, steps int) []vector {
	order := func(step int) func(a, b vector) int {
		rank := func(v vector) float64 {
			if math.IsNaN(v.values[step]) {
				return math.Inf(-1) // an absent value is not kept anyway
			}
			return v.values[step]
		}
		return func(a, b vector) int { return cmp.Compare(rank(b), rank(a)) }
	}
	for _, group := range a.split(all) {
		if len(group) <= a.K {
			continue
		}
		for i := range steps {
			present := slices.DeleteFunc(slices.Clone(group), func(v vector) bool { return isAbsent(v.values[i]) })
			slices.SortStableFunc(present, order(i))
			for _, v := range present[min(a.K, len(present)):] {
				v.values[i] = absent
			}
		}
	}
	if steps == 1 {
		slices.SortStableFunc(all, order(0))
	}
	return all
}

// calculate applies the operator to the operands, and changes their vectors.
func (b *Binary) calculate(left, right operand) operand {
	switch {
	case left.scalar && right.scalar:
		value, keep := b.apply(left.value, right.value)
		if b.compares() {
			value = number01(keep)
		}
		return operand{scalar: true, value: value}
	case right.scalar:
		for _, v := range left.vectors {
			for i, value := range v.values {
				v.values[i] = b.element(value, right.value, value)
			}
		}
		return left
	case left.scalar:
		for _, v := range right.vectors {
			for i, value := range v.values {
				v.values[i] = b.element(left.value, value, value)
			}
		}
		return right
	}
	return b.match(left, right)
}

// match calculates with the vectors whose labels exist on both sides.
func (b *Binary) match(left, right operand) operand {
	others := make(map[string]vector, len(right.vectors))
	for _, v := range right.vectors {
		others[string(v.labels.AppendKey(nil))] = v
	}
	var result operand
	for _, v := range left.vectors {
		other, ok := others[string(v.labels.AppendKey(nil))]
		if !ok {
			continue
		}
		for i, value := range v.values {
			v.values[i] = b.element(value, other.values[i], value)
		}
		result.vectors = append(result.vectors, v)
	}
	return result
}

// element makes one value from two. Where a comparison is true, the result is kept.
func (b *Binary) element(left, right, kept float64) float64 {
	if isAbsent(left) || isAbsent(right) {
		return absent
	}
	value, keep := b.apply(left, right)
	switch {
	case !b.compares():
		return value
	case b.Bool:
		return number01(keep)
	case keep:
		return kept
	}
	return absent
}

func (b *Binary) compares() bool { return precedence[b.Op] == precedence["=="] }

// apply calculates, or compares.
func (b *Binary) apply(left, right float64) (value float64, keep bool) {
	switch b.Op {
	case "+":
		return left + right, true
	case "-":
		return left - right, true
	case "*":
		return left * right, true
	case "/":
		return left / right, true
	case "%":
		return math.Mod(left, right), true
	case "^":
		return math.Pow(left, right), true
	default:
		return 0, b.Op.compare(left, right)
	}
}

func number01(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
