package host

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/deis/logger/host/plugin"
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
