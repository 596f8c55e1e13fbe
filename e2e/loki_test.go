package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
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

// lokiAt returns a time as Grafana and logcli write it.
func lokiAt(seconds int) string {
	return fmt.Sprint(lokiNoon.Add(time.Duration(seconds) * time.Second).UnixNano())
}

// timed publishes the lines of app-0 from first to last, each with its own time.
func timed(queue *nsqtest.Server, first, last int) {
	var bodies [][]byte
	for n := first; n <= last; n++ {
		at := lokiNoon.Add(time.Duration(n) * time.Second).Format(time.RFC3339)
		bodies = append(bodies, bytes.Replace(harness.Message("app-0", fmt.Sprintf("level=warn number=%d\n", n)), []byte("2026-01-02T03:04:05+00:00"), []byte(at), 1))
	}
	queue.Publish("logs", bodies...)
}

// with300 starts a logger and publishes the lines 0 to 299 of [timed].
func with300(t *testing.T, env map[string]string) *harness.Logger {
	t.Helper()
	queue := harness.NewQueue(t)
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), env)
	timed(queue, 0, 299)
	l.Settled(300)
	return l
}

// lokiDo sends a request to /loki/api/v1. The pairs are the parameters of the URL, or of a form if
// the method is POST.
func lokiDo(t *testing.T, l *harness.Logger, method, path string, header map[string]string, pairs ...string) (status int, body string) {
	t.Helper()
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	query, form := "?"+values.Encode(), ""
	if method == http.MethodPost {
		query, form = "", values.Encode()
	}
	req, err := http.NewRequestWithContext(t.Context(), method, l.URL+"/loki/api/v1/"+path+query, strings.NewReader(form))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true // so that no idle connection is left
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(b) {
		t.Errorf("%s %s %q: no JSON: %.300s", method, path, pairs, b)
	}
	return resp.StatusCode, strings.TrimSpace(string(b))
}

// grafanaHeader holds the headers that Grafana's server adds to a request. The logger may ignore
// them.
var grafanaHeader = map[string]string{
	"X-Scope-OrgID": "tenant", "X-Query-Tags": "Source=grafana", "X-Loki-Response-Encoding-Flags": "categorize-labels", "User-Agent": "Grafana/12.0.0",
}

// lokiRow holds a request, and what its answer has to contain.
type lokiRow struct {
	name, path string
	pairs      []string
	want       string
}

// lokiWindow returns the parameters of a window between two seconds after noon.
func lokiWindow(from, to int, pairs ...string) []string {
	return append([]string{"start", lokiAt(from), "end", lokiAt(to)}, pairs...)
}

// lokiLabels holds the JSON of the labels that each line has.
const (
	lokiLabels  = `"app":"app-0","container":"app-0-web","detected_level":"warn","host":"node-1","level":"warn","pod":"app-0-web-1234567890-abcde","process":"web","release":"v1","service_name":"app-0","source":"app","stream":"stdout"`
	lokiSuccess = `{"status":"success","data":`
)

// streamsAnswer returns the whole answer that has the lines of these numbers.
func streamsAnswer(numbers ...int) string {
	values := make([]string, len(numbers))
	for i, n := range numbers {
		values[i] = fmt.Sprintf(`["%s","level=warn number=%d"]`, lokiAt(n), n)
	}
	return lokiSuccess + `{"resultType":"streams","result":[{"stream":{` + lokiLabels + `},"values":[` + strings.Join(values, ",") + `]}],"stats":{}}}`
}

