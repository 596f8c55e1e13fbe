package logql

import "strconv"

func (l *Logical) test(b *builder) bool {
	left := l.Left.test(b)
	if left == l.Or {
		return left
	}
	return l.Right.test(b)
}

// test passes a line that failed in an earlier stage, as all comparisons of quantities do. Queries
// remove such lines by a filter on __error__.
func (c *Compare) test(b *builder) bool {
	if b.failed() {
		return true
	}
	i := b.index(c.Name)
	if i < 0 {
		return false
	}
	value, ok := c.Unit.read(b.labels[i].Value)
	if !ok {
		b.fail("LabelFilterErr", c.Name+" is not "+c.Unit.String())
		return true
	}
	return c.Op.compare(value, c.Value)
}

func (u Unit) String() string {
	return [...]string{Plain: "a number", Duration: "a duration", Size: "a size"}[u]
}

// read parses a label's value in the unit.
func (u Unit) read(s string) (float64, bool) {
	switch u {
	case Duration:
		d, err := parseDuration(s)
		return d.Seconds(), err == nil
	case Size:
		return parseSize(s)
	default:
		f, err := strconv.ParseFloat(s, 64)
		return f, err == nil
	}
}

// compare evaluates the comparison.
func (o Op) compare(a, b float64) bool {
	switch o {
	case "==":
		return a == b
	case "!=":
		return a != b
	case ">":
		return a > b
	case ">=":
		return a >= b
	case "<":
		return a < b
	default:
		return a <= b
	}
}
