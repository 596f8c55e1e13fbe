package nsq

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/deis/logger/sdk/metrics"
)

// measured has the metrics of an aggregator. None has a label that others choose: Queues says what
// each nsqd has.
type measured struct {
	*metrics.Registry

	dials              metrics.Results
	finished, requeued prometheus.Counter
	refusals           prometheus.Counter
}

func newMeasured() *measured {
	m := &measured{Registry: metrics.New()}
	with := promauto.With(m)
	m.dials = m.Results("dials_total", "Connections to nsqd that were opened and subscribed, or could not be.")
	counter := func(name, help string) prometheus.Counter {
		return with.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m.finished = counter("finished_messages_total", "Messages that nsqd was told are done.")
	m.requeued = counter("requeued_messages_total", "Messages that were given back to nsqd, which delivers them again.")
	m.refusals = counter("refused_answers_total", "Answers that nsqd did not accept, most of them because they came too late.")
	return m
}

// measure adds the metrics that are read from the pool at each scrape.
func (m *measured) measure(p *pool) {
	gauge := func(name, help string, value func() int) {
		promauto.With(m).NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
	}
	gauge("connections", "Open connections to nsqd.", func() int { return len(p.open()) })
	gauge("ready_messages", "Sum of RDY: how many messages the nsqd may have in flight to this logger.", p.rdy)
	gauge("max_in_flight_messages", "NSQ_MAX_IN_FLIGHT.", func() int { return p.budget })
	held := func(of func(*flow) int) func() int {
		return func() int {
			p.mu.Lock()
			f := p.flow
			p.mu.Unlock()
			if f == nil {
				return 0
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			return of(f)
		}
	}
	gauge("in_flight_messages", "Messages that arrived and whose outcome is not known yet.", held(func(f *flow) int { return f.messages }))
	gauge("in_flight_bytes", "Bytes of the messages in flight.", held(func(f *flow) int { return f.bytes }))
	gauge("in_flight_batches", "Batches that are delivered to the logger and not settled yet.", held(func(f *flow) int { return len(f.underWay) }))
}

// rdy returns how many messages the nsqd were last told that they may have in flight.
func (p *pool) rdy() (sum int) {
	open := p.open()
	p.readyMu.Lock()
	defer p.readyMu.Unlock()
	for _, c := range open {
		sum += c.ready
	}
	return sum
}
