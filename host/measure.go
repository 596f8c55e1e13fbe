package host

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deis/logger/host/plugin"
)

// measureReads times the storage's reads.
func measureReads(storage *plugin.Storage, registry prometheus.Registerer) {
	seconds := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "logger_read_seconds", Help: "Duration of one read of the storage, whatever came of it.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 13),
	})
	registry.MustRegister(seconds)
	storage.ReadSeconds = seconds
}

// SetVersion adds the build's version to the metrics. Call it once, before [Host.Run].
func (h *Host) SetVersion(version string) {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "logger_build_info", Help: "1; the labels say which build this is.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	h.registry.MustRegister(build)
}