// grafanaRows returns the requests of Grafana's data source: "Save & test", Explore with the lines
// and their histogram, the context of a line, and the label browser.
func grafanaRows() []lokiRow {
	const app = `{app="app-0"}`
	newest := make([]int, 300)
	for i := range newest {
		newest[i] = 299 - i
	}
	seconds := make([]string, 300)
	for i := range seconds {
		seconds[i] = fmt.Sprintf(`[%d,"1"]`, lokiNoon.Unix()+int64(i))
	}
	hour := lokiWindow(0, 3600)
	with := func(pairs ...string) []string { return append(pairs, hour...) }
	return []lokiRow{
		{"health check", "query", []string{"direction", "backward", "query", "vector(1)+vector(1)", "time", "4000000000"}, lokiSuccess + `{"resultType":"vector","result":[{"metric":{},"value":[4000000000,"2"]}],"stats":{}}}`},
		{"Explore", "query_range", with("direction", "backward", "limit", "1000", "query", app, "step", "2s"), streamsAnswer(newest...)},
		{"Explore, filtered", "query_range", with("direction", "backward", "limit", "2", "query", app+" |= `number=7`", "step", "500ms"), streamsAnswer(79, 78)},
		{"histogram", "query_range", lokiWindow(0, 299, "direction", "backward", "query", "sum by (level, detected_level) (count_over_time("+app+" | drop __error__ [1s]))", "step", "1s"), `"result":[{"metric":{"detected_level":"warn","level":"warn"},"values":[` + strings.Join(seconds, ",") + `]}]`},
		{"histogram, wide", "query_range", with("query", "sum by (level, detected_level) (count_over_time("+app+" | drop __error__ [1h]))", "step", "1h0m0s"), `[{"metric":{"detected_level":"warn","level":"warn"},"values":[[1767355200,"1"],[1767358800,"299"]]}]`},
		{"context before", "query_range", lokiWindow(100-7200, 100, "direction", "backward", "limit", "3", "query", app), streamsAnswer(99, 98, 97)},
		{"context after", "query_range", lokiWindow(100, 100+7200, "direction", "forward", "limit", "3", "query", app), streamsAnswer(100, 101, 102)},
		{"table of an instant", "query", []string{"direction", "backward", "limit", "1000", "query", "sum by (app) (count_over_time(" + app + " [5m]))", "time", lokiAt(299)}, `"resultType":"vector","result":[{"metric":{"app":"app-0"},"value":[1767355499,"300"]}]`},
		{"lines of an instant", "query", []string{"limit", "2", "query", app, "time", lokiAt(299)}, streamsAnswer(299, 298)},
		{"labels", "labels", hour, lokiSuccess + `["app","container","detected_level","host","level","pod","process","release","service_name","source","stream"]}`},
		{"labels of a selector", "labels", with("query", `{app="none"}`), lokiSuccess + `[]}`},
		{"values", "label/app/values", hour, lokiSuccess + `["app-0"]}`},
		{"values of a selector", "label/process/values", with("query", app), lokiSuccess + `["web"]}`},
		{"series", "series", with("match[]", app), lokiSuccess + `[{` + lokiLabels + `}]}`},
		{"series, by another name", "series", with("match", app), lokiSuccess + `[{` + lokiLabels + `}]}`},
		{"statistics", "index/stats", with("query", app), `{"streams":1,"chunks":1,"entries":300,"bytes":`},
		{"volume", "index/volume", with("query", app, "limit", "10", "targetLabels", "app"), `"resultType":"vector","result":[{"metric":{"app":"app-0"},"value":[1767358800,"6190"]}]`},
		{"volume by steps", "index/volume_range", with("query", app, "step", "1h"), `"resultType":"matrix","result":[{"metric":{"app":"app-0"},"values":[[1767355200,"19"],[1767358800,"6171"]]}]`},
		{"detected labels", "detected_labels", with("query", app), `{"label":"process","cardinality":1}`},
		{"detected fields", "detected_fields", with("query", app, "line_limit", "10"), `{"fields":[{"label":"level","type":"string","cardinality":1,"parsers":["logfmt"]},{"label":"number","type":"int","cardinality":10,"parsers":["logfmt"]}]`},
		{"values of a field", "detected_field/number/values", with("query", app, "line_limit", "2"), `{"limit":1000,"values":["298","299"]}`},
		{"version", "status/buildinfo", nil, `"version":"2.9.0"`},
		{"one form of a query", "format_query", []string{"query", `{app = "app-0"}|="x"`}, `"data":"{app=\"app-0\"} |= \"x\""`},
	}
}

// queryRows returns requests with each part of LogQL.
func queryRows() (rows []lokiRow) {
	lines := func(query, want string) {
		rows = append(rows, lokiRow{query, "query_range", lokiWindow(0, 300, "query", query, "direction", "forward"), want})
	}
	for query, numbers := range map[string][]int{
		`{app="app-0",process!="worker",pod=~".*abcde",stream!~"std"} |= "number=29" != "number=29\""` + " |= `number=298`":                                     {298},
		`{app="app-0"} |= "number=11" or "number=298" |~ "=(110|298)$"`:                                                                                         {110, 298},
		`{app="app-0"} !~ "number=([1-9]|2.*|1.*)"`:                                                                                                             {0},
		`{app="app-0"} | logfmt | number >= 298 and level="warn" | keep app,container,detected_level,host,level,pod,process,release,service_name,source,stream`: {298, 299},
		`{app="app-0"} | decolorize | json | __error__="" or __error__="JSONParserErr" |= "number=42" | drop __error__, __error_details__`:                      {42},
	} {
		lines(query, streamsAnswer(numbers...))
	}
	lines(`{app="app-0"} |= "number=7" | logfmt | line_format "{{.app}} has {{.number}}" | label_format process="p-{{.number}}", n=number | keep n, process | n="7"`,
		`{"stream":{"n":"7","process":"p-7"},"values":[["`+lokiAt(7)+`","app-0 has 7"]]}`)
	for query, value := range map[string]string{
		`sum(count_over_time({app="app-0"}[1m]))`:                                                         "60",
		`sum by (process) (rate({app="app-0"} | logfmt [1m]))`:                                            "1",
		`sum(bytes_over_time({app="app-0"} |= "number=299" [1m]))`:                                        "21",
		`sum(bytes_rate({app="app-0"} |= "number=299" [10s]))`:                                            "2.1",
		`count(count_over_time({app="app-0"} | logfmt [1m]))`:                                             "60",
		`min without (pod) (count_over_time({app="app-0"}[1m]))`:                                          "60",
		`max(count_over_time({app="app-0"} | logfmt | keep level [1m])) * 2 - 1`:                          "119",
		`avg(count_over_time({app="app-0"} | logfmt | number > 289 | keep number [1m]))`:                  "1",
		`topk(1, sum by (number) (bytes_over_time({app="app-0"} | logfmt | number =~ "9|299" [5m])))`:     "21",
		`(sum(count_over_time({app="app-0"}[1m])) + 10) / 7 > 5`:                                          "10",
		`2 * sum(count_over_time({app="app-0"}[1m] offset 4m)) / sum(count_over_time({app="app-0"}[1m]))`: "2",
	} {
		rows = append(rows, lokiRow{query, "query", []string{"query", query, "time", lokiAt(299)}, `,"value":[1767355499,"` + value + `"]}]`})
	}
	return rows
}

