package host

import (
	"context"
	"sync"
	"time"

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

const (
	// listTimeout bounds what a scrape may ask of the storage.
	listTimeout = time.Second
	// listEvery is how old the answer may be: listing the apps is work for a storage.
	// One that failed is asked again after listAgain.
	listEvery, listAgain = 2 * time.Second, time.Second
)

// inventory is what the collector needs of a storage.
type inventory interface {
	// Inventory is as in [sdk.RemoteStorage].
	Inventory(ctx context.Context) ([]sdk.AppInfo, *sdk.Departed, error)
}

// storageCollector counts what the storage keeps. It says nothing while the storage
// does not answer, or cannot list its apps.
type storageCollector struct {
	storage inventory
	logger  interface{ Debug(string, ...any) }

	mu   sync.Mutex
	last *listing // nil at first
}

// listing is one answer of the storage, or one to come. All scrapes that want it share
// it, so that a storage that hangs holds each of them up once.
type listing struct {
	done chan struct{} // closed when the rest is there
	apps []sdk.AppInfo
	gone *sdk.Departed // nil if the storage does not count it
	err  error
	ends time.Time // from then on it is too old
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
	l := c.list()
	if l.err != nil {
		c.logger.Debug("apps are not counted", "error", l.err)
		return
	}
	var entries, bytes, pushedOut uint64
	for _, a := range l.apps {
		entries += a.Entries
		bytes += a.Bytes
		pushedOut += a.Last - a.Entries
	}
	gauge := func(desc *prometheus.Desc, value uint64) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value))
	}
	gauge(keptApps, uint64(len(l.apps)))
	gauge(keptEntries, entries)
	gauge(keptBytes, bytes)
	if l.gone != nil {
		pushedOut += l.gone.Evicted
		gauge(deleted, l.gone.Deleted)
	}
	gauge(evicted, pushedOut)
}

func (c *storageCollector) list() *listing {
	l, mine := c.current()
	if mine {
		ctx, cancel := context.WithTimeout(context.Background(), listTimeout)
		defer cancel()
		l.apps, l.gone, l.err = c.storage.Inventory(ctx)
		l.ends = time.Now().Add(listEvery)
		if l.err != nil {
			l.ends = time.Now().Add(listAgain)
		}
		close(l.done)
	}
	<-l.done // the one whose it is asks with a timeout
	return l
}

// current is the listing to use, which may be the caller's to make.
func (c *storageCollector) current() (_ *listing, mine bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last != nil {
		select {
		case <-c.last.done:
		default:
			return c.last, false
		}
		if time.Now().Before(c.last.ends) {
			return c.last, false
		}
	}
	c.last = &listing{done: make(chan struct{})}
	return c.last, true
}
