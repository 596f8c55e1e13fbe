package host

import (
	"context"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/deis/logger/host/plugin"
	"github.com/deis/logger/sdk"
)

// measuredStorage is the storage as readers have it, with a clock in hand.
type measuredStorage struct {
	*plugin.Storage
	seconds prometheus.Histogram
}

func newMeasuredStorage(storage *plugin.Storage, registry prometheus.Registerer) *measuredStorage {
	m := &measuredStorage{storage, prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "logger_read_seconds", Help: "Duration of one read of the storage, whatever came of it.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 13),
	})}
	registry.MustRegister(m.seconds)
	return m
}

// Read implements [sdk.Storage].
func (m *measuredStorage) Read(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	began := time.Now()
	defer func() { m.seconds.Observe(time.Since(began).Seconds()) }()
	return m.Storage.Read(ctx, opts)
}

// SetVersion says in the metrics which build this is. It is called before [Host.Run],
// once.
func (h *Host) SetVersion(version string) {
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "logger_build_info", Help: "1; the labels say which build this is.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": runtime.Version()},
	})
	build.Set(1)
	h.registry.MustRegister(build)
}
