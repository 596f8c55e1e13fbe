package host

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/deis/logger/sdk"
)

// teller answers Queues and counts the calls.
type teller struct {
	queues []sdk.QueueInfo
	err    error
	hangs  bool
	asked  atomic.Int32
}

func (q *teller) Queues(ctx context.Context) ([]sdk.QueueInfo, error) {
	q.asked.Add(1)
	if q.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return q.queues, q.err
}

func TestQueueMetrics(t *testing.T) {
	const help = `
# HELP logger_queue_messages Messages that a queue of the aggregator has for all who share it: waiting to be handed out, in flight to any of them, deferred after they were given back.
# TYPE logger_queue_messages gauge
`
	const up = `
# HELP logger_queue_up 1 if the queue said what it has, else 0.
# TYPE logger_queue_up gauge
`
	for name, c := range map[string]struct {
		teller *teller
		want   string
	}{
		"told": {&teller{queues: []sdk.QueueInfo{{Queue: "b:4150", Waiting: 1, InFlight: 2, Deferred: 3}, {Queue: "a:4150"}}}, help + `
logger_queue_messages{queue="a:4150",state="deferred"} 0
logger_queue_messages{queue="a:4150",state="in_flight"} 0
logger_queue_messages{queue="a:4150",state="waiting"} 0
logger_queue_messages{queue="b:4150",state="deferred"} 3
logger_queue_messages{queue="b:4150",state="in_flight"} 2
logger_queue_messages{queue="b:4150",state="waiting"} 1
` + up + `
logger_queue_up{queue="a:4150"} 1
logger_queue_up{queue="b:4150"} 1
`},
		"not asked": {&teller{queues: []sdk.QueueInfo{{Queue: "a:4150", Waiting: 9, Reason: "it is away"}}}, up + `
logger_queue_up{queue="a:4150"} 0
`},
		"one name twice, and none": {&teller{queues: []sdk.QueueInfo{{Queue: "a", Waiting: 1}, {Queue: "a\xff", Waiting: 2}, {}}}, help + `
logger_queue_messages{queue="a",state="deferred"} 0
logger_queue_messages{queue="a",state="in_flight"} 0
logger_queue_messages{queue="a",state="waiting"} 3
logger_queue_messages{queue="other",state="deferred"} 0
logger_queue_messages{queue="other",state="in_flight"} 0
logger_queue_messages{queue="other",state="waiting"} 0
` + up + `
logger_queue_up{queue="a"} 1
logger_queue_up{queue="other"} 1
`},
		"a plugin that is away":       {&teller{err: sdk.ErrUnavailable}, ""},
		"a plugin that does not tell": {&teller{err: fmt.Errorf("it is no lister: %w", sdk.ErrUnsupported)}, ""},
		"no queues":                   {&teller{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			registry := prometheus.NewPedanticRegistry()
			registry.MustRegister(newQueueCollector(c.teller, hclog.NewNullLogger()))
			for range 3 {
				if err := testutil.GatherAndCompare(registry, strings.NewReader(c.want)); err != nil {
					t.Error(err)
				}
			}
			if n := c.teller.asked.Load(); n != 1 {
				t.Errorf("three scrapes asked %d times, want once", n)
			}
		})
	}
}

// TestQueueMetricsAreBounded has more queues than get metrics of their own. The sum still includes
// all of them.
func TestQueueMetricsAreBounded(t *testing.T) {
	all := &teller{}
	for i := range 3 * maxQueues {
		all.queues = append(all.queues, sdk.QueueInfo{Queue: fmt.Sprintf("%04d%s", i, strings.Repeat("x", 1000)), Waiting: 1})
	}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newQueueCollector(all, hclog.NewNullLogger()))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	samples, waiting := 0, 0.0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			samples++
			for _, label := range m.GetLabel() {
				if len(label.GetValue()) > maxQueueName {
					t.Errorf("a label of %d bytes", len(label.GetValue()))
				}
				if label.GetValue() == "waiting" {
					waiting += m.GetGauge().GetValue()
				}
			}
		}
	}
	if samples != 4*maxQueues || waiting != 3*maxQueues {
		t.Errorf("%d samples, %v messages wait; want %d and %d", samples, waiting, 4*maxQueues, 3*maxQueues)
	}
}

// TestScrapeOfHungPlugins: storage and aggregator hang, and delay a scrape at the same time, not
// one after the other.
func TestScrapeOfHungPlugins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(
			newQueueCollector(&teller{hangs: true}, hclog.NewNullLogger()),
			newStorageCollector(&counter{hangs: true}, hclog.NewNullLogger()),
		)
		began := time.Now()
		if n, err := testutil.GatherAndCount(registry); n != 0 || err != nil || time.Since(began) > askTimeout {
			t.Errorf("a scrape took %s and has %d samples, %v", time.Since(began), n, err)
		}
	})
}

// TestQueuesThatCannotBeAskedAreLoggedOnce when that begins, and once when it ends.
func TestQueuesThatCannotBeAskedAreLoggedOnce(t *testing.T) {
	var log strings.Builder
	c := newQueueCollector(&teller{}, hclog.New(&hclog.LoggerOptions{Output: &log}))
	away, back := []sdk.QueueInfo{{Queue: "a", Reason: "refused"}}, []sdk.QueueInfo{{Queue: "a"}}
	for _, infos := range [][]sdk.QueueInfo{back, away, away, back, back, away} {
		c.note(infos)
	}
	if n := strings.Count(log.String(), "\n"); n != 3 {
		t.Errorf("%d lines, want 3:\n%s", n, &log)
	}
}
