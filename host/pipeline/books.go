package pipeline

import (
	"sync"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/deis/logger/sdk"
)

// books count what happens to messages, so that they balance:
// received = stored + rejected + duplicates + waiting.
type books struct {
	logger hclog.Logger

	received, stored, duplicates, retries prometheus.Counter
	rejected                              map[Reason]prometheus.Counter
	appendSeconds, batchEntries           prometheus.Histogram

	rejectLog, retryLog limitedLog
}

func newBooks(registry prometheus.Registerer, logger hclog.Logger, waiting func() float64) *books {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Namespace: "logger", Name: name, Help: help})
		registry.MustRegister(c)
		return c
	}
	rejected := prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "logger", Name: "messages_rejected_total",
		Help: "Messages that can never be stored, by reason; they were acknowledged.",
	}, []string{"reason"})
	registry.MustRegister(rejected)
	b := &books{
		logger:     logger,
		received:   counter("messages_received_total", "Messages taken from the aggregator."),
		stored:     counter("messages_stored_total", "Messages whose entry the storage has stored."),
		duplicates: counter("messages_duplicate_total", "Messages that were delivered again and had been taken already."),
		retries:    counter("append_retries_total", "Appends that were tried again."),
		rejected:   make(map[Reason]prometheus.Counter),
		appendSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "logger", Name: "append_seconds", Help: "Duration of one try of one append.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 13),
		}),
		batchEntries: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "logger", Name: "batch_entries", Help: "Entries in one append.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 7),
		}),
		rejectLog: limitedLog{limiter: rate.NewLimiter(1, 5)},
		retryLog:  limitedLog{limiter: rate.NewLimiter(0.2, 1)},
	}
	for _, r := range reasons {
		b.rejected[r] = rejected.WithLabelValues(string(r))
	}
	registry.MustRegister(b.appendSeconds, b.batchEntries, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "logger", Name: "messages_waiting", Help: "Messages taken from the aggregator and not stored yet.",
	}, waiting))
	return b
}

// excerptBytes is how much of a rejected message the log shows.
const excerptBytes = 200

func (b *books) reject(r *rejection, m *sdk.Message) {
	b.rejected[r.reason].Inc()
	if suppressed, ok := b.rejectLog.allow(); ok {
		b.logger.Warn("message rejected", "reason", string(r.reason), "detail", r.detail, "id", m.ID,
			"bytes", len(m.Payload), "begins", hclog.Quote(m.Payload[:min(len(m.Payload), excerptBytes)]), "more_not_shown", suppressed)
	}
}

func (b *books) refuse(app string, err error) {
	b.rejected[Refused].Inc()
	if suppressed, ok := b.rejectLog.allow(); ok {
		b.logger.Warn("entry refused by the storage", "app", app, "error", err, "more_not_shown", suppressed)
	}
}

func (b *books) retry(err error) {
	b.retries.Inc()
	if suppressed, ok := b.retryLog.allow(); ok {
		b.logger.Warn("append did not succeed and is tried again; messages wait", "error", err, "more_not_shown", suppressed)
	}
}

// limitedLog lets through so many lines a second and counts the others.
type limitedLog struct {
	limiter    *rate.Limiter
	mu         sync.Mutex
	suppressed int
}

// allow says whether to log now, and how many lines were left out before.
func (l *limitedLog) allow() (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.limiter.Allow() {
		l.suppressed++
		return 0, false
	}
	suppressed, l.suppressed = l.suppressed, 0
	return suppressed, true
}
