package main

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// TestAlerts evaluates the chart's alert expressions over samples that Prometheus would have
// scraped just now.
func TestAlerts(t *testing.T) {
	const rules = "../../charts/logger/rules/logger.yaml"
	groups, errs := rulefmt.ParseFile(rules, false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	exprs := map[string]string{}
	for _, rule := range groups.Groups[0].Rules {
		exprs[rule.Alert] = rule.Expr
	}
	now := time.Unix(1_000_000, 0)
	const running = `logger_build_info a 1, up a 1`
	for name, tc := range map[string]struct {
		alert, scraped string // METRIC INSTANCE VALUE, …
		want           []string
	}{
		"received of late":                       {"LoggerHearsNothing", `logger_last_received_timestamp_seconds a 999900, process_start_time_seconds a 900000`, nil},
		"received long ago":                      {"LoggerHearsNothing", `logger_last_received_timestamp_seconds a 999000, process_start_time_seconds a 900000`, []string{"a"}},
		"received nothing, and started of late":  {"LoggerHearsNothing", `logger_last_received_timestamp_seconds a 0, process_start_time_seconds a 999900`, nil},
		"received nothing, and started long ago": {"LoggerHearsNothing", `logger_last_received_timestamp_seconds a 0, process_start_time_seconds a 999000`, []string{"a"}},
		"one of two received nothing": {
			"LoggerHearsNothing", `logger_last_received_timestamp_seconds a 0, process_start_time_seconds a 999000,
				logger_last_received_timestamp_seconds b 999900, process_start_time_seconds b 999000`, []string{"a"},
		},
		"a process of something else": {"LoggerHearsNothing", `process_start_time_seconds c 900000`, nil},
		"up":                          {"LoggerDown", running, nil},
		"down":                        {"LoggerDown", `up a 0`, []string{"a"}},
		"one of two is down":          {"LoggerDown", running + `, up b 0`, []string{"b"}},
		"none there":                  {"LoggerDown", ``, []string{""}},
		"a plugin's metrics are here": {"LoggerPluginMetricsLeftOut", `logger_plugin_metrics_up a 1`, nil},
		"a plugin's are left out":     {"LoggerPluginMetricsLeftOut", `logger_plugin_metrics_up a 1, logger_plugin_metrics_up b 0`, []string{"b"}},
	} {
		t.Run(name, func(t *testing.T) {
			if exprs[tc.alert] == "" {
				t.Fatalf("no alert %s", tc.alert)
			}
			engine := promql.NewEngine(promql.EngineOpts{MaxSamples: 1000, Timeout: time.Minute, Parser: parser.NewParser(parser.Options{})})
			defer func() { _ = engine.Close() }()
			query, err := engine.NewInstantQuery(t.Context(), scraped(t, tc.scraped, now), nil, exprs[tc.alert], now)
			if err != nil {
				t.Fatal(err)
			}
			defer query.Close()
			vector, err := query.Exec(t.Context()).Vector()
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, sample := range vector {
				got = append(got, sample.Metric.Get("instance"))
			}
			if slices.Sort(got); !slices.Equal(got, tc.want) {
				t.Errorf("it alerts for %q, want %q", got, tc.want)
			}
		})
	}
}

// scraped returns the samples of a text, with the job that the chart's Service gives.
func scraped(t *testing.T, text string, at time.Time) storage.Queryable {
	t.Helper()
	var all []storage.Series
	for one := range strings.SplitSeq(text, ",") {
		var metric, instance string
		var value float64
		if one = strings.TrimSpace(one); one == "" {
			continue
		} else if _, err := fmt.Sscan(one, &metric, &instance, &value); err != nil {
			t.Fatalf("%q: %v", one, err)
		}
		all = append(all, storage.NewListSeries(labels.FromStrings(labels.MetricName, metric, "instance", instance, "job", "deis-logger"),
			[]chunks.Sample{sample{t: at.UnixMilli(), f: value}}))
	}
	return &storage.MockQueryable{MockQuerier: &storage.MockQuerier{
		SelectMockFunction: func(_ bool, _ *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
			set := &seriesSet{at: -1}
			for _, s := range all {
				if !slices.ContainsFunc(matchers, func(m *labels.Matcher) bool { return !m.Matches(s.Labels().Get(m.Name)) }) {
					set.series = append(set.series, s)
				}
			}
			return set
		},
	}}
}

// sample holds a value and its time.
type sample struct {
	chunks.Sample
	t int64
	f float64
}

func (s sample) T() int64               { return s.t }
func (s sample) F() float64             { return s.f }
func (sample) ST() int64                { return 0 }
func (sample) Type() chunkenc.ValueType { return chunkenc.ValFloat }

// seriesSet goes through series.
type seriesSet struct {
	series []storage.Series
	at     int
}

func (s *seriesSet) Next() bool                      { s.at++; return s.at < len(s.series) }
func (s *seriesSet) At() storage.Series              { return s.series[s.at] }
func (*seriesSet) Err() error                        { return nil }
func (*seriesSet) Warnings() annotations.Annotations { return nil }
