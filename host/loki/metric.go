package loki

import (
	"context"
	"sync"

	"github.com/deis/logger/host/loki/logql"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// evaluate reads the lines of the metric's ranges, and returns the evaluation, ready for Result.
func (s *request) evaluate(ctx context.Context, expr logql.Expr, span logql.Span) (*logql.Evaluation, error) {
	e, err := logql.NewEvaluation(expr, span)
	if err != nil {
		return nil, err
	}
	for _, r := range e.Ranges() {
		if err := s.count(ctx, r); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// count makes the range count the lines of all its apps.
func (s *request) count(ctx context.Context, r *logql.Range) error {
	since := r.After.Add(1) // After itself does not count
	t := aim(r.Query)
	apps, err := s.api.appsOf(ctx, &t, since)
	if err != nil {
		return err
	}
	query := read.Query{Lines: -1, Filter: t.filter(since, r.Until), OmitMessages: !r.ReadsLines()}
	var mu sync.Mutex
	return s.Each(ctx, apps, func(ctx context.Context, app string) error {
		streams := newStreams(app, r.Selects)
		query := query
		query.App = app
		return s.Read(ctx, query, func(entries []sdk.Entry) error {
			mu.Lock()
			defer mu.Unlock()
			for i := range entries {
				e := &entries[i]
				if stream := streams.of(e); stream.selected {
					if err := r.Add(e.Time, e.Message, stream.labels); err != nil {
						return err
					}
				}
			}
			return nil
		})
	})
}
