package main

import (
	"cmp"
	"math"
	"slices"
	"sync"
)

// key names a figure: what was measured, of what, and in which unit.
type key struct {
	Measure string `json:"measure"`
	Name    string `json:"name"`
	Unit    string `json:"unit"`
}

// figure holds the values of a key, one for each run, in order.
type figure struct {
	key
	Runs []number `json:"runs"`
	// Median is the median of the runs.
	Median number `json:"median"`
}

// figures collects what is measured. The zero value is empty.
type figures struct {
	mu    sync.Mutex
	order []key
	runs  map[key][]float64
	notes []string
}

// add notes the value of one run.
func (f *figures) add(measure, name, unit string, value float64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	k := key{measure, name, unit}
	if f.runs == nil {
		f.runs = make(map[key][]float64)
	}
	if _, ok := f.runs[k]; !ok {
		f.order = append(f.order, k)
	}
	f.runs[k] = append(f.runs[k], value)
}

// note says once what a reader of the figures must know.
func (f *figures) note(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Contains(f.notes, text) {
		f.notes = append(f.notes, text)
	}
}

// all returns the figures in the order in which they were first seen, each measure's
// together.
func (f *figures) all() []figure {
	f.mu.Lock()
	defer f.mu.Unlock()
	place := func(k key) int {
		return slices.IndexFunc(measures, func(m measure) bool { return m.name == k.Measure })
	}
	order := slices.Clone(f.order)
	slices.SortStableFunc(order, func(a, b key) int { return cmp.Compare(place(a), place(b)) })
	out := make([]figure, len(order))
	for i, k := range order {
		out[i] = figure{key: k, Median: number(median(f.runs[k]))}
		for _, v := range f.runs[k] {
			out[i].Runs = append(out[i].Runs, number(v))
		}
	}
	return out
}

// number encodes a figure as JSON. NaN and infinities become null.
type number float64

// MarshalJSON implements [json.Marshaler].
func (n number) MarshalJSON() ([]byte, error) { //nolint:unparam // the interface wants the error
	if f := float64(n); math.IsNaN(f) || math.IsInf(f, 0) {
		return []byte("null"), nil
	}
	return []byte(n.String()), nil
}
