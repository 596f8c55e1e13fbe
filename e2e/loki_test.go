package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/nsqtest"
)

// lokiNoon is the time of line 0 of each app; line n is n seconds later.
var lokiNoon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// timed publishes the lines from first to last of app-0, each with a time of its own.
func timed(queue *nsqtest.Server, first, last int) {
	var bodies [][]byte
	for n := first; n <= last; n++ {
		at := lokiNoon.Add(time.Duration(n) * time.Second).Format(time.RFC3339)
		bodies = append(bodies, bytes.Replace(harness.Message("app-0", fmt.Sprintf("level=warn number=%d\n", n)), []byte("2026-01-02T03:04:05+00:00"), []byte(at), 1))
	}
	queue.Publish("logs", bodies...)
}

// loki asks the logger and returns what is in "data".
func loki(l *harness.Logger, t *testing.T, path string, pairs ...string) string {
	t.Helper()
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	status, _, body := l.Do(http.MethodGet, "/loki/api/v1/"+path+"?"+values.Encode())
	var answer struct{ Data json.RawMessage }
	if err := json.Unmarshal(body, &answer); status != http.StatusOK || err != nil {
		t.Fatalf("%s %q: %d %s", path, pairs, status, body)
	}
	return string(answer.Data)
}

// TestLoki: the requests of Grafana's data source against the built program.
func TestLoki(t *testing.T) {
	for name, env := range harness.Storages {
		t.Run(name, func(t *testing.T) {
			queue := harness.NewQueue(t)
			l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), env(t))
			timed(queue, 0, 299)
			l.Settled(300)
			grafana(t, l)
		})
	}
}

// lokiWindow is the parameters of a window that has all lines.
func lokiWindow(pairs ...string) []string {
	return append([]string{"start", fmt.Sprint(lokiNoon.UnixNano()), "end", fmt.Sprint(lokiNoon.Add(time.Hour).UnixNano())}, pairs...)
}

func grafana(t *testing.T, l *harness.Logger) {
	for _, tc := range []struct {
		path  string
		pairs []string
		want  string // in the answer
	}{
		{"query", []string{"query", "vector(1)+vector(1)", "time", "4000000000"}, `[{"metric":{},"value":[4000000000,"2"]}]`},
		{"query_range", lokiWindow("query", `{app="app-0"} |= "number=7"`, "limit", "1", "direction", "backward"), `[["1767355279000000000","level=warn number=79"]]`},
		{"query_range", lokiWindow("query", `sum by (level, detected_level) (count_over_time({app="app-0"} | drop __error__ [3600s]))`, "step", "3600"), `{"metric":{"detected_level":"warn","level":"warn"},"values":[[1767355200,"1"],[1767358800,"299"]]}`},
		{"query_range", lokiWindow("query", `{app="app-0"} | logfmt | number < 2 | keep number`, "direction", "forward"), `[{"stream":{"number":"0"},"values":[["1767355200000000000","level=warn number=0"]]},{"stream":{"number":"1"},"values":`},
		{"labels", lokiWindow(), `["app","container","detected_level","host","level","pod","process","release","service_name","source","stream"]`},
		{"label/app/values", lokiWindow(), `["app-0"]`},
		{"series", lokiWindow("match[]", `{app="app-0"}`), `[{"app":"app-0","container":"app-0-web","detected_level":"warn","host":"node-1","level":"warn","pod":"app-0-web-1234567890-abcde","process":"web","release":"v1","service_name":"app-0","source":"app","stream":"stdout"}]`},
	} {
		if got := loki(l, t, tc.path, tc.pairs...); !strings.Contains(got, tc.want) {
			t.Errorf("%s %q: %.1000s, want %s", tc.path, tc.pairs, got, tc.want)
		}
	}
	if status, _, body := l.Do(http.MethodGet, "/ready"); status != http.StatusOK || string(body) != "ready\n" {
		t.Errorf("/ready: %d %s", status, body)
	}
	if status := l.Status("/loki/api/v1/patterns"); status != http.StatusNotFound {
		t.Errorf("what there is not: %d", status)
	}
}
