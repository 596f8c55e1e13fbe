// Package metricstest reads a plugin's own metrics, for the plugins' tests.
package metricstest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/metrics"
)

// Of returns the samples by name and labels, written as in the text format. It fails the test if a
// host would refuse them.
func Of(tb testing.TB, e sdk.Exposer) map[string]float64 {
	tb.Helper()
	text, err := e.Metrics(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	families, err := metrics.Parse(text)
	if err != nil {
		tb.Fatal(err)
	}
	var written bytes.Buffer
	for _, f := range families {
		if f.GetHelp() == "" {
			tb.Errorf("metric %s has no help", f.GetName())
		}
		if _, err := expfmt.MetricFamilyToText(&written, f); err != nil {
			tb.Fatal(err)
		}
	}
	samples := map[string]float64{}
	for line := range strings.Lines(written.String()) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name == "#" {
			continue
		}
		var value float64
		if _, err := fmt.Sscan(rest, &value); err != nil {
			tb.Fatalf("%s: %v", line, err)
		}
		samples[name] = value
	}
	return samples
}
