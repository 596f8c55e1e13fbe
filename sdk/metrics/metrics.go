// Package metrics has a registry for a plugin's own Prometheus metrics, and the limits that a host
// sets for them. It is separate from sdk, so that a plugin without metrics does not link
// Prometheus.
package metrics

import (
	"bytes"
	"context"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/common/expfmt"

	"github.com/deis/logger/sdk"
)

// Registry is a prometheus.Registry that is an [sdk.Exposer]. A plugin embeds one in its storage or
// aggregator, a new one each time that it is opened:
//
//	type storage struct {
//		*metrics.Registry
//		appends prometheus.Counter
//	}
//
//	s := &storage{Registry: metrics.New()}
//	s.appends = promauto.With(s).NewCounter(prometheus.CounterOpts{
//		Name: "appends_total", Help: "Appends, whatever came of them.",
//	})
//
// The host of a plugin called storage-NAME shows that as logger_storage_NAME_appends_total.
type Registry struct {
	*prometheus.Registry
	turn chan struct{} // holds one value while metrics are gathered
}

var _ sdk.Exposer = (*Registry)(nil)

// New makes a registry that has the metrics of this process: memory, processor time, open files and
// the time of its start, which shows that counters began anew.
func New() *Registry {
	r := &Registry{Registry: prometheus.NewRegistry(), turn: make(chan struct{}, 1)}
	r.MustRegister(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Metrics implements [sdk.Exposer]. If a collector never returns, neither does the call that waits
// for it; every later call returns when its ctx ends.
func (r *Registry) Metrics(ctx context.Context) ([]byte, error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("metrics are still being gathered for an earlier question: %w", ctx.Err())
	}
	families, err := r.Gather()
	if err != nil {
		return nil, fmt.Errorf("gather metrics: %w", err)
	}
	var text bytes.Buffer
	encoder := expfmt.NewEncoder(&text, expfmt.NewFormat(expfmt.TypeTextPlain))
	for _, family := range families {
		if err := encoder.Encode(family); err != nil {
			return nil, fmt.Errorf("write metric %s: %w", family.GetName(), err)
		}
	}
	return text.Bytes(), nil
}

// Results is a counter with the label result: "ok" counts what succeeded, "failed" what did not.
type Results struct{ ok, failed prometheus.Counter }

// Results registers a counter with the label result, "ok" or "failed".
func (r *Registry) Results(name, help string) Results {
	counter := promauto.With(r).NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{"result"})
	return Results{ok: counter.WithLabelValues("ok"), failed: counter.WithLabelValues("failed")}
}

// Count counts one more, as failed if there is an error.
func (r Results) Count(err error) {
	if err != nil {
		r.failed.Inc()
	} else {
		r.ok.Inc()
	}
}
