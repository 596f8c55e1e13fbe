package logql

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// entry holds a line of a stream.
type entry struct {
	at     time.Time
	line   string
	stream Labels
}

// evaluation evaluates a query over the lines and returns its series.
func evaluation(query string, span Span, entries []entry) ([]Series, error) {
	expr, err := Parse(query)
	if err != nil {
		return nil, err
	}
	e, err := NewEvaluation(expr, span)
	if err != nil {
		return nil, err
	}
	for _, r := range e.Ranges() {
		for _, entry := range entries {
			if !r.Selects(entry.stream) {
				continue
			}
			if !r.ReadsLines() {
				entry.line = ""
			}
			if err := r.Add(entry.at, entry.line, entry.stream); err != nil {
				return nil, err
			}
		}
	}
	return e.Result()
}

// TestReadsLines: whatever may look at a line, or counts its bytes, says so.
func TestReadsLines(t *testing.T) {
	for query, want := range map[string]bool{
		`count_over_time({app="foo"}[1m])`:                                                   false,
		`rate({app="foo"} | level="warn" or pod="x" | drop __error__, host | keep app [1m])`: false,
		`bytes_over_time({app="foo"}[1m])`:                                                   true,
		`bytes_rate({app="foo"} | drop host [1m])`:                                           true,
		`count_over_time({app="foo"} |= "x" [1m])`:                                           true,
		`count_over_time({app="foo"} | json [1m])`:                                           true,
		`count_over_time({app="foo"} | logfmt | drop a [1m])`:                                true,
		"count_over_time({app=\"foo\"} | label_format a=`{{ __line__ }}` | a=\"x\" [1m])":    true,
		"count_over_time({app=\"foo\"} | line_format `{{.host}}` [1m])":                      true,
		`rate({app="foo"} | decolorize [1m])`:                                                true,
	} {
		expr, err := Parse(query)
		if err != nil {
			t.Fatal(err)
		}
		e, err := NewEvaluation(expr, Span{})
		if err != nil || len(e.Ranges()) != 1 || e.Ranges()[0].ReadsLines() != want {
			t.Errorf("%s: %v, want %v, error %v", query, !want, want, err)
		}
	}
}

