// Package histogram counts the lines of apps by level over time.
package histogram

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/deis/logger/host/many"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/host/scan"
	"github.com/deis/logger/sdk"
)

const (
	// MaxBuckets bounds the buckets of one histogram.
	MaxBuckets = 1000
	// defaultBuckets bounds the buckets of a histogram for which nobody chose a step.
	defaultBuckets = 60
	// defaultWindow is the time that a histogram covers by default.
	defaultWindow = time.Hour
	// longestWindow keeps differences of times within a [time.Duration].
	longestWindow = 100 * 365 * day
	day           = 24 * time.Hour
)

// Query says which lines are counted: those that pass Filter, by their own times. Filter's Since
// and Until bound the histogram; both are inclusive.
type Query struct {
	Filter sdk.Filter
	// Step is the time that one bucket covers.
	Step time.Duration
}

// NewQuery returns the query for the lines that pass the filter. Without Until, the histogram ends
// now. Without Since, it begins an hour before its end. Without a step, it has at most 60 buckets.
// NewQuery fails with [sdk.ErrInvalid] if the window ends before it begins, or has too many
// buckets.
func NewQuery(filter sdk.Filter, step time.Duration, now time.Time) (Query, error) {
	q := Query{filter, step}
	if q.Filter.Until.IsZero() {
		q.Filter.Until = now
	}
	if q.Filter.Since.IsZero() {
		q.Filter.Since = q.Filter.Until.Add(-defaultWindow)
	}
	since, until := q.Filter.Since, q.Filter.Until
	switch {
	case until.Before(since):
		return q, sdk.Refusef("until is before since")
	case until.Sub(since) > longestWindow:
		return q, sdk.Refusef("since and until are more than 100 years apart")
	case step < 0:
		return q, sdk.Refusef("step: want more than 0")
	case step == 0:
		q.Step = q.defaultStep()
	}
	if q.buckets() > MaxBuckets {
		return q, sdk.Refusef("step=%s: more than %d buckets; want a longer step, or a shorter time", q.StepText(), MaxBuckets)
	}
	return q, nil
}

// steps are tried in turn if nobody chose a step. A longer step is a whole number of days.
var steps = []time.Duration{
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 15 * time.Second, 20 * time.Second, 30 * time.Second,
	time.Minute, 90 * time.Second, 2 * time.Minute, 3 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute,
	20 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 3 * time.Hour, 4 * time.Hour, 6 * time.Hour,
	8 * time.Hour, 12 * time.Hour, day,
}

func (q *Query) defaultStep() time.Duration {
	for _, step := range steps {
		if (&Query{q.Filter, step}).buckets() <= defaultBuckets {
			return step
		}
	}
	// A window that begins within a bucket needs one bucket more than its length says.
	days := q.Filter.Until.Sub(q.Filter.Since)/((defaultBuckets-1)*day) + 1
	return days * day
}

// first returns the beginning of the first bucket.
func (q *Query) first() time.Time { return q.Filter.Since.UTC().Truncate(q.Step) }

// buckets returns the number of buckets in the window.
func (q *Query) buckets() int { return int(q.Filter.Until.Sub(q.first())/q.Step) + 1 }

// StepText returns the step without parts that are zero: 1m, where [time.Duration] writes 1m0s.
func (q *Query) StepText() string {
	text := q.Step.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

// Bucket counts the lines whose own time is in one step.
type Bucket struct {
	// Time is the beginning of the step, a whole number of steps after the year 1 in UTC.
	Time  time.Time `json:"time"`
	Total uint64    `json:"total"`
	// Levels holds the counts that are not 0. Lines without a level are "unknown".
	Levels map[string]uint64 `json:"levels"`
}

// counts holds one bucket's counts by level.
type counts [sdk.LevelFatal + 1]uint64

// Count counts the lines of the apps. It leaves out buckets without lines. It fails with
// [read.ErrSearch] if that takes too much processor time.
func (q *Query) Count(ctx context.Context, s *scan.Scan, apps []string) ([]Bucket, error) {
	all, first := make([]counts, q.buckets()), q.first()
	var mu sync.Mutex
	err := s.Each(ctx, apps, func(ctx context.Context, app string) error {
		return s.Read(ctx, read.Query{App: app, Lines: -1, Filter: q.Filter, OmitMessages: true}, func(entries []sdk.Entry) error {
			mu.Lock()
			defer mu.Unlock()
			for i := range entries {
				e := &entries[i]
				at := int(e.Time.Sub(first) / q.Step)
				all[min(max(at, 0), len(all)-1)][min(e.Level, sdk.LevelFatal)]++
			}
			return nil
		})
	})
	buckets := []Bucket{}
	for i := range all {
		if b := all[i].bucket(); b.Total > 0 {
			b.Time = first.Add(time.Duration(i) * q.Step)
			buckets = append(buckets, b)
		}
	}
	return buckets, err
}

func (c *counts) bucket() Bucket {
	b := Bucket{Levels: map[string]uint64{}}
	for level, n := range c {
		if n > 0 {
			b.Total += n
			b.Levels[sdk.Level(level).String()] = n
		}
	}
	return b
}

// Apps returns the selected apps, each once: every name, and for a pattern those apps that have
// lines at or after since.
func Apps(ctx context.Context, storage scan.Lister, s *many.Selection, since time.Time) ([]string, error) {
	apps := slices.Clone(s.Names())
	if s.Patterns() {
		infos, err := scan.Apps(ctx, storage, s.Match, since)
		if err != nil {
			return nil, err
		}
		for i := range infos {
			apps = append(apps, infos[i].App)
		}
	}
	slices.Sort(apps)
	return slices.Compact(apps), nil
}
