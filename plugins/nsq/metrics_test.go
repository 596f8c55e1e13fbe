package nsq

import (
	"errors"
	"fmt"
	"testing"

	"github.com/deis/logger/internal/metricstest"
	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/testwait"
)

// TestMetrics: connections, RDY and messages in flight have their present values. Dials and
// outcomes are counted, even across a restart of nsqd.
func TestMetrics(t *testing.T) {
	t.Parallel()
	s := nsqtest.Start(t)
	h := &fakeHost{}
	h.hold()
	a := open(t, s.TCPAddr(), map[string]string{"NSQ_MAX_IN_FLIGHT": "50"})
	want := func(what string, samples map[string]float64) {
		t.Helper()
		testwait.NoError(t, func() error {
			got := metricstest.Of(t, a)
			for name, value := range samples {
				if got[name] != value {
					return fmt.Errorf("%s: %s is not %v in %v", what, name, value, got)
				}
			}
			return nil
		})
	}
	want("before Run", map[string]float64{"connections": 0, "ready_messages": 0, "in_flight_messages": 0, "max_in_flight_messages": 50})
	stop := start(t, a, h)
	s.Publish(topic, numbered(0, 5, 0)...)
	want("in flight", map[string]float64{
		"connections": 1, "ready_messages": 50, "in_flight_messages": 5, `dials_total{result="ok"}`: 1, "finished_messages_total": 0,
	})
	if got := metricstest.Of(t, a); got["in_flight_bytes"] == 0 || got["in_flight_batches"] == 0 {
		t.Errorf("got %v", got)
	}
	h.release(nil)
	want("done", map[string]float64{"in_flight_messages": 0, "in_flight_bytes": 0, "in_flight_batches": 0, "finished_messages_total": 5})
	h.hold()
	s.Publish(topic, numbered(5, 2, 0)...)
	want("in flight again", map[string]float64{"in_flight_messages": 2})
	h.release(errors.New("the storage is away"))
	testwait.Until(t, "given back", func() bool { return metricstest.Of(t, a)["requeued_messages_total"] >= 2 })
	h.release(nil)
	want("done again", map[string]float64{"finished_messages_total": 7})
	s.Kill()
	testwait.Until(t, "dials fail", func() bool {
		got := metricstest.Of(t, a)
		return got["connections"] == 0 && got[`dials_total{result="failed"}`] > 0
	})
	s.Restart()
	want("connected again", map[string]float64{"connections": 1, `dials_total{result="ok"}`: 2})
	if err := stop(); err != nil {
		t.Error(err)
	}
	want("after Run", map[string]float64{"connections": 0, "ready_messages": 0, "in_flight_messages": 0})
}
