package redis

import (
	"context"
	"net"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk/metrics"
)

// measured has the metrics of a storage. None has a label that others choose.
type measured struct {
	*metrics.Registry
	pools pools

	dials           *prometheus.CounterVec
	appendsInFlight prometheus.Gauge
	pipelines       *prometheus.CounterVec
	pipelineTook    prometheus.Histogram
}

func newMeasured() *measured {
	m := &measured{Registry: metrics.New()}
	with := promauto.With(m)
	m.dials = with.NewCounterVec(prometheus.CounterOpts{
		Name: "dials_total", Help: "Connections to Redis, and to Sentinels, that were opened or could not be.",
	}, []string{"result"})
	m.appendsInFlight = with.NewGauge(prometheus.GaugeOpts{Name: "appends_in_flight", Help: "Appends under way."})
	m.pipelines = with.NewCounterVec(prometheus.CounterOpts{
		Name: "pipelines_total", Help: "Pipelines of appends that were sent to Redis: answered, or failed in whole or in part.",
	}, []string{"result"})
	m.pipelineTook = with.NewHistogram(prometheus.HistogramOpts{
		Name: "pipeline_seconds", Help: "Duration of one pipeline of an append, whatever came of it.",
		Buckets: prometheus.ExponentialBuckets(0.0002, 3, 9),
	})
	for _, result := range []string{resultOK, resultFailed} {
		m.dials.WithLabelValues(result)
		m.pipelines.WithLabelValues(result)
	}
	gauge := func(name, help string, of func(*redis.PoolStats) uint32) {
		with.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return m.pools.sum(of) })
	}
	gauge("connections", "Open connections to Redis, beside the one that followers share.",
		func(s *redis.PoolStats) uint32 { return s.TotalConns })
	gauge("idle_connections", "Open connections to Redis that nobody uses at the moment.",
		func(s *redis.PoolStats) uint32 { return s.IdleConns })
	gauge("calls_waiting", "Calls that wait for a connection to Redis: all that may be are in use.",
		func(s *redis.PoolStats) uint32 { return s.PendingRequests })
	return m
}

// The values of the label result.
const (
	resultOK     = "ok"
	resultFailed = "failed"
)

func result(err error) string {
	if err != nil {
		return resultFailed
	}
	return resultOK
}

// pools has the clients of single nodes, by address.
type pools struct {
	mu    sync.Mutex
	nodes map[string]*redis.Client
}

// add adds a node. It replaces an earlier client of the same address, which is closed.
func (p *pools) add(node *redis.Client) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.nodes == nil {
		p.nodes = map[string]*redis.Client{}
	}
	p.nodes[node.Options().Addr] = node
}

// sum adds up a number of all pools. It asks no Redis.
func (p *pools) sum(of func(*redis.PoolStats) uint32) (n float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, node := range p.nodes {
		n += float64(of(node.PoolStats()))
	}
	return n
}

// watch measures a node's pool and dials.
func (m *measured) watch(node *redis.Client) {
	m.pools.add(node)
	node.AddHook(dialing{measured: m})
}

// dialing is a hook that counts dials.
type dialing struct {
	calls
	measured *measured
}

// DialHook implements [redis.Hook].
func (d dialing) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		d.measured.dials.WithLabelValues(result(err)).Inc()
		return conn, err
	}
}

// ProcessPipelineHook implements [redis.Hook].
func (dialing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}
