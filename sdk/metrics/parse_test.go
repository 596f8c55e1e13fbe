package metrics

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/deis/logger/sdk"
)

const wellFormed = `# HELP appends_total Appends, "whatever" \\ came of them.
# TYPE appends_total counter
appends_total{result="failed"} 0
appends_total{result="stored"} 17
# TYPE pool gauge
pool NaN
# TYPE seconds histogram
seconds_bucket{le="0.1"} 3
seconds_bucket{le="1"} 4
seconds_bucket{le="+Inf"} 5
seconds_sum 7.5
seconds_count 5
# TYPE took summary
took{quantile="0.5"} 1
took{quantile="0.9"} +Inf
took_sum 1
took_count 2
# TYPE whatever untyped
whatever{a="caf\u00e9 \"x\"\nb"} -1e+300
`

func written(tb testing.TB, families []*dto.MetricFamily) string {
	tb.Helper()
	var b bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			tb.Fatal(err)
		}
	}
	return b.String()
}

func TestParse(t *testing.T) {
	text := strings.Replace(wellFormed, `\u00e9`, "\u00e9", 1)
	families, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := written(t, families); got != text {
		t.Errorf("got\n%s, want\n%s", got, text)
	}
	families, err = Parse([]byte("stamped 1 1700000000000\n"))
	if err != nil || written(t, families) != "# TYPE stamped untyped\nstamped 1\n" {
		t.Errorf("with a timestamp: %s, %v", written(t, families), err)
	}
	if families, err := Parse(nil); len(families) != 0 || err != nil {
		t.Errorf("of nothing: %v, %v", families, err)
	}
}

// TestParseRefuses: a text at which a scraper could stumble is refused as a whole, for a reason of
// one line.
func TestParseRefuses(t *testing.T) {
	samples := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "m{i=\"%d\"} 1\n", i)
		}
		return b.String()
	}
	if _, err := Parse([]byte(samples(MaxSamples))); err != nil {
		t.Errorf("%d samples: %v", MaxSamples, err)
	}
	long := strings.Repeat("x", MaxText+1)
	for name, c := range map[string]struct{ text, want string }{
		"prose":            {"All is well.\n", "no Prometheus text format"},
		"no end":           {"m 1", "no Prometheus text format"},
		"a page of HTML":   {"<html><body>502</body></html>\n", "no Prometheus text format"},
		"no number":        {"m one\n", "no Prometheus text format"},
		"no label's value": {"m{a} 1\n", "no Prometheus text format"},
		"UTF-8 in a name":  {"{\"caf\u00e9\"} 1\n", "no Prometheus text format"},
		"reserved label":   {"m{__name__=\"x\"} 1\n", "no Prometheus text format"},
		"reserved prefix":  {"m{__x=\"x\"} 1\n", "invalid name"},
		"two types":        {"# TYPE m counter\n# TYPE m gauge\nm 1\n", "no Prometheus text format"},
		"type comes later": {"m 1\n# TYPE m counter\n", "no Prometheus text format"},
		"unknown type":     {"# TYPE m thing\nm 1\n", "no Prometheus text format"},
		"twice":            {"m 1\nm 2\n", "collected before"},
		"twice by a stamp": {"m 1 1\nm 2 2\n", "collected before"},
		"one label twice":  {"m{a=\"1\",a=\"2\"} 1\n", "no Prometheus text format"},
		"suffix collides":  {"# TYPE h_count gauge\nh_count 1\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 1\n", "collides with"},
		"bucket twice":     {"# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n", "comes twice"},
		"quantile twice":   {"# TYPE s summary\ns{quantile=\"0.5\"} 1\ns{quantile=\"0.5\"} 2\ns_sum 1\ns_count 1\n", "comes twice"},
		"no UTF-8":         {"m{a=\"\xff\"} 1\n", "not UTF-8"},
		"no UTF-8 in help": {"# HELP m \xc3\nm 1\n", "not UTF-8"},
		"NUL":              {"# HELP m a\x00b\nm 1\n", "control character"},
		"carriage return":  {"m 1\r\n", "control character"},
		"too many":         {samples(MaxSamples + 1), "1001 samples"},
		"too many buckets": {buckets(MaxSamples), "samples of metrics where at most 1000 may be"},
		"too large":        {"# HELP m " + strings.Repeat("x", MaxBytes) + "\nm 1\n", "bytes of metrics where at most 262144 may be"},
		"a long name":      {long + " 1\n", "its name has 201 bytes"},
		"a long label":     {"m{" + long + "=\"1\"} 1\n", "has 201 bytes"},
		"a long value":     {"m{a=\"" + long + "\"} 1\n", `label "a" has 201 bytes`},
	} {
		t.Run(name, func(t *testing.T) {
			families, err := Parse([]byte(c.text))
			if !errors.Is(err, sdk.ErrContract) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, %v, want %s", families, err, c.want)
			}
			if families != nil {
				t.Error("a part of it is used")
			}
		})
	}
}

func buckets(n int) string {
	var b strings.Builder
	b.WriteString("# TYPE h histogram\n")
	for i := range n {
		fmt.Fprintf(&b, "h_bucket{le=\"%d\"} 1\n", i)
	}
	return b.String() + "h_sum 1\nh_count 1\n"
}

// FuzzParse: whatever is accepted can be written, and reads back as the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(wellFormed))
	f.Add([]byte("# TYPE h histogram\nh_bucket{le=\"1\"} 0.5\nh_count 1\n# EOF\n"))
	f.Add([]byte("m{a=\"b\",} 1 2\n\n#\n# HELP\nn{} +Inf\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		families, err := Parse(text)
		if err != nil {
			return
		}
		first := written(t, families)
		parser := expfmt.NewTextParser(model.LegacyValidation)
		if _, err := parser.TextToMetricFamilies(strings.NewReader(first)); err != nil {
			t.Fatalf("the written text cannot be parsed: %v\n%s", err, first)
		}
	})
}
