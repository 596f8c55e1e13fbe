package loki

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/deis/logger/host/loki/logql"
	"github.com/deis/logger/sdk"
)

// volumeQuery asks how many bytes of lines there are, by labels.
type volumeQuery struct {
	window
	query *logql.LogQuery
	by    []string
	limit int
}

func parseVolume(r *http.Request) (v volumeQuery, err error) {
	if v.window, err = parseWindow(r.Form, time.Now()); err != nil {
		return v, err
	}
	if !v.end.After(v.start) {
		return v, sdk.Refusef("end is not after start")
	}
	q, err := parseSelector(r.Form.Get("query"))
	if err != nil {
		return v, err
	}
	v.query = &logql.LogQuery{Matchers: q.Matchers}
	if by := r.Form.Get("aggregateBy"); by != "" && by != "series" {
		return v, sdk.Refusef("aggregateBy=%.40q: want series", by)
	}
	for name := range strings.SplitSeq(r.Form.Get("targetLabels"), ",") {
		if name = strings.TrimSpace(name); name != "" {
			v.by = append(v.by, name)
		}
	}
	if len(v.by) == 0 {
		for _, m := range q.Matchers {
			v.by = append(v.by, m.Name)
		}
	}
	slices.Sort(v.by)
	v.by = slices.Compact(v.by)
	v.limit, err = parseLimit("limit", r.Form.Get("limit"))
	return v, err
}

// evaluate returns the series with the most bytes, the largest first. Each point covers the range
// before it.
func (v *volumeQuery) evaluate(ctx context.Context, s *request, within time.Duration, span logql.Span) ([]logql.Series, error) {
	e, err := s.evaluate(ctx, &logql.VectorAggregation{
		Op: "sum", Grouping: &logql.Grouping{Labels: v.by},
		Operand: &logql.RangeAggregation{Op: "bytes_over_time", Query: v.query, Range: within},
	}, span)
	if err != nil {
		return nil, err
	}
	total := func(of logql.Series) (sum float64) {
		for _, p := range of.Points {
			sum += p.Value
		}
		return sum
	}
	all, err := e.Result()
	slices.SortStableFunc(all, func(a, b logql.Series) int { return cmp.Compare(total(b), total(a)) })
	return all[:min(len(all), v.limit)], err
}

// volume answers with the bytes of the whole window.
func (a *API) volume(w http.ResponseWriter, r *http.Request) error {
	v, err := parseVolume(r)
	if err != nil {
		return err
	}
	return a.answering(w, r, func(ctx context.Context, s *request) (func(*out), error) {
		// A range includes its end but not its beginning; with a window, it is the other way round.
		all, err := v.evaluate(ctx, s, v.end.Sub(v.start), logql.Span{Start: v.end.Add(-1)})
		if err != nil {
			return nil, err
		}
		for i := range all {
			all[i].Points[0].At = v.end
		}
		return s.answer("vector", func(o *out) { o.vector(all) }), nil
	})
}

// volumeRange answers with the bytes of each step of the window.
func (a *API) volumeRange(w http.ResponseWriter, r *http.Request) error {
	v, err := parseVolume(r)
	if err != nil {
		return err
	}
	step, err := parseStep(r.Form, v.window)
	if err != nil {
		return err
	}
	return a.answering(w, r, func(ctx context.Context, s *request) (func(*out), error) {
		all, err := v.evaluate(ctx, s, step, logql.Span{Start: v.start, End: v.end, Step: step})
		if err != nil {
			return nil, err
		}
		return s.answer("matrix", func(o *out) { o.matrix(all) }), nil
	})
}
