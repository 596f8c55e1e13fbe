package follow

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	refused prometheus.Counter
	missed  *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer, h *Hub) metrics {
	m := metrics{
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "logger_followers_refused_total", Help: "Followers refused because there were too many.",
		}),
		missed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "logger_follower_missed_lines_total", Help: "Lines that followers were told they miss, by reason.",
		}, []string{"reason"}),
	}
	if registry == nil {
		return m
	}
	registry.MustRegister(m.refused, m.missed,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "logger_followers", Help: "Followers of live logs.",
		}, func() float64 { n, _ := h.counts(); return float64(n) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "logger_followed_apps", Help: "Apps that have followers here.",
		}, func() float64 { _, n := h.counts(); return float64(n) }),
	)
	return m
}
