package pipeline

import (
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"github.com/deis/logger/sdk"
)

// books count what happens to messages. Of a message with several records, each record counts as
// one. The books balance at every moment, and so in every scrape: received = stored + rejected +
// duplicates + waiting.
type books struct {
	logger hclog.Logger

	appendSeconds, batchEntries, ageSeconds prometheus.Histogram

	mu       sync.Mutex
	tally    tally
	rejected map[Reason]uint64

	forms   recordForms
	leftOut map[string]uint64 // not selected, by namespace

	latest       origin // of an entry
	latestReject reject

	rejectLogs map[Reason]*limitedLog // each reason has a limit of its own
	retryLog   limitedLog
}

type tally struct {
	received, stored, duplicates, waiting, retries uint64

	last time.Time // when a message was received last
}

var (
	receivedDesc = desc("messages_received_total", "Messages taken from the aggregator.")
	storedDesc   = desc("messages_stored_total", "Messages whose entry the storage has stored.")
	copiesDesc   = desc("messages_duplicate_total", "Messages that were delivered again and had been taken already.")
	lastDesc     = desc("last_received_timestamp_seconds", "When a message was last taken from the aggregator; 0 before the first.")
	waitingDesc  = desc("messages_waiting", "Messages taken from the aggregator and not stored yet.")
	retriesDesc  = desc("append_retries_total", "Appends that were tried again.")
	rejectedDesc = desc("messages_rejected_total", "Messages that can never be stored, by reason; they were acknowledged.", "reason")
	textDesc     = desc("messages_text_total", "Messages by the key under which they have their text.", "key")
	timeDesc     = desc("messages_time_total", "Messages by the form of their time; missing and unusable ones have that of their publishing.", "form")
)

var (
	leftOutDesc = desc("messages_not_selected_total", "Messages that the settings leave out, by namespace, of which the first 64 are told.", "namespace")
	latestDesc  = desc("latest_record_info", "What the latest record with a line looks like: the collector is a guess.", "collector", "text", "time")
	rejectDesc  = desc("latest_reject_info", "What a recently rejected record looks like: the collector is a guess.", "reason", "collector", "form")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("logger_"+name, help, labels, nil)
}

func newBooks(registry prometheus.Registerer, logger hclog.Logger) *books {
	b := &books{
		logger:   logger,
		rejected: make(map[Reason]uint64),
		leftOut:  make(map[string]uint64),
		appendSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "logger", Name: "append_seconds", Help: "Duration of one try of one append.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 13),
		}),
		batchEntries: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "logger", Name: "batch_entries", Help: "Entries in one append.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 7),
		}),
		ageSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "logger", Name: "message_age_seconds",
			Help:    "How long ago the transport took the newest message of a delivered batch, once per batch.",
			Buckets: []float64{0.001, 0.005, 0.02, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 6 * 3600, 24 * 3600},
		}),
		rejectLogs: make(map[Reason]*limitedLog),
		retryLog:   limitedLog{limiter: rate.NewLimiter(0.2, 1)},
	}
	for _, reason := range reasons {
		b.rejectLogs[reason] = &limitedLog{limiter: rate.NewLimiter(0.2, 3)}
	}
	registry.MustRegister(b, b.appendSeconds, b.batchEntries, b.ageSeconds)
	return b
}

// Describe implements [prometheus.Collector].
func (*books) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{receivedDesc, storedDesc, copiesDesc, lastDesc, waitingDesc, retriesDesc, rejectedDesc, textDesc, timeDesc, leftOutDesc, latestDesc, rejectDesc} {
		out <- d
	}
}

// Collect implements [prometheus.Collector]: all numbers are of one moment.
func (b *books) Collect(out chan<- prometheus.Metric) {
	b.mu.Lock()
	now, forms, latest, latestReject, leftOut := b.tally, b.forms, b.latest, b.latestReject, maps.Clone(b.leftOut)
	rejected := make([]uint64, len(reasons))
	for i, r := range reasons {
		rejected[i] = b.rejected[r]
	}
	b.mu.Unlock()
	send := func(d *prometheus.Desc, kind prometheus.ValueType, value uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, kind, float64(value), labels...)
	}
	send(receivedDesc, prometheus.CounterValue, now.received)
	send(storedDesc, prometheus.CounterValue, now.stored)
	send(copiesDesc, prometheus.CounterValue, now.duplicates)
	last := 0.0
	if !now.last.IsZero() {
		last = float64(now.last.UnixMilli()) / 1000
	}
	out <- prometheus.MustNewConstMetric(lastDesc, prometheus.GaugeValue, last)
	send(waitingDesc, prometheus.GaugeValue, now.waiting)
	send(retriesDesc, prometheus.CounterValue, now.retries)
	for i, r := range reasons {
		send(rejectedDesc, prometheus.CounterValue, rejected[i], string(r))
	}
	for i, key := range textKeyNames {
		send(textDesc, prometheus.CounterValue, forms.texts[i], key)
	}
	for i, form := range timeFormNames {
		send(timeDesc, prometheus.CounterValue, forms.times[i], form)
	}
	for namespace, n := range leftOut {
		send(leftOutDesc, prometheus.CounterValue, n, namespace)
	}
	if latest != (origin{}) {
		send(latestDesc, prometheus.GaugeValue, 1, latest.collector, textKeyNames[forms.text], timeFormNames[forms.time])
	}
	if r := latestReject; r != (reject{}) {
		send(rejectDesc, prometheus.GaugeValue, 1, string(r.reason), r.from.collector, r.from.form)
	}
}

