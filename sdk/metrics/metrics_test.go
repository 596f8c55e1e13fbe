package metrics

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRegistry: a host parses what a plugin registers, beside the metrics that every process has.
func TestRegistry(t *testing.T) {
	r := New()
	promauto.With(r).NewCounterVec(prometheus.CounterOpts{Name: "appends_total", Help: "Appends."}, []string{"result"}).
		WithLabelValues("bad \n \" result").Add(3)
	polls := r.Results("polls_total", "Polls.")
	polls.Count(nil)
	polls.Count(errors.New("away"))
	polls.Count(nil)
	r.Results("dials_total", "Dials.")
	promauto.With(r).NewHistogram(prometheus.HistogramOpts{Name: "seconds", Help: "How long."}).Observe(1)
	text, err := r.Metrics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	families, err := Parse(text)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	got := written(t, families)
	for _, want := range []string{
		"appends_total{result=\"bad \\n \\\" result\"} 3\n", "seconds_count 1\n",
		"polls_total{result=\"ok\"} 2\n", "polls_total{result=\"failed\"} 1\n",
		"dials_total{result=\"ok\"} 0\n", "dials_total{result=\"failed\"} 0\n", "process_start_time_seconds ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

// collector hangs until its gate opens.
type collector struct{ gate chan struct{} }

func (collector) Describe(chan<- *prometheus.Desc)   {}
func (c collector) Collect(chan<- prometheus.Metric) { <-c.gate }

// TestRegistryThatHangs: a collector that hangs holds up one call. The other calls return when
// their time is over.
func TestRegistryThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, c := New(), collector{make(chan struct{})}
		r.MustRegister(c)
		first := make(chan error, 1)
		go func() {
			_, err := r.Metrics(context.Background())
			first <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Metrics(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a question behind it: %v", err)
		}
		close(c.gate)
		if err := <-first; err != nil {
			t.Error(err)
		}
		if _, err := r.Metrics(t.Context()); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}
