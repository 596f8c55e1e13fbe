package logql_test

import (
	"fmt"
	"time"

	"github.com/deis/logger/host/loki/logql"
)

var (
	noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	web  = logql.Labels{{Name: "app", Value: "foo"}, {Name: "process", Value: "web"}}
)

// A log query's pipeline processes lines of the streams that its selector selects.
func ExamplePipeline() {
	expr, err := logql.Parse(`{app="foo"} | logfmt | status >= 500 | line_format "{{.process}}: {{.msg}}"`)
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := logql.NewPipeline(expr.(*logql.LogQuery))
	if err != nil || !p.Selects(web) {
		return
	}
	for _, line := range []string{`status=200 msg=fine`, `status=503 msg="no storage"`} {
		if line, labels, keep := p.Process(noon, line, web); keep {
			fmt.Println(line, labels)
		}
	}
	// Output: web: no storage {app="foo", msg="no storage", process="web", status="503"}
}

// A metric query's ranges count lines in any order. Then the rest of the query is evaluated.
func ExampleEvaluation() {
	expr, err := logql.Parse(`sum by (process) (count_over_time({app="foo"} |= "GET" [1m])) * 10`)
	if err != nil {
		fmt.Println(err)
		return
	}
	e, err := logql.NewEvaluation(expr, logql.Span{Start: noon, End: noon.Add(2 * time.Minute), Step: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range e.Ranges() {
		fmt.Println("lines after", r.After.Format(time.TimeOnly), "until", r.Until.Format(time.TimeOnly))
		for second := range 90 {
			if at := noon.Add(time.Duration(second) * time.Second); r.Selects(web) {
				if err := r.Add(at, "GET /", web); err != nil {
					fmt.Println(err)
				}
			}
		}
	}
	result, err := e.Result()
	if err != nil {
		fmt.Println(err)
	}
	for _, s := range result {
		for _, p := range s.Points {
			fmt.Println(s.Labels, p.At.Format(time.TimeOnly), p.Value)
		}
	}
	// Output:
	// lines after 11:59:00 until 12:02:00
	// {process="web"} 12:00:00 10
	// {process="web"} 12:01:00 600
	// {process="web"} 12:02:00 290
}

func ExampleLogQuery_Pushdown() {
	expr, err := logql.Parse(`{app=~"foo|bar"} |= "GET" != "/healthz" | json | status >= 500`)
	if err != nil {
		fmt.Println(err)
		return
	}
	d := expr.(*logql.LogQuery).Pushdown()
	fmt.Println(d.Values, d.Include, d.Exclude)
	// Output: map[app:[bar foo]] [[GET]] [/healthz]
}
