package loki

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/deis/logger/host/loki/logql"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// looked is the number of each app's newest lines that are searched for labels.
const looked = 1000

// everyStream selects all streams.
var everyStream = &logql.LogQuery{}

// selectorOf parses a selector. If the text is empty, it returns everyStream: clients may leave the
// selector out.
func selectorOf(text string) (*logql.LogQuery, error) {
	if text == "" || text == "{}" {
		return everyStream, nil
	}
	return parseSelector(text)
}

// streamsOf returns the streams that have lines in the window and that one of the selectors
// selects. If a query has stages, only its selector counts.
func (s *request) streamsOf(ctx context.Context, w window, selectors ...*logql.LogQuery) (all []*stream, err error) {
	if !w.end.After(w.start) {
		return nil, nil
	}
	for _, q := range selectors {
		found, err := s.streamsOfSelector(ctx, w, &logql.LogQuery{Matchers: q.Matchers})
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func (s *request) streamsOfSelector(ctx context.Context, w window, q *logql.LogQuery) (all []*stream, err error) {
	t := aim(q)
	pipeline, err := logql.NewPipeline(q)
	if err != nil {
		return nil, err
	}
	apps, err := s.api.appsOf(ctx, &t, w.start)
	if err != nil {
		return nil, err
	}
	filter := t.filter(w.start, w.end.Add(-1))
	var mu sync.Mutex
	err = s.Each(ctx, apps, func(ctx context.Context, app string) error {
		streams := newStreams(app, pipeline.Selects)
		err := s.Read(ctx, read.Query{App: app, Lines: looked, Filter: filter, OmitMessages: true}, func(entries []sdk.Entry) error {
			for i := range entries {
				streams.of(&entries[i]).lines++
			}
			return nil
		})
		mu.Lock()
		defer mu.Unlock()
		for _, of := range streams.known {
			if of.selected {
				all = append(all, of)
			}
		}
		return err
	})
	return all, err
}

// success wraps data as the answer to any request except queries.
func success(data any) any {
	return struct {
		Status string `json:"status"`
		Data   any    `json:"data"`
	}{"success", data}
}

// labels answers with the names of the streams' labels.
func (a *API) labels(w http.ResponseWriter, r *http.Request) error {
	return a.answerLabels(w, r, func(names map[string]bool, l logql.Label) { names[l.Name] = true })
}

// labelValues answers with the values of a label.
func (a *API) labelValues(w http.ResponseWriter, r *http.Request) error {
	name, err := pathName(r)
	if err != nil {
		return err
	}
	return a.answerLabels(w, r, func(values map[string]bool, l logql.Label) {
		if l.Name == name {
			values[l.Value] = true
		}
	})
}

// pathName returns the label's name in the path of a request.
func pathName(r *http.Request) (string, error) {
	name, err := url.PathUnescape(chi.URLParam(r, "name"))
	if err != nil {
		err = sdk.Refusef("label %.80q: not a valid part of a path", chi.URLParam(r, "name"))
	}
	return name, err
}

// answerLabels answers with a set. It calls take with each label of each stream, which adds to the
// set.
func (a *API) answerLabels(w http.ResponseWriter, r *http.Request, take func(set map[string]bool, l logql.Label)) error {
	return a.answerStreams(w, r, func(streams []*stream) any {
		set := map[string]bool{}
		for _, of := range streams {
			for _, l := range of.labels {
				take(set, l)
			}
		}
		return success(slices.AppendSeq([]string{}, slices.Values(slices.Sorted(maps.Keys(set)))))
	})
}

// answerStreams answers with the result of body, which gets the streams in the request's window
// that its query selects.
func (a *API) answerStreams(w http.ResponseWriter, r *http.Request, body func([]*stream) any) error {
	within, err := parseWindow(r.Form, time.Now())
	if err != nil {
		return err
	}
	selector, err := selectorOf(r.Form.Get("query"))
	if err != nil {
		return err
	}
	return a.answering(w, r, func(ctx context.Context, s *request) (func(*out), error) {
		streams, err := s.streamsOf(ctx, within, selector)
		if err != nil {
			return nil, err
		}
		return asJSON(body(streams)), nil
	})
}

// series answers with the labels of streams.
func (a *API) series(w http.ResponseWriter, r *http.Request) error {
	within, err := parseWindow(r.Form, time.Now())
	if err != nil {
		return err
	}
	var selectors []*logql.LogQuery
	for _, text := range append(slices.Clone(r.Form["match[]"]), r.Form["match"]...) {
		q, err := selectorOf(text)
		if err != nil {
			return err
		}
		selectors = append(selectors, q)
	}
	switch {
	case len(selectors) == 0:
		selectors = []*logql.LogQuery{everyStream}
	case len(selectors) > maxMatches:
		return sdk.Refusef("match is given %d times, want at most %d", len(selectors), maxMatches)
	}
	return a.answering(w, r, func(ctx context.Context, s *request) (func(*out), error) {
		streams, err := s.streamsOf(ctx, within, selectors...)
		byText := map[string]map[string]string{}
		for _, of := range streams {
			labels := make(map[string]string, len(of.labels))
			for _, l := range of.labels {
				labels[l.Name] = l.Value
			}
			byText[of.labels.String()] = labels
		}
		all := make([]map[string]string, 0, len(byText))
		for _, text := range slices.Sorted(maps.Keys(byText)) {
			all = append(all, byText[text])
		}
		return asJSON(success(all)), err
	})
}

// maxMatches bounds the selectors of one request.
const maxMatches = 20
