package redis

import (
	"testing"
	"time"

	"github.com/deis/logger/internal/metricstest"
	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/internal/testwait"
)

// TestMetrics: connections, dials, pipelines and appends are counted, for one Redis and for the
// nodes of a cluster. Counting sends no request to Redis.
func TestMetrics(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{single, cluster} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			var args []string
			if mode == cluster {
				args = []string{"--cluster-enabled", "yes"}
			}
			server := redistest.Start(t, args...)
			if mode == cluster {
				server.MustDo("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
				testwait.NoError(t, func() error {
					_, err := server.Do("SET", "key", "value")
					return err
				})
			}
			s := open(t, server, func(s *Settings) { s.Mode = mode })
			if got := metricstest.Of(t, s); got[`pipelines_total{result="ok"}`] != 0 || got["appends_in_flight"] != 0 || got["connections"] != 0 {
				t.Errorf("at first: %v", got)
			}
			mustAppend(t, s, wide(1, 1, 100)) // 2,000 entries, 50 in a pipeline
			got := metricstest.Of(t, s)
			// The first pipelines found no script there.
			if n := got[`pipelines_total{result="ok"}`] + got[`pipelines_total{result="failed"}`]; n < 40 || n != got["pipeline_seconds_count"] {
				t.Errorf("%v pipelines, %v were timed", n, got["pipeline_seconds_count"])
			}
			opened := got[`dials_total{result="ok"}`]
			if opened == 0 || got["connections"] == 0 || got["connections"] > opened || got["idle_connections"] > got["connections"] || got["calls_waiting"] != 0 {
				t.Errorf("after an append: %v", got)
			}
			failed := got[`pipelines_total{result="failed"}`]
			server.Stop()
			_ = s.Append(t.Context(), wide(2, 101, 102))
			began := time.Now()
			got = metricstest.Of(t, s)
			if took := time.Since(began); took > time.Second {
				t.Errorf("it took %s while Redis is away", took)
			}
			if got[`pipelines_total{result="failed"}`] <= failed || got[`dials_total{result="failed"}`] == 0 || got["appends_in_flight"] != 0 {
				t.Errorf("while Redis is away: %v", got)
			}
			server.Restart()
			testwait.NoError(t, func() error { return s.Append(t.Context(), wide(2, 101, 102)) })
			if got := metricstest.Of(t, s); got[`dials_total{result="ok"}`] <= opened {
				t.Errorf("connected again: %v", got)
			}
		})
	}
}
