package logql

import (
	"errors"
	"testing"
	"time"
	"unicode/utf8"
)

// evaluate puts a line through an expression, and checks what must hold for every expression.
func evaluate(t *testing.T, e Expr, line string) {
	t.Helper()
	if len(line) > 10_000 || !utf8.ValidString(line) {
		return
	}
	at := time.Unix(1_700_000_000, 5)
	stream := Labels{{"app", "foo"}, {"process", "web"}, {"stream", "stderr"}}
	q, ok := e.(*LogQuery)
	if !ok {
		evaluateMetric(t, e, at, line, stream)
		return
	}
	p, err := NewPipeline(q)
	if err != nil {
		t.Fatalf("%s was parsed, and its pipeline fails: %v", e, err)
	}
	out, labels, keep := p.Process(at, line, stream)
	if !keep {
		return
	}
	if len(out) > len(line)+maxTemplateBytes {
		t.Errorf("%s: a line of %d bytes became one of %d", e, len(line), len(out))
	}
	for i := 1; i < len(labels); i++ {
		if labels[i-1].Name >= labels[i].Name {
			t.Errorf("%s: labels %s of %q are not sorted", e, labels, line)
		}
	}
	if again, other, _ := p.Process(at, line, stream); again != out || other.String() != labels.String() {
		t.Errorf("%s: %q became another line the second time", e, line)
	}
}

func evaluateMetric(t *testing.T, expr Expr, at time.Time, line string, stream Labels) {
	t.Helper()
	e, err := NewEvaluation(expr, Span{Start: at.Add(-time.Minute), End: at.Add(time.Minute), Step: 7 * time.Second})
	if err != nil {
		t.Fatalf("%s was parsed, and its evaluation fails: %v", expr, err)
	}
	for _, r := range e.Ranges() {
		for i := range 3 {
			if r.Selects(stream) {
				_ = r.Add(at.Add(time.Duration(i)*time.Second), line, stream)
			}
		}
	}
	result, err := e.Result()
	if err != nil && !errors.Is(err, ErrTooLarge) {
		t.Errorf("%s: %v", expr, err)
	}
	for _, s := range result {
		if len(s.Points) > e.steps {
			t.Errorf("%s: %d points in %d steps", expr, len(s.Points), e.steps)
		}
	}
}
