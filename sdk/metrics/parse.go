package metrics

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/deis/logger/sdk"
)

// The most that a host accepts from one plugin. Samples count as in the text format: each bucket of
// a histogram is one.
const (
	MaxBytes   = 256 << 10
	MaxSamples = 1000
	// MaxText bounds the name of a metric, and the name and the value of a label, in bytes.
	MaxText = 200
)

// Parse reads what an [sdk.Exposer] returned, as a host does. It returns the metrics in the order
// of their names, without timestamps. They can be merged with metrics of other names. If the text
// is beyond the bounds, or has something that a scraper might refuse, Parse returns only an error
// of one line, which wraps [sdk.ErrContract].
func Parse(text []byte) ([]*dto.MetricFamily, error) {
	if len(text) > MaxBytes {
		return nil, sdk.Breach("%d bytes of metrics where at most %d may be", len(text), MaxBytes)
	}
	if !utf8.Valid(text) {
		return nil, sdk.Breach("the metrics are not UTF-8")
	}
	// Some scrapers take NUL for the end, in help texts and comments too.
	if i := bytes.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' }); i >= 0 {
		return nil, sdk.Breach("the metrics have the control character %q", text[i])
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return nil, sdk.Breach("no Prometheus text format: %s", sdk.OneLine(err.Error()))
	}
	samples := 0
	for _, family := range families {
		n, err := check(family)
		if err != nil {
			return nil, sdk.Breach("metric %.80q: %v", family.GetName(), err)
		}
		samples += n
	}
	if samples > MaxSamples {
		return nil, sdk.Breach("%d samples of metrics where at most %d may be", samples, MaxSamples)
	}
	// The client library refuses whatever is there twice.
	checked, err := prometheus.Gatherers{prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		return slices.Collect(maps.Values(families)), nil
	})}.Gather()
	if err != nil {
		return nil, sdk.Breach("%s", sdk.OneLine(err.Error()))
	}
	return checked, nil
}

// check returns how many samples the family has, or what is wrong with one. It removes timestamps.
func check(family *dto.MetricFamily) (samples int, err error) {
	if len(family.GetName()) > MaxText {
		return 0, fmt.Errorf("its name has %d bytes where at most %d may be", len(family.GetName()), MaxText)
	}
	for _, m := range family.GetMetric() {
		m.TimestampMs = nil
		for _, l := range m.GetLabel() {
			if n := max(len(l.GetName()), len(l.GetValue())); n > MaxText {
				return 0, fmt.Errorf("label %.80q has %d bytes where at most %d may be", l.GetName(), n, MaxText)
			}
		}
		var limits []float64
		switch {
		case m.Histogram != nil:
			for _, b := range m.GetHistogram().GetBucket() {
				limits = append(limits, b.GetUpperBound())
			}
			samples += 2 // count and sum
		case m.Summary != nil:
			for _, q := range m.GetSummary().GetQuantile() {
				limits = append(limits, q.GetQuantile())
			}
			samples += 2
		default:
			samples++
		}
		samples += len(limits)
		for i, limit := range limits {
			if math.IsNaN(limit) || i > 0 && limit <= limits[i-1] {
				return 0, fmt.Errorf("bucket or quantile %g comes twice, or not in its order", limit)
			}
		}
	}
	return samples, nil
}
