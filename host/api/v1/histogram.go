package v1

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/deis/logger/host/histogram"
	"github.com/deis/logger/host/scan"
	"github.com/deis/logger/sdk"
)

// histogramNames are the parameters of a histogram.
var histogramNames = slices.Concat(matchNames, []string{"step"})

// histogramPatience bounds how long a histogram is counted, whatever it waits for.
const histogramPatience = 20 * time.Second

// histogram answers how many lines an app has over time, or several apps together. One app has to
// have a log.
func (v *API) histogram(w http.ResponseWriter, r *http.Request) error {
	of, values, err := subjectOf(r, histogramNames, nil, []string{"app"})
	if err != nil {
		return err
	}
	now := time.Now()
	parsed, err := parseQuery(values, now)
	if err != nil {
		return err
	}
	var step time.Duration
	if text := values.Get("step"); text != "" {
		if step, err = sdk.ParseDuration(text); err != nil || step < time.Millisecond {
			return sdk.Refusef("step=%.40q: want a duration of 1ms or more, such as 10s, 5m or 1d", text)
		}
	}
	q, err := histogram.NewQuery(parsed.filter, step, now)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), histogramPatience)
	defer cancel()
	apps := []string{of.app}
	if of.app == "" {
		listing, cancel := context.WithTimeout(ctx, v.opts.StorageTimeout)
		defer cancel()
		if apps, err = histogram.Apps(listing, v.opts.Storage, &of.selection, q.Filter.Since); err != nil {
			return err
		}
	}
	s := scan.New(v.opts.Logs)
	buckets, err := q.Count(ctx, s, apps)
	if err != nil {
		return err
	}
	if of.app != "" && s.Logs() == 0 {
		return of.unknown()
	}
	answerJSON(w, http.StatusOK, struct {
		From     time.Time          `json:"from"`
		Until    time.Time          `json:"until"`
		Step     string             `json:"step"`
		Buckets  []histogram.Bucket `json:"buckets"`
		Warnings []string           `json:"warnings,omitempty"`
	}{q.Filter.Since.UTC(), q.Filter.Until.UTC(), q.StepText(), buckets, s.Warnings()})
	return nil
}
