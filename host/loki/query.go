package loki

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/deis/logger/host/loki/logql"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/host/scan"
)

// patience bounds how long a request is evaluated, whatever it waits for.
const patience = 20 * time.Second

// request holds a request that is being answered. It is safe for concurrent use.
type request struct {
	*scan.Scan
	api *API
}

// answering reserves the memory of one answer, calls f to read lines for it, and sends what body
// makes of them.
func (a *API) answering(w http.ResponseWriter, r *http.Request, f func(ctx context.Context, s *request) (body func(*out), err error)) error {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	turn, cancelTurn := context.WithTimeout(ctx, a.opts.StorageTimeout)
	defer cancelTurn()
	hold, err := a.memory.Hold(turn, queryBytes)
	if errors.Is(err, read.ErrBusy) {
		return &problem{http.StatusServiceUnavailable, "unavailable", "too many queries are answered at once"}
	}
	if err != nil {
		return err // the client has left
	}
	defer hold.Close()
	body, err := f(ctx, &request{scan.New(a.opts.Logs), a})
	if err != nil {
		return err
	}
	o := &out{w: w, control: http.NewResponseController(w), hold: hold}
	begin(w, http.StatusOK)
	body(o)
	o.flush()
	return nil
}

// query answers a query at one time. A log query gets the lines of the hour before.
func (a *API) query(w http.ResponseWriter, r *http.Request) error {
	values := r.Form
	expr, err := logql.Parse(values.Get("query"))
	if err != nil {
		return err
	}
	at, err := parseTime("time", values.Get("time"), time.Now())
	if err != nil {
		return err
	}
	if q, ok := expr.(*logql.LogQuery); ok {
		// The time itself counts, as it does in a metric.
		return a.answerLines(w, r, q, window{at.Add(-defaultWindow), at.Add(1)})
	}
	return a.answering(w, r, func(ctx context.Context, s *request) (func(*out), error) {
		e, err := s.evaluate(ctx, expr, logql.Span{Start: at, End: at})
		if err != nil {
			return nil, err
		}
		result, err := e.Result()
		if err != nil {
			return nil, err
		}
		if e.Scalar() {
			return s.answer("scalar", func(o *out) { o.b = appendPoint(o.b, result[0].Points[0]) }), nil
		}
		return s.answer("vector", func(o *out) { o.vector(result) }), nil
	})
}

// queryRange answers with the lines in a window, or with the points of a metric in it.
func (a *API) queryRange(w http.ResponseWriter, r *http.Request) error {
	values := r.Form
	expr, err := logql.Parse(values.Get("query"))
	if err != nil {
		return err
	}
	within, err := parseWindow(values, time.Now())
	if err != nil {
		return err
	}
	if q, ok := expr.(*logql.LogQuery); ok {
		return a.answerLines(w, r, q, within)
	}
	step, err := parseStep(values, within)
	if err != nil {
		return err
	}
	return a.answering(w, r, func(ctx context.Context, s *request) (func(*out), error) {
		e, err := s.evaluate(ctx, expr, logql.Span{Start: within.start, End: within.end, Step: step})
		if err != nil {
			return nil, err
		}
		result, err := e.Result()
		if err != nil {
			return nil, err
		}
		return s.answer("matrix", func(o *out) { o.matrix(result) }), nil
	})
}

// answerLines answers a log query.
func (a *API) answerLines(w http.ResponseWriter, r *http.Request, query *logql.LogQuery, within window) (err error) {
	q := linesQuery{window: within, query: query}
	if q.limit, err = parseLimit("limit", r.Form.Get("limit")); err != nil {
		return err
	}
	if q.forward, err = parseForward(r.Form); err != nil {
		return err
	}
	if q.interval, err = parseDuration("interval", r.Form.Get("interval"), 0); err != nil {
		return err
	}
	return a.answering(w, r, func(ctx context.Context, s *request) (func(*out), error) {
		lines, err := s.linesOf(ctx, q)
		if err != nil {
			return nil, err
		}
		return s.answer("streams", func(o *out) { o.streams(lines) }), nil
	})
}