// timeRows returns requests with each way to write a time.
func timeRows() (rows []lokiRow) {
	for _, start := range []string{lokiAt(10), "1767355210", "1767355210.0", "2026-01-02T12:00:10Z", "2026-01-02T13:00:10.000+01:00"} {
		for _, end := range []string{lokiAt(12), "1767355212", "2026-01-02T12:00:12Z"} {
			rows = append(rows, lokiRow{start, "query_range", []string{"query", `{app="app-0"}`, "start", start, "end", end, "direction", "FORWARD"}, streamsAnswer(10, 11)})
		}
	}
	return append(rows, lokiRow{"for ever", "query_range", []string{"query", `{app="app-0"}`, "start", "-9223372036854775808", "end", "9999999999", "limit", "2"}, streamsAnswer(299, 298)},
		lokiRow{"interval", "query_range", lokiWindow(0, 300, "query", `{app="app-0"}`, "direction", "forward", "interval", "100s"), streamsAnswer(0, 100, 200)},
		lokiRow{"since", "query_range", []string{"query", `{app="app-0"}`, "since", "2s", "end", lokiAt(20), "limit", "5"}, streamsAnswer(19, 18)})
}

// TestLoki: the logger answers the requests of Grafana's data source, as GET and as POST.
func TestLoki(t *testing.T) {
	for name, env := range harness.Storages {
		t.Run(name, func(t *testing.T) {
			l := with300(t, env(t))
			for _, row := range append(append(grafanaRows(), queryRows()...), timeRows()...) {
				for _, method := range []string{http.MethodGet, http.MethodPost} {
					status, body := lokiDo(t, l, method, row.path, grafanaHeader, row.pairs...)
					if status != http.StatusOK || !strings.Contains(body, row.want) {
						t.Errorf("%s: %s %s %q: %d %.2000s, want %.2000s", row.name, method, row.path, row.pairs, status, body, row.want)
					}
				}
			}
			lokiRefusals(t, l)
			if status, _, body := l.Do(http.MethodGet, "/ready"); status != http.StatusOK || string(body) != "ready\n" {
				t.Errorf("/ready: %d %s", status, body)
			}
		})
	}
}

// lokiRefusals checks refusals. A bad query is told the position of its mistake and what is
// accepted there. A request that the logger does not know is told where to read.
func lokiRefusals(t *testing.T, l *harness.Logger) {
	t.Helper()
	for _, tc := range []struct {
		path, query string
		status      int
		want        string
	}{
		{"query_range", `{app="app-0"} | unpack`, http.StatusBadRequest, "line 1, column 17"},
		{"query", `{app="app-0"`, http.StatusBadRequest, "line 1, column 13"},
		{"query", `{}`, http.StatusBadRequest, "line 1, column"},
		{"query", "quantile_over_time(0.9, {app=\"app-0\"}\n| unwrap number [1m])", http.StatusBadRequest, "line 1, column 1"},
		{"series", `rate({app="app-0"}[1m])`, http.StatusOK, lokiSuccess}, // series has no parameter query
		{"patterns", `{app="app-0"}`, http.StatusNotFound, "docs/grafana.md"},
		{"push", ``, http.StatusNotFound, "docs/grafana.md"},
		{"tail", `{app="app-0"`, http.StatusBadRequest, "line 1, column 13"},
	} {
		status, body := lokiDo(t, l, http.MethodGet, tc.path, nil, "query", tc.query)
		var told struct{ Message string }
		_ = json.Unmarshal([]byte(body), &told) // a body that is no JSON leaves it empty
		if status != tc.status || !strings.Contains(body, tc.want) || status != http.StatusOK && !strings.Contains(told.Message, tc.want) {
			t.Errorf("%s %s: %d %s, want %s", tc.path, tc.query, status, body, tc.want)
		}
	}
}
