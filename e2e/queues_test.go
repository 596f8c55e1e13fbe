package e2e

import (
	"maps"
	"net"
	"strings"
	"testing"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/redistest"
)

// backlogEnv returns [harness.NSQEnv] and the port of nsqd's HTTP API.
func backlogEnv(queue *nsqtest.Server) map[string]string {
	_, port, _ := net.SplitHostPort(queue.HTTPAddr()) // a wrong address shows at once
	env := harness.NSQEnv(queue.TCPAddr())
	env["DEIS_NSQD_SERVICE_PORT_HTTP"] = port
	return env
}

// TestMetricsTellTheBacklog: /metrics says how many messages wait, are in flight or are deferred in
// nsqd. The test stops the storage, and then pauses the channel.
func TestMetricsTellTheBacklog(t *testing.T) {
	const taken, published = 10, 50
	redis, queue := redistest.Start(t), harness.NewQueue(t)
	l := harness.Start(t, backlogEnv(queue), harness.RedisEnv(redis.Addr), map[string]string{"NSQ_MAX_IN_FLIGHT": "10"})
	tells := func(waiting, inFlight float64) {
		t.Helper()
		want := map[string]float64{
			`logger_queue_messages{queue="` + queue.TCPAddr() + `",state="waiting"}`:   waiting,
			`logger_queue_messages{queue="` + queue.TCPAddr() + `",state="in_flight"}`: inFlight,
			`logger_queue_messages{queue="` + queue.TCPAddr() + `",state="deferred"}`:  0,
			`logger_queue_up{queue="` + queue.TCPAddr() + `"}`:                         1,
		}
		var got map[string]float64
		defer func() {
			if t.Failed() {
				t.Logf("the metrics are %v", got)
			}
		}()
		l.Until("the metrics say where the messages are", func() bool {
			got = queueMetrics(l.Metrics())
			return maps.Equal(got, want)
		})
	}
	tells(0, 0)
	redis.Stop()
	for i := range published {
		queue.Publish("logs", harness.Numbered(i, 1))
	}
	tells(published-taken, taken)
	redis.Restart()
	m := l.Settled(published)
	tells(0, 0)
	if m["logger_message_age_seconds_count"] == 0 {
		t.Errorf("no message had an age: %v", m)
	}
	queue.Post("/channel/pause?topic=logs&channel=consume")
	queue.Publish("logs", harness.Numbered(published, 1), harness.Numbered(published+1, 1))
	tells(2, 0)
}

// TestMetricsOfAQueueThatCannotBeAsked: if nsqd's HTTP API does not answer, /metrics has no counts
// of its messages, and the log says why, once.
func TestMetricsOfAQueueThatCannotBeAsked(t *testing.T) {
	queue := harness.NewQueue(t)
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.MemoryEnv(), map[string]string{"DEIS_NSQD_SERVICE_PORT_HTTP": "1"})
	want := map[string]float64{`logger_queue_up{queue="` + queue.TCPAddr() + `"}`: 0}
	for range 3 {
		if got := queueMetrics(l.Metrics()); !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	said := 0
	for _, line := range l.Logs() {
		if strings.Contains(line, "the queue does not tell") && strings.Contains(line, "its HTTP side at 127.0.0.1:1: dial tcp") {
			said++
		}
	}
	if said != 1 {
		t.Errorf("it is said %d times, want once: %s", said, l.Log())
	}
	queue.Publish("logs", harness.Numbered(1, 1))
	l.Settled(1) // lines flow nevertheless
}

// queueMetrics returns the metrics of the queues.
func queueMetrics(all harness.Metrics) map[string]float64 {
	queues := map[string]float64{}
	for name, value := range all {
		if strings.HasPrefix(name, "logger_queue_") {
			queues[name] = value
		}
	}
	return queues
}
