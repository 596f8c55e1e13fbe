package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
)

// TestHistogram: /v1's histograms, of one app and of several, count the lines correctly. The test
// publishes lines of four levels to three apps, over ten minutes of their own time.
func TestHistogram(t *testing.T) {
	for name, env := range harness.Storages {
		t.Run(name, func(t *testing.T) {
			queue := harness.NewQueue(t)
			l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), env(t))
			begin := time.Now().UTC().Add(-20 * time.Minute).Truncate(time.Minute)
			levels := []string{"error", "warn", "info", ""}
			want := map[string]map[string]uint64{} // by app
			for i := range 600 {
				app, level := fmt.Sprintf("shop-%d", i%3), levels[i%7%4]
				if want[app] == nil {
					want[app] = map[string]uint64{}
				}
				text := fmt.Sprintf("line %d", i)
				if level != "" {
					text = fmt.Sprintf("level=%s msg=%q", level, text)
				}
				queue.Publish("logs", fmt.Appendf(nil, `{"log":%q,"time":%q,"kubernetes":{"pod_name":"shop-web-1-x","labels":{"app":%q}}}`,
					text, begin.Add(time.Duration(i)*time.Second).Format(time.RFC3339), app))
				if level == "" {
					level = "unknown"
				}
				want[app][level]++
			}
			l.Settled(600)
			count := func(path string, buckets int) map[string]uint64 {
				t.Helper()
				status, _, body := l.Do(http.MethodGet, path)
				var answer struct {
					Buckets []struct {
						Time   time.Time
						Total  uint64
						Levels map[string]uint64
					}
				}
				if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusOK || len(answer.Buckets) != buckets {
					t.Fatalf("%s: %d, %d buckets: %s", path, status, len(answer.Buckets), body)
				}
				sum := map[string]uint64{}
				for i, b := range answer.Buckets {
					total := uint64(0)
					for level, n := range b.Levels {
						sum[level] += n
						total += n
					}
					if at := begin.Add(time.Duration(i) * time.Minute); total != b.Total || !b.Time.Equal(at) {
						t.Errorf("%s: bucket %d at %s, want %s: %d, but its levels have %d", path, i, b.Time, at, b.Total, total)
					}
				}
				return sum
			}
			all := map[string]uint64{}
			for app, levels := range want {
				if got := count("/v1/apps/"+app+"/histogram?step=1m", 10); !maps.Equal(got, levels) {
					t.Errorf("%s: %v, want %v", app, got, levels)
				}
				for level, n := range levels {
					all[level] += n
				}
			}
			if got := count("/v1/histogram?app=shop-*&step=1m", 10); !maps.Equal(got, all) {
				t.Errorf("all: %v, want %v", got, all)
			}
			if got := count("/v1/histogram?app=shop-0,shop-1,shop-2,nobody&step=1m&level=error", 10); len(got) != 1 || got["error"] != all["error"] {
				t.Errorf("errors: %v, want %d", got, all["error"])
			}
			bound := begin.Add(5 * time.Minute).Format(time.RFC3339)
			early := count("/v1/histogram?app=*&step=1m&until="+bound, 6)
			if sum := early["error"] + early["warn"] + early["info"] + early["unknown"]; sum != 301 {
				t.Errorf("the first five minutes, inclusive: %v", early)
			}
		})
	}
}
