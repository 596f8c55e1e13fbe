package pipeline

import (
	"fmt"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/deis/logger/sdk"
)

// TestAgeOfWhatArrives: the age of each batch is that of its newest message, at its delivery.
func TestAgeOfWhatArrives(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ago := func(seconds ...int) (messages []sdk.Message) {
		for i, s := range seconds {
			m := line(i, "a", fmt.Sprint(i))
			m.Published = now.Add(-time.Duration(s) * time.Second)
			messages = append(messages, m)
		}
		return messages
	}
	for name, c := range map[string]struct {
		messages []sdk.Message
		count    uint64
		sum      float64
	}{
		"the newest":          {ago(300, 40, 7, 200), 1, 7},
		"a clock that is off": {ago(300, -40), 1, 0},
		"not said":            {[]sdk.Message{line(1, "a", "x")}, 0, 0},
		"said of one":         {append(ago(9), line(8, "a", "x")), 1, 9},
	} {
		t.Run(name, func(t *testing.T) {
			registry := prometheus.NewPedanticRegistry()
			p := New(Options{
				Storage: newStorage(nil), Logger: hclog.NewNullLogger(), Registry: registry,
				MaxLineBytes: 64 << 10, Selection: testSelection(), AppendTimeout: time.Second, Now: func() time.Time { return now },
			})
			if _, err := p.Deliver(t.Context(), c.messages); err != nil {
				t.Fatal(err)
			}
			families, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range families {
				if f.GetName() != "logger_message_age_seconds" {
					continue
				}
				h := f.GetMetric()[0].GetHistogram()
				if h.GetSampleCount() != c.count || h.GetSampleSum() != c.sum {
					t.Errorf("%d batches, %v s in all; want %d, %v", h.GetSampleCount(), h.GetSampleSum(), c.count, c.sum)
				}
				return
			}
			t.Error("no logger_message_age_seconds")
		})
	}
}
