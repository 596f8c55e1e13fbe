package redis

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk/metrics"
)

// measured has the metrics of a storage. None has a label that others choose.
type measured struct {
	*metrics.Registry
	nodes sync.Map // the *redis.Client of each node, by address; some are closed

	dials, pipelines metrics.Results
	pipelineTook     prometheus.Histogram
	appendsInFlight  prometheus.Gauge
}

func newMeasured() *measured {
	registry := metrics.New()
	with := promauto.With(registry)
	m := &measured{
		Registry:  registry,
		dials:     registry.Results("dials_total", "Connections to Redis, and to Sentinels, that were opened or could not be."),
		pipelines: registry.Results("pipelines_total", "Pipelines of appends that were sent to Redis: answered, or failed in whole or in part."),
		pipelineTook: with.NewHistogram(prometheus.HistogramOpts{
			Name: "pipeline_seconds", Help: "Duration of one pipeline of an append, whatever came of it.",
			Buckets: prometheus.ExponentialBuckets(0.0002, 3, 9),
		}),
		appendsInFlight: with.NewGauge(prometheus.GaugeOpts{Name: "appends_in_flight", Help: "Appends under way."}),
	}
	// sum registers a gauge that sums up a number over the pools of all nodes. It asks no Redis.
	sum := func(name, help string, of func(*redis.PoolStats) uint32) {
		with.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() (n float64) {
			for _, node := range m.nodes.Range {
				n += float64(of(node.(*redis.Client).PoolStats()))
			}
			return n
		})
	}
	sum("connections", "Open connections to Redis, beside the one that followers share.",
		func(s *redis.PoolStats) uint32 { return s.TotalConns })
	sum("idle_connections", "Open connections to Redis that nobody uses at the moment.",
		func(s *redis.PoolStats) uint32 { return s.IdleConns })
	sum("calls_waiting", "Calls that wait for a connection to Redis: all that may be are in use.",
		func(s *redis.PoolStats) uint32 { return s.PendingRequests })
	return m
}
