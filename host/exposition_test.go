package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/deis/logger/host/plugin"
	"github.com/deis/logger/sdk"
)

// told implements a plugin that answers as its test says.
type told struct {
	text  string
	err   error
	hangs bool
	gone  chan struct{}
}

func (p *told) Metrics(ctx context.Context) ([]byte, <-chan struct{}, error) {
	if p.hangs {
		<-ctx.Done()
		return nil, p.gone, ctx.Err()
	}
	return []byte(p.text), p.gone, p.err
}

// exposing returns an exposition of a host with one metric and two plugins, and its log.
func exposing() (e exposition, storage, aggregator *told, log *bytes.Buffer) {
	log = &bytes.Buffer{}
	logger := hclog.New(&hclog.LoggerOptions{Output: hclog.NewLeveledWriter(log, nil), DisableTime: true})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(pluginCollector{[]*plugin.Supervisor{
		plugin.NewSupervisor(plugin.Options{Executable: plugin.Executable{Kind: sdk.StorageKind, Name: "toy"}}),
	}})
	storage, aggregator = &told{gone: make(chan struct{})}, &told{gone: make(chan struct{})}
	e = exposition{host: registry, plugins: []*pluginMetrics{
		newPluginMetrics("storage", "a-toy", storage.Metrics, logger), newPluginMetrics("aggregator", "toy", aggregator.Metrics, logger),
	}}
	registry.MustRegister(e)
	return e, storage, aggregator, log
}

// scrape returns the text of all metrics.
func scrape(t *testing.T, e exposition) string {
	t.Helper()
	families, err := e.Gather()
	if err != nil {
		t.Errorf("a scrape fails: %v", err)
	}
	var b bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			t.Error(err)
		}
	}
	return b.String()
}

func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if absent := strings.TrimPrefix(line, "!"); strings.Contains(text, absent) == (absent != line) {
			t.Errorf("want %q in\n%s", line, text)
		}
	}
}

const hostsOwn = `logger_plugin_restarts_total{kind="storage",name="toy"} 0`

// TestHostileExpositions: whatever one plugin answers, the host's metrics and those of the other
// plugin are there, and the culprit is named once.
func TestHostileExpositions(t *testing.T) {
	for name, text := range map[string]string{
		"broken":          "<html>\n",
		"cut off":         "good_total 1\nbad_tot",
		"too many":        strings.Repeat("x", 10) + "\n" + manySamples(1001),
		"huge":            manySamples(100_000),
		"twice":           "m{a=\"1\"} 1\nm{a=\"1\"} 2\n",
		"no UTF-8":        "# HELP m \xff\nm 1\n",
		"NUL":             "m{a=\"\x00\"} 1\n",
		"changing types":  "# TYPE m counter\nm 1\n# TYPE m gauge\nm 2\n",
		"suffixes":        "# TYPE h_count gauge\nh_count 1\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\n",
		"buckets in knot": "# TYPE h histogram\nh_bucket{le=\"2\"} 1\nh_bucket{le=\"1\"} 1\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e, storage, aggregator, log := exposing()
				storage.text, aggregator.text = text, "good 1\n"
				for range 3 {
					got := scrape(t, e)
					wantLines(t, got, hostsOwn, "logger_aggregator_toy_good 1\n", "!logger_storage_a_toy",
						`logger_plugin_metrics_up{kind="storage",name="a-toy"} 0`, `logger_plugin_metrics_up{kind="aggregator",name="toy"} 1`)
					time.Sleep(askEvery)
				}
				if n := strings.Count(log.String(), "own metrics are left out: plugin=storage-a-toy reason="); n != 1 {
					t.Errorf("it is named %d times:\n%s", n, log)
				}
				storage.text = "good 2\n"
				time.Sleep(askEvery)
				wantLines(t, scrape(t, e), "logger_storage_a_toy_good 2\n", `logger_plugin_metrics_up{kind="storage",name="a-toy"} 1`)
				wantLines(t, log.String(), "own metrics are back: plugin=storage-a-toy")
			})
		})
	}
}

func manySamples(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "m{i=\"%d\"} 1\n", i)
	}
	return b.String()
}

