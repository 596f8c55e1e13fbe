package host

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/deis/logger/sdk"
)

var (
	queueMessages = prometheus.NewDesc("logger_queue_messages",
		"Messages that a queue of the aggregator has for all who share it: waiting to be handed out, in flight to any of them, deferred after they were given back.",
		[]string{"queue", "state"}, nil)
	queueUp = prometheus.NewDesc("logger_queue_up", "1 if the queue said what it has, else 0.", []string{"queue"}, nil)
)

const (
	// maxQueues bounds how many queues have metrics of their own, and maxQueueName the length of
	// their names, which come from a plugin. The other queues are counted together, as otherQueues.
	maxQueues, maxQueueName = 100, 200

	otherQueues = "other"
)

// queueCollector reports what waits in the aggregator's transport. It reports nothing while the
// plugin does not answer, or if it cannot tell.
type queueCollector struct {
	question question[[]sdk.QueueInfo]
	logger   hclog.Logger

	mu   sync.Mutex
	away map[string]bool // queues that did not answer last time
}

func newQueueCollector(queues sdk.QueueLister, logger hclog.Logger) *queueCollector {
	c := &queueCollector{logger: logger}
	c.question.ask = func(ctx context.Context) ([]sdk.QueueInfo, error) {
		infos, err := queues.Queues(ctx)
		if err != nil {
			return nil, err
		}
		infos = boundQueues(infos)
		c.note(infos)
		return infos, nil
	}
	return c
}

// Describe implements [prometheus.Collector].
func (*queueCollector) Describe(out chan<- *prometheus.Desc) {
	out <- queueMessages
	out <- queueUp
}

// Collect implements [prometheus.Collector].
func (c *queueCollector) Collect(out chan<- prometheus.Metric) {
	infos, err := c.question.get()
	if err != nil {
		if !errors.Is(err, sdk.ErrUnsupported) {
			c.logger.Debug("queues are not counted", "error", err)
		}
		return
	}
	gauge := func(desc *prometheus.Desc, value uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(value), labels...)
	}
	for i := range infos {
		q := &infos[i]
		if q.Reason != "" {
			gauge(queueUp, 0, q.Queue)
			continue
		}
		gauge(queueUp, 1, q.Queue)
		gauge(queueMessages, q.Waiting, q.Queue, "waiting")
		gauge(queueMessages, q.InFlight, q.Queue, "in_flight")
		gauge(queueMessages, q.Deferred, q.Queue, "deferred")
	}
}

// note logs when a queue no longer answers, and when it answers again.
func (c *queueCollector) note(infos []sdk.QueueInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	away := map[string]bool{}
	for _, q := range infos {
		switch {
		case q.Reason != "":
			away[q.Queue] = true
			if !c.away[q.Queue] {
				c.logger.Warn("the queue does not tell what waits in it", "queue", q.Queue, "reason", q.Reason)
			}
		case c.away[q.Queue]:
			c.logger.Info("the queue tells again what waits in it", "queue", q.Queue)
		}
	}
	c.away = away
}

// boundQueues returns the queues as metrics may have them: each name once, and neither too many nor
// too long. If one of the queues that are counted together did not answer, none of their counts are
// shown.
func boundQueues(infos []sdk.QueueInfo) []sdk.QueueInfo {
	infos = slices.Clone(infos)
	for i := range infos {
		name := &infos[i].Queue
		*name = cmp.Or(strings.ToValidUTF8((*name)[:min(len(*name), maxQueueName)], ""), otherQueues)
	}
	slices.SortFunc(infos, func(a, b sdk.QueueInfo) int { return strings.Compare(a.Queue, b.Queue) })
	var bounded []sdk.QueueInfo
	at := map[string]int{}
	for _, q := range infos {
		if _, known := at[q.Queue]; !known && len(bounded) >= maxQueues-1 {
			q.Queue = otherQueues
		}
		i, known := at[q.Queue]
		if !known {
			at[q.Queue] = len(bounded)
			bounded = append(bounded, q)
			continue
		}
		into := &bounded[i]
		into.Waiting += q.Waiting
		into.InFlight += q.InFlight
		into.Deferred += q.Deferred
		into.Reason = cmp.Or(into.Reason, q.Reason)
	}
	return bounded
}