// written writes series as {labels} second:value ….
func written(all []Series) string {
	var lines []string
	for _, s := range all {
		line := s.Labels.String()
		for _, p := range s.Points {
			line += fmt.Sprintf(" %v:%v", p.At.Sub(noon).Seconds(), p.Value)
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "; ")
}

func at(seconds float64) time.Time { return noon.Add(time.Duration(seconds * 1e9)) }

func span(start, end, step float64) Span {
	return Span{at(start), at(end), time.Duration(step * 1e9)}
}

func TestEvaluation(t *testing.T) {
	web := Labels{{"app", "foo"}, {"level", "info"}, {"process", "web"}}
	job := Labels{{"app", "foo"}, {"level", "error"}, {"process", "job"}}
	other := Labels{{"app", "bar"}, {"process", "web"}}
	entries := []entry{
		{at(1), "one", web},
		{at(2), "three", web},
		{at(12), "four", web},
		{at(2), "n=5", job},
		{at(11), "n=x", job},
		{at(5), "other", other},
		{at(30), "", other},
	}
	now, steps := span(10, 10, 0), span(0, 30, 10)
	for _, tc := range []struct {
		query string
		span  Span
		want  string
	}{
		{`vector(1)+vector(1)`, now, `{} 10:2`},
		{`vector(1)`, span(0, 20, 10), `{} 0:1 10:1 20:1`},
		{`1 + 2 * 3 ^ 2`, now, `{} 10:19`},
		{`7 % 4 - 8 / 2`, now, `{} 10:-1`},
		{`1 > 2`, now, `{} 10:0`},
		{`1 / 0`, now, `{} 10:+Inf`},

		// Ranges: their beginning is exclusive, their end inclusive.
		{`count_over_time({app="foo", process="web"}[10s])`, now, `{app="foo", level="info", process="web"} 10:2`},
		{`count_over_time({process="web", app="foo"}[8s])`, now, ``},
		{`count_over_time({process="web", app="foo"}[9s])`, now, `{app="foo", level="info", process="web"} 10:1`},
		{`count_over_time({process="web", app="foo"}[1h])`, span(2, 2, 0), `{app="foo", level="info", process="web"} 2:2`},
		{`sum(count_over_time({app="foo"}[10s]))`, steps, `{} 10:3 20:2`},
		{`sum(count_over_time({app="foo"}[20s]))`, steps, `{} 10:3 20:5 30:2`},
		{`sum(count_over_time({app="foo"}[10s] offset 10s))`, steps, `{} 20:3 30:2`},
		{`sum(count_over_time({app="foo"}[10s] offset -10s))`, steps, `{} 0:3 10:2`},
		{`rate({app="bar"}[10s])`, steps, `{app="bar", process="web"} 10:0.1 30:0.1`},
		{`bytes_over_time({app="bar"}[10s])`, steps, `{app="bar", process="web"} 10:5 30:0`},
		{`sum(bytes_rate({app="foo"} |= "o" [10s]))`, steps, `{} 10:0.3 20:0.4`},
		{`count_over_time({app="foo"} | logfmt | n=5 | __error__="" [1m])`, steps, `{app="foo", level="error", n="5", process="job"} 10:1 20:1 30:1`},
		{`sum by (n) (count_over_time({process="job"} | logfmt [1m]))`, now, `{n="5"} 10:1`},

		// Aggregations.
		{`sum by (app) (count_over_time({app=~".+"}[10s]))`, steps, `{app="bar"} 10:1 30:1; {app="foo"} 10:3 20:2`},
		{`sum without (level, process) (count_over_time({app=~".+"}[10s]))`, steps, `{app="bar"} 10:1 30:1; {app="foo"} 10:3 20:2`},
		{`sum by (level, detected_level) (count_over_time({app=~".+"} | drop __error__ [10s]))`, steps, `{} 10:1 30:1; {level="error"} 10:1 20:1; {level="info"} 10:2 20:1`},
		{`count(count_over_time({app=~".+"}[10s]))`, steps, `{} 10:3 20:2 30:1`},
		{`min(count_over_time({app=~".+"}[10s]))`, steps, `{} 10:1 20:1 30:1`},
		{`max by (app) (count_over_time({app=~".+"}[10s]))`, steps, `{app="bar"} 10:1 30:1; {app="foo"} 10:2 20:1`},
		{`avg(count_over_time({app="foo"}[10s]))`, steps, `{} 10:1.5 20:1`},
		{`sum(max by (app) (count_over_time({app=~".+"}[10s])))`, steps, `{} 10:3 20:1 30:1`},
		{`topk(1, count_over_time({app=~".+"}[10s]))`, steps, `{app="bar", process="web"} 30:1; {app="foo", level="error", process="job"} 20:1; {app="foo", level="info", process="web"} 10:2`},
		{`topk(2, sum by (app) (count_over_time({app=~".+"}[10s])))`, now, `{app="foo"} 10:3; {app="bar"} 10:1`},
		{`topk by (app) (1, count_over_time({app=~".+"}[10s]))`, now, `{app="foo", level="info", process="web"} 10:2; {app="bar", process="web"} 10:1`},

		// Operators.
		{`sum(count_over_time({app="foo"}[10s])) * 2 - 1`, steps, `{} 10:5 20:3`},
		{`100 / sum(count_over_time({app="foo"}[10s]))`, steps, `{} 10:33.333333333333336 20:50`},
		{`sum(count_over_time({app="foo"}[10s])) > 2`, steps, `{} 10:3`},
		{`2 < sum(count_over_time({app="foo"}[10s]))`, steps, `{} 10:3`},
		{`sum(count_over_time({app="foo"}[10s])) > bool 2`, steps, `{} 10:1 20:0`},
		{`sum(count_over_time({app="foo"}[10s])) == 9`, steps, ``},
		{`sum by (app) (count_over_time({app=~".+"} |= "n" [10s])) / sum by (app) (count_over_time({app=~".+"}[10s]))`, steps, `{app="foo"} 10:0.6666666666666666 20:0.5`},
		{`sum(count_over_time({app="bar"}[10s])) + sum(count_over_time({app="foo"}[10s]))`, steps, `{} 10:4`},
		{`sum(count_over_time({app="nothing"}[10s]))`, steps, ``},
	} {
		got, err := evaluation(tc.query, tc.span, entries)
		if err != nil {
			t.Errorf("%s: %v", tc.query, err)
			continue
		}
		if written(got) != tc.want {
			t.Errorf("%s:\n\t%s, want\n\t%s", tc.query, written(got), tc.want)
		}
	}
}

func TestEvaluationErrors(t *testing.T) {
	var entries []entry
	for i := range 2000 {
		entries = append(entries, entry{at(float64(i % 60)), fmt.Sprintf("n=%d", i), stream})
	}
	for query, want := range map[string]struct {
		span Span
		err  error
		text string
	}{
		`vector(1)`: {span(0, 11_000, 1), ErrTooLarge, "the query makes too much: more than 11000 points in each series, want a longer step than 1s"},
		`count_over_time({app="foo"} | json [1m])`:                                                                        {span(60, 60, 0), ErrLine, `a line has an error: JSONParserErr (the line is not a JSON object) in {app="foo", level="info", process="web"}; leave such lines out by | __error__="", or count them by | drop __error__`},
		`count_over_time({app="foo"} | logfmt [1m])`:                                                                      {span(60, 60, 0), ErrTooLarge, "the query makes too much: more than 500 series, want fewer labels, such as by sum by (…)"},
		`count_over_time({app="foo"} | logfmt [2m])`:                                                                      {span(60, 9000, 1), ErrTooLarge, "the query makes too much: more than 1048576 points, want fewer series or a longer step"},
		`sum(count_over_time({app="foo"} | logfmt [1m]))`:                                                                 {span(60, 60, 0), nil, ""},
		`sum(count_over_time({app="foo"} | json | drop __error__, __error_details__ [1m]))`:                               {span(60, 60, 0), nil, ""},
		strings.Repeat("topk(1, ", 50) + `count_over_time({app="foo"} | logfmt | n < 400 [2m])` + strings.Repeat(")", 50): {span(60, 2060, 1), ErrTooLarge, "the query makes too much: its operators and aggregations look at more than 33554432 points, want fewer of them, fewer series or a longer step"},
		strings.Repeat("vector(1) + ", 800) + "vector(1)":                                                                 {span(0, 10_000, 1), nil, ""},
		strings.Repeat("vector(1) + ", 1300) + "vector(1)":                                                                {span(0, 10_000, 0.5), ErrTooLarge, "the query makes too much: more than 11000 points in each series, want a longer step than 500ms"},
	} {
		_, err := evaluation(query, want.span, entries)
		if !errors.Is(err, want.err) || err != nil && err.Error() != want.text {
			t.Errorf("%s: error %v, want %s", query, err, want.text)
		}
	}
	if _, err := NewEvaluation(&LogQuery{}, Span{}); err == nil {
		t.Error("a log query was evaluated as a metric")
	}
}

func TestScalar(t *testing.T) {
	for query, want := range map[string]bool{
		"1": true, "1 + 2 ^ 3": true, "1 > 2": true, "vector(1)": false, "1 + vector(1)": false, `rate({app="foo"}[1m]) > 1`: false,
	} {
		expr, err := Parse(query)
		if err != nil {
			t.Fatal(err)
		}
		if e, err := NewEvaluation(expr, Span{}); err != nil || e.Scalar() != want {
			t.Errorf("%s: a scalar: %v, want %v, error %v", query, e.Scalar(), want, err)
		}
	}
}

// TestRangeRandomly counts random lines, and compares the counts with those of each step computed
// alone.
func TestRangeRandomly(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	for range 300 {
		length := time.Duration(1 + random.IntN(30))
		offset := time.Duration(random.IntN(21) - 10)
		s := Span{Start: noon.Add(time.Duration(random.IntN(20))), Step: time.Duration(1 + random.IntN(15))}
		s.End = s.Start.Add(time.Duration(random.IntN(100)))
		query := fmt.Sprintf(`bytes_over_time({app="foo"} [%dns] offset %dns)`, length, offset)
		if offset < 0 {
			query = fmt.Sprintf(`bytes_over_time({app="foo"} [%dns] offset -%dns)`, length, -offset)
		}
		var entries []entry
		for range random.IntN(40) {
			entries = append(entries, entry{noon.Add(time.Duration(random.IntN(160) - 40)), strings.Repeat("x", random.IntN(9)), stream})
		}
		var want []Point
		for step := s.Start; !step.After(s.End); step = step.Add(s.Step) {
			value, some := 0, false
			for _, e := range entries {
				if until := step.Add(-offset); e.at.After(until.Add(-length)) && !e.at.After(until) {
					value, some = value+len(e.line), true
				}
			}
			if some {
				want = append(want, Point{step, float64(value)})
			}
		}
		got, err := evaluation(query, s, entries)
		if err != nil {
			t.Fatalf("seed %d: %s: %v", seed, query, err)
		}
		var points []Point
		if len(got) > 0 {
			points = got[0].Points
		}
		if fmt.Sprint(points) != fmt.Sprint(want) {
			t.Fatalf("seed %d: %s from %v to %v by %v:\n%v, want\n%v", seed, query, s.Start, s.End, s.Step, points, want)
		}
	}
}

// TestNaN: a value that is not a number stays a value, but is neither the largest nor the smallest.
func TestNaN(t *testing.T) {
	a := &VectorAggregation{K: 1}
	of := func(values ...float64) (all []vector) {
		for i, v := range values {
			all = append(all, vector{Labels{{"n", fmt.Sprint(i)}}, []float64{v}})
		}
		return all
	}
	for op, want := range map[string]float64{"min": 1, "max": 2, "count": 3} {
		a.Op = op
		if got := a.reduce(of(math.NaN(), 1, absent, 2), 0); got != want {
			t.Errorf("%s: %v, want %v", op, got, want)
		}
	}
	a.Op = topk
	top := a.top(of(math.NaN(), 1, absent, math.Inf(1)), 1)
	if top[0].labels.Get("n") != "3" || !isAbsent(top[1].values[0]) || !isAbsent(top[2].values[0]) || !isAbsent(top[3].values[0]) {
		t.Errorf("topk: %v", top)
	}
	got, err := evaluation(`vector(0) / vector(0)`, span(0, 0, 0), nil)
	if err != nil || written(got) != "{} 0:NaN" {
		t.Errorf("0/0: %v, error %v", written(got), err)
	}
}

// BenchmarkRange counts 100,000 lines of 100 apps in a histogram of an hour.
func BenchmarkRange(b *testing.B) {
	expr, err := Parse(`sum by (level, detected_level) (count_over_time({app=~".+"} | drop __error__ [20s]))`)
	if err != nil {
		b.Fatal(err)
	}
	streams := make([]Labels, 100)
	for i := range streams {
		streams[i] = Labels{{"app", fmt.Sprint("app-", i)}, {"detected_level", "info"}, {"host", "node-1"}, {"level", "info"}, {"pod", "web-1"}, {"process", "web"}}
	}
	b.ReportAllocs()
	for b.Loop() {
		e, err := NewEvaluation(expr, span(0, 3600, 20))
		if err != nil {
			b.Fatal(err)
		}
		for i := range 100_000 {
			if err := e.Ranges()[0].Add(at(float64(i)*0.036), "a line of some text", streams[i%100]); err != nil {
				b.Fatal(err)
			}
		}
		if result, err := e.Result(); err != nil || len(result) != 1 {
			b.Fatal("no result")
		}
	}
}