// TestExpositionsThatAreTaken: metrics named like the host's or the other plugin's, values that are
// no numbers, and types that change between scrapes do no harm.
func TestExpositionsThatAreTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, storage, aggregator, _ := exposing()
		storage.text = "# TYPE logger_plugin_restarts_total gauge\nlogger_plugin_restarts_total{kind=\"storage\",name=\"toy\"} 7\n" +
			"go_goroutines NaN\nup -Inf\nm 1 1700000000000\n"
		aggregator.text = "# HELP m Another.\n# TYPE m counter\nm 1\n"
		wantLines(t, scrape(t, e), hostsOwn, "logger_storage_a_toy_go_goroutines NaN\n", "logger_storage_a_toy_up -Inf\n",
			"logger_storage_a_toy_m 1\n", "logger_aggregator_toy_m 1\n",
			"logger_storage_a_toy_logger_plugin_restarts_total{kind=\"storage\",name=\"toy\"} 7\n")
		storage.text = "# TYPE m summary\nm_sum 1\nm_count 2\n"
		time.Sleep(askEvery)
		wantLines(t, scrape(t, e), hostsOwn, "logger_storage_a_toy_m_count 2\n", "logger_aggregator_toy_m 1\n")
	})
}

// TestExpositionThatHangs: a plugin that does not answer delays any number of scrapes only by one
// question's timeout, and removes no other metrics.
func TestExpositionThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, storage, aggregator, log := exposing()
		storage.hangs, aggregator.hangs = true, true
		var scrapes sync.WaitGroup
		for i := range 12 {
			scrapes.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond)
				began := time.Now()
				wantLines(t, scrape(t, e), hostsOwn, `logger_plugin_metrics_up{kind="storage",name="a-toy"} 0`)
				if took := time.Since(began); took > askTimeout {
					t.Errorf("a scrape took %s", took)
				}
			})
		}
		scrapes.Wait()
		wantLines(t, log.String(), "plugin=storage-a-toy", "deadline exceeded")
		storage.hangs, storage.text = false, "m 1\n"
		time.Sleep(askAgain)
		wantLines(t, scrape(t, e), "logger_storage_a_toy_m 1\n")
	})
}

// TestExpositionOfAnEndedProcess: the metrics of an ended process are gone. A plugin that is down
// or has no metrics is not mentioned.
func TestExpositionOfAnEndedProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, storage, aggregator, log := exposing()
		storage.text, aggregator.err = "# TYPE m counter\nm 100\n", fmt.Errorf("old: %w", sdk.ErrUnsupported)
		wantLines(t, scrape(t, e), "logger_storage_a_toy_m 100\n", "!logger_aggregator_toy", `!metrics_up{kind="aggregator"`)
		close(storage.gone)
		wantLines(t, scrape(t, e), hostsOwn, "!logger_storage_a_toy_m", "!logger_plugin_metrics_up")
		storage.gone, storage.err = make(chan struct{}), &plugin.DownError{}
		time.Sleep(askEvery)
		wantLines(t, scrape(t, e), hostsOwn, "!logger_storage_a_toy_m", "!logger_plugin_metrics_up")
		storage.text, storage.err = "# TYPE m counter\nm 1\n", nil
		time.Sleep(askEvery)
		wantLines(t, scrape(t, e), "logger_storage_a_toy_m 1\n")
		if log.Len() > 0 {
			t.Errorf("it logs %s", log)
		}
		storage.err = errors.New("two\nlines")
		time.Sleep(askEvery)
		scrape(t, e)
		wantLines(t, log.String(), `reason="two lines"`)
	})
}

// TestNamesArePluginsAlone: no metric of the host begins like a plugin's.
func TestNamesArePluginsAlone(t *testing.T) {
	for _, kind := range []sdk.Kind{sdk.StorageKind, sdk.AggregatorKind} {
		begin := `"` + strings.TrimSuffix(metricPrefix(kind.String(), ""), "_")
		err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			if bytes.Contains(b, []byte(begin)) {
				t.Errorf("%s has a metric that begins with %s", path, begin)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
