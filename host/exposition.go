package host

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/deis/logger/host/plugin"
	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/metrics"
)

var pluginMetricsUp = prometheus.NewDesc("logger_plugin_metrics_up",
	"1 if the plugin's own metrics are here, 0 if they are left out: the log says why.", []string{"kind", "name"}, nil)

// exposition puts the plugins' own metrics beside the host's. A plugin that fails or answers
// nonsense loses its own lines, never those of the host or of another plugin.
type exposition struct {
	host    prometheus.Gatherer
	plugins []*pluginMetrics
}

// expose registers the metric that tells whether each plugin's metrics are included, and returns
// the gatherer of a scrape.
func expose(registry *prometheus.Registry, supervisors []*plugin.Supervisor, logger hclog.Logger) prometheus.Gatherer {
	e := exposition{host: registry}
	for _, s := range supervisors {
		status := s.Status()
		e.plugins = append(e.plugins, newPluginMetrics(status.Kind, status.Name, s.Metrics, logger))
	}
	registry.MustRegister(e)
	return e
}

// Gather implements [prometheus.Gatherer]. It asks the plugins and the host at the same time.
func (e exposition) Gather() ([]*dto.MetricFamily, error) {
	all := make(prometheus.Gatherers, len(e.plugins))
	var asked sync.WaitGroup
	for i, p := range e.plugins {
		asked.Go(func() {
			families, _ := p.get() // a metric and the log tell what is wrong
			all[i] = gathered(families, nil)
		})
	}
	families, err := e.host.Gather()
	asked.Wait()
	return append(prometheus.Gatherers{gathered(families, err)}, all...).Gather()
}

func gathered(families []*dto.MetricFamily, err error) prometheus.Gatherer {
	return prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, err })
}

// Describe implements [prometheus.Collector].
func (exposition) Describe(out chan<- *prometheus.Desc) { out <- pluginMetricsUp }

// Collect implements [prometheus.Collector]. It leaves out a plugin that is down or has no metrics.
func (e exposition) Collect(out chan<- prometheus.Metric) {
	for _, p := range e.plugins {
		_, err := p.get()
		if none(err) {
			continue
		}
		up := 1.0
		if err != nil {
			up = 0
		}
		out <- prometheus.MustNewConstMetric(pluginMetricsUp, prometheus.GaugeValue, up, p.kind, p.name)
	}
}

// pluginMetrics holds the metrics that one plugin has of its own.
type pluginMetrics struct {
	kind, name string
	question   question[exposed]
	logger     hclog.Logger

	mu   sync.Mutex
	away bool // true if they were left out last time
}

// exposed holds what one process of a plugin answered.
type exposed struct {
	families []*dto.MetricFamily
	gone     <-chan struct{} // closed when the process has ended
}

func newPluginMetrics(
	kind, name string, ask func(context.Context) (text []byte, gone <-chan struct{}, err error), logger hclog.Logger,
) *pluginMetrics {
	p := &pluginMetrics{kind: kind, name: name, logger: logger}
	p.question.ask = func(ctx context.Context) (exposed, error) {
		text, gone, err := ask(ctx)
		var families []*dto.MetricFamily
		if err == nil {
			families, err = metrics.Parse(text)
		}
		for _, f := range families {
			f.Name = new(metricPrefix(kind, name) + f.GetName())
		}
		p.note(err)
		return exposed{families, gone}, err
	}
	return p
}

// metricPrefix returns the beginning of the names of a plugin's metrics. Neither the host's metrics
// nor those of a plugin of the other kind begin with it.
func metricPrefix(kind, name string) string {
	return "logger_" + kind + "_" + strings.ReplaceAll(name, "-", "_") + "_"
}

// errEnded tells that the process which gave the metrics has ended since.
var errEnded = &plugin.DownError{Status: plugin.Status{State: plugin.Starting}}

// get returns the metrics of the running process. It leaves out what an ended process said last:
// those metrics would show connections that are closed, and hide that counters restarted.
func (p *pluginMetrics) get() ([]*dto.MetricFamily, error) {
	answer, err := p.question.get()
	if err != nil {
		return nil, err
	}
	select {
	case <-answer.gone:
		return nil, errEnded
	default:
		return answer.families, nil
	}
}

// note logs when the metrics are left out, and why, and when they are back.
func (p *pluginMetrics) note(err error) {
	if none(err) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch away := err != nil; {
	case away && !p.away:
		p.logger.Warn("the plugin's own metrics are left out", "plugin", p.kind+"-"+p.name, "reason", sdk.OneLine(err.Error()))
	case !away && p.away:
		p.logger.Info("the plugin's own metrics are back", "plugin", p.kind+"-"+p.name)
	}
	p.away = err != nil
}

// none reports that there are no metrics and nothing is wrong: the plugin is down, or has none.
func none(err error) bool {
	return errors.Is(err, sdk.ErrUnsupported) || errors.As(err, new(*plugin.DownError))
}
