package main

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/deis/logger/sdk/metrics"
)

// measured has the plugin's own metrics. The host's /metrics has them as
// logger_storage_postgres_NAME. None asks the database, which may be away.
type measured struct {
	*metrics.Registry
	failures prometheus.Counter
}

func newMeasured(pool *pgxpool.Pool) measured {
	m := measured{Registry: metrics.New()}
	with := promauto.With(m)
	m.failures = with.NewCounter(prometheus.CounterOpts{
		Name: "failures_total", Help: "Calls that failed for the database, checks included.",
	})
	gauge := func(name, help string, of func(*pgxpool.Stat) int32) {
		with.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(of(pool.Stat())) })
	}
	gauge("connections", "Open connections, beside the one that listens.", (*pgxpool.Stat).TotalConns)
	gauge("idle_connections", "Open connections that no call uses at the moment.", (*pgxpool.Stat).IdleConns)
	with.NewCounterFunc(prometheus.CounterOpts{Name: "connects_total", Help: "Connections that were opened."},
		func() float64 { return float64(pool.Stat().NewConnsCount()) })
	return m
}