// arrive notes how late a delivered batch is, by its newest message: an older one may just have
// been given back before. If the transport's clock is ahead of ours, the batch counts as not late.
// A batch whose transport does not say when it was published is not counted.
func (b *books) arrive(messages []sdk.Message, now time.Time) {
	newest := time.Time{}
	for i := range messages {
		if m := &messages[i]; m.Published.After(newest) {
			newest = m.Published
		}
	}
	if !newest.IsZero() {
		b.ageSeconds.Observe(max(0, now.Sub(newest).Seconds()))
	}
}

// take counts messages that were received and wait to be stored.
func (b *books) take(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.receive(n)
	b.tally.waiting += uint64(n)
}

// receive counts messages, whatever becomes of them. The caller holds the lock.
func (b *books) receive(n int) {
	b.tally.received += uint64(n)
	b.tally.last = time.Now()
}

// store counts waiting messages that are stored now.
func (b *books) store(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tally.stored += uint64(n)
	b.tally.waiting -= uint64(n)
}

// duplicate counts a message that had been taken already.
func (b *books) duplicate() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.receive(1)
	b.tally.duplicates++
}

// drop counts waiting messages that turned out to be stored already.
func (b *books) drop(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tally.duplicates += uint64(n)
	b.tally.waiting -= uint64(n)
}

// excerptBytes bounds the part of a rejected record that the log shows.
const excerptBytes = 200

// rejectRecord counts a record that decode rejects with the error. The record begins at start in
// the message.
func (b *books) rejectRecord(err error, m *sdk.Message, start int) {
	var r *rejection
	if !errors.As(err, &r) {
		r = &rejection{reason: Malformed, detail: err.Error()}
	}
	b.mu.Lock()
	b.receive(1)
	b.rejected[r.reason]++
	if r.reason == NotSelected { // the settings want it so
		b.leaveOut(r.namespace)
		b.mu.Unlock()
		return
	}
	b.mu.Unlock()
	if suppressed, ok := b.rejectLogs[r.reason].allow(); ok {
		from := originOf(m.Payload[start:])
		if r.reason == Malformed { // such a record may begin anywhere
			from = originOf(m.Payload)
		}
		b.mu.Lock()
		b.latestReject = reject{r.reason, from}
		b.mu.Unlock()
		b.logger.Warn("record rejected", "reason", string(r.reason), "detail", r.detail, "id", m.ID,
			"collector", from.collector, "form", from.form, "bytes", len(m.Payload), "begins", hclog.Quote(m.Payload[start:min(len(m.Payload), start+excerptBytes)]), "more_not_shown", suppressed)
	}
}

// see counts what records look like. latest is the message from the beginning of the latest record
// that became an entry, or nil.
func (b *books) see(seen *recordForms, latest []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forms.add(seen)
	if latest != nil {
		b.latest = originOf(latest)
		b.forms.text, b.forms.time = seen.text, seen.time
	}
}

// reject holds a record that was rejected.
type reject struct {
	reason Reason
	from   origin
}

// mostNamespaces bounds the namespaces that are counted separately.
const mostNamespaces = 64

// leaveOut counts a record of a namespace that is not selected. The caller holds the lock.
func (b *books) leaveOut(namespace string) {
	if _, known := b.leftOut[namespace]; !known && len(b.leftOut) >= mostNamespaces {
		namespace = "(others)"
	}
	b.leftOut[namespace]++
}

// reject counts a waiting entry that storage refuses or fails on.
func (b *books) reject(reason Reason, app string, err error) {
	b.mu.Lock()
	b.rejected[reason]++
	b.tally.waiting--
	b.mu.Unlock()
	if suppressed, ok := b.rejectLogs[reason].allow(); ok {
		b.logger.Warn("entry rejected", "reason", string(reason), "app", app, "error", err, "more_not_shown", suppressed)
	}
}

func (b *books) retry(err error) {
	b.mu.Lock()
	b.tally.retries++
	b.mu.Unlock()
	if suppressed, ok := b.retryLog.allow(); ok {
		b.logger.Warn("storage did not take a batch, which is tried again; messages wait", "error", err, "more_not_shown", suppressed)
	}
}

// limitedLog lets through so many lines a second and counts the others.
type limitedLog struct {
	limiter    *rate.Limiter
	mu         sync.Mutex
	suppressed int
}

// allow reports whether to log now, and how many lines were left out before.
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
