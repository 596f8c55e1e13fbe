package host

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deis/logger/host/plugin"
	"github.com/deis/logger/sdk"
)

var (
	pluginState = prometheus.NewDesc("logger_plugin_state",
		"1 for the state that the plugin is in, 0 for the others.", []string{"kind", "name", "state"}, nil)
	pluginRestarts = prometheus.NewDesc("logger_plugin_restarts_total",
		"Processes of the plugin that ended, or did not start, without being told to end.", []string{"kind", "name"}, nil)
)

// pluginCollector turns the supervisors' status into metrics.
type pluginCollector struct{ plugins []*plugin.Supervisor }

// Describe implements [prometheus.Collector].
func (pluginCollector) Describe(out chan<- *prometheus.Desc) {
	out <- pluginState
	out <- pluginRestarts
}

// Collect implements [prometheus.Collector].
func (c pluginCollector) Collect(out chan<- prometheus.Metric) {
	for _, s := range c.plugins {
		status := s.Status()
		for _, state := range plugin.States() {
			value := 0.0
			if state == status.State {
				value = 1
			}
			out <- prometheus.MustNewConstMetric(pluginState, prometheus.GaugeValue, value, status.Kind, status.Name, string(state))
		}
		out <- prometheus.MustNewConstMetric(pluginRestarts, prometheus.CounterValue, float64(status.Restarts), status.Kind, status.Name)
	}
}

var (
	keptApps    = prometheus.NewDesc("logger_kept_apps", "Apps that have entries in storage.", nil, nil)
	keptEntries = prometheus.NewDesc("logger_kept_entries", "Entries in storage.", nil, nil)
	keptBytes   = prometheus.NewDesc("logger_kept_bytes", "Bytes that the entries take in storage.", nil, nil)
	evicted     = prometheus.NewDesc("logger_evicted_entries", "Entries that newer ones pushed out of the storage, in its life.", nil, nil)
	deleted     = prometheus.NewDesc("logger_deleted_entries", "Entries that were deleted from the storage, in its life.", nil, nil)
)

// storageCollector counts what the storage keeps. It reports nothing while the storage does not
// answer, or if it cannot count.
type storageCollector struct {
	question question[sdk.Totals]
	logger   interface{ Debug(string, ...any) }
}

func newStorageCollector(storage interface {
	Totals(ctx context.Context) (sdk.Totals, error)
}, logger interface{ Debug(string, ...any) },
) *storageCollector {
	c := &storageCollector{logger: logger}
	c.question.ask = storage.Totals
	return c
}

// Describe implements [prometheus.Collector].
func (*storageCollector) Describe(out chan<- *prometheus.Desc) {
	out <- keptApps
	out <- keptEntries
	out <- keptBytes
	out <- evicted
	out <- deleted
}

// Collect implements [prometheus.Collector].
func (c *storageCollector) Collect(out chan<- prometheus.Metric) {
	t, err := c.question.get()
	if err != nil {
		c.logger.Debug("apps are not counted", "error", err)
		return
	}
	gauge := func(desc *prometheus.Desc, value uint64) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value))
	}
	gauge(keptApps, t.Apps)
	gauge(keptEntries, t.Entries)
	gauge(keptBytes, t.Bytes)
	gauge(evicted, t.Evicted)
	gauge(deleted, t.Deleted)
}
