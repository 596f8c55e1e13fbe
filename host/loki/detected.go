package loki

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/deis/logger/host/loki/logql"
)

// detectedLabels answers with the number of values of each label.
func (a *API) detectedLabels(w http.ResponseWriter, r *http.Request) error {
	type detected struct {
		Label       string `json:"label"`
		Cardinality int    `json:"cardinality"`
	}
	return a.answerStreams(w, r, func(streams []*stream) any {
		values := map[string]map[string]bool{}
		for _, of := range streams {
			for _, l := range of.labels {
				if values[l.Name] == nil {
					values[l.Name] = map[string]bool{}
				}
				values[l.Name][l.Value] = true
			}
		}
		all := make([]detected, 0, len(values))
		for _, name := range slices.Sorted(maps.Keys(values)) {
			all = append(all, detected{name, len(values[name])})
		}
		return map[string]any{"detectedLabels": all}
	})
}

// maxFields bounds how many fields are detected.
const maxFields = 1000

// field holds what the lines tell of one field.
type field struct {
	Label       string   `json:"label"`
	Type        string   `json:"type"`
	Cardinality int      `json:"cardinality"`
	Parsers     []string `json:"parsers"`

	values map[string]bool
}

// detectedFields answers with the fields that json and logfmt find in the newest lines of a query.
func (a *API) detectedFields(w http.ResponseWriter, r *http.Request) error {
	return a.answerFields(w, r, func(fields map[string]*field, limit int) any {
		all := sorted(fields)
		return map[string]any{"fields": all[:min(len(all), limit)], "limit": limit}
	})
}

// detectedValues answers with the values of one field that json and logfmt find in the newest lines
// of a query.
func (a *API) detectedValues(w http.ResponseWriter, r *http.Request) error {
	name, err := pathName(r)
	if err != nil {
		return err
	}
	return a.answerFields(w, r, func(fields map[string]*field, limit int) any {
		values := []string{}
		if f := fields[name]; f != nil {
			values = slices.Sorted(maps.Keys(f.values))
		}
		return map[string]any{"values": values[:min(len(values), limit)], "limit": limit}
	})
}

// answerFields answers with the result of body, which gets the fields of a query's newest lines,
// and the limit.
func (a *API) answerFields(w http.ResponseWriter, r *http.Request, body func(fields map[string]*field, limit int) any) (err error) {
	var q linesQuery
	if q.window, err = parseWindow(r.Form, time.Now()); err != nil {
		return err
	}
	if q.query, err = parseSelector(r.Form.Get("query")); err != nil {
		return err
	}
	if q.limit, err = parseLimit("line_limit", r.Form.Get("line_limit")); err != nil {
		return err
	}
	limit := maxFields
	if text := r.Form.Get("limit"); text != "" {
		if limit, err = parseLimit("limit", text); err != nil {
			return err
		}
	}
	return a.answering(w, r, func(ctx context.Context, s *request) (func(*out), error) {
		lines, err := s.linesOf(ctx, q)
		if err != nil {
			return nil, err
		}
		fields, err := fieldsOf(lines)
		return asJSON(body(fields, limit)), err
	})
}

// sorted returns the fields, sorted by name.
func sorted(fields map[string]*field) []*field {
	all := make([]*field, 0, len(fields))
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		f := fields[name]
		f.Cardinality = len(f.values)
		f.Type = typeOf(f.values)
		all = append(all, f)
	}
	return all
}

// fieldsOf finds the fields of lines that are JSON or contain pairs of logfmt.
func fieldsOf(lines []line) (map[string]*field, error) {
	fields := map[string]*field{}
	for _, format := range []string{"json", "logfmt"} {
		p, err := logql.NewPipeline(&logql.LogQuery{Stages: []logql.Stage{&logql.Extract{Format: format}}})
		if err != nil {
			return nil, err
		}
		for i := range lines {
			if isJSON := strings.HasPrefix(strings.TrimSpace(lines[i].text), "{"); isJSON != (format == "json") {
				continue
			}
			_, labels, _ := p.Process(time.Unix(0, lines[i].at), lines[i].text, nil)
			if labels.Get(logql.ErrorLabel) != "" {
				continue
			}
			for _, l := range clone(labels) {
				f := fields[l.Name]
				if f == nil && len(fields) == maxFields {
					continue
				}
				if f == nil {
					f = &field{Label: l.Name, values: map[string]bool{}}
					fields[l.Name] = f
				}
				if f.values[l.Value] = true; !slices.Contains(f.Parsers, format) {
					f.Parsers = append(f.Parsers, format)
				}
			}
		}
	}
	return fields, nil
}

// typeOf returns the name of the type that fits all values.
func typeOf(values map[string]bool) string {
	for _, kind := range []struct {
		name string
		is   func(string) bool
	}{
		{"boolean", func(v string) bool { return v == "true" || v == "false" }},
		{"int", func(v string) bool { _, err := strconv.ParseInt(v, 10, 64); return err == nil }},
		{"float", func(v string) bool { _, err := strconv.ParseFloat(v, 64); return err == nil }},
		{"duration", func(v string) bool { _, err := time.ParseDuration(v); return err == nil }},
	} {
		all := true
		for v := range values {
			all = all && kind.is(v)
		}
		if all {
			return kind.name
		}
	}
	return "string"
}
