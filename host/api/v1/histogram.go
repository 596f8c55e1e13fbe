package v1

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/deis/logger/host/histogram"
	"github.com/deis/logger/host/many"
	"github.com/deis/logger/host/scan"
	"github.com/deis/logger/sdk"
)

// histogramNames are the parameters of a histogram, and of one of several apps.
var (
	histogramNames  = append(slices.DeleteFunc(slices.Clone(filterNames), func(n string) bool { return n == "lines" || n == "wait" }), "step")
	histogramsNames = append(slices.Clone(histogramNames), "app")
)

// histogramPatience bounds how long a histogram is counted, whatever it waits for.
const histogramPatience = 20 * time.Second

// histogramOf answers how many lines an app has over time.
func (v *API) histogramOf(w http.ResponseWriter, r *http.Request) error {
	app, values, err := asked(r, histogramNames)
	if err != nil {
		return err
	}
	return v.histogram(w, r, values, app, nil)
}

// histogramOfApps answers how many lines several apps have together.
func (v *API) histogramOfApps(w http.ResponseWriter, r *http.Request) error {
	values, err := parameters(r, histogramsNames)
	if err != nil {
		return err
	}
	selection, err := many.ParseSelection(values["app"])
	if err != nil {
		return err
	}
	return v.histogram(w, r, values, "", &selection)
}

// histogram answers the counts of the lines of the selected apps, or of the one app, which has to
// have a log.
func (v *API) histogram(w http.ResponseWriter, r *http.Request, values url.Values, app string, selection *many.Selection) error {
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
	apps := []string{app}
	if selection != nil {
		listing, cancel := context.WithTimeout(ctx, v.opts.StorageTimeout)
		defer cancel()
		if apps, err = histogram.Apps(listing, v.opts.Storage, selection, q.Filter.Since); err != nil {
			return err
		}
	}
	s := scan.New(v.opts.Reader)
	buckets, err := q.Count(ctx, s, apps)
	if err != nil {
		return err
	}
	if selection == nil && s.Logs() == 0 {
		return appUnknown(app)
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
