package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/deis/logger/e2e/harness"
)

// logcliRequests names the file with the requests that logcli sends. TestLogcli, which `make
// logcli-test` runs, compares them with the real ones.
var logcliRequests = filepath.Join("testdata", "logcli.txt")

// v1Lines returns the app's lines as /v1 shows them.
func v1Lines(t *testing.T, l *harness.Logger, app string) (lines []string) {
	t.Helper()
	status, _, body := l.Do(http.MethodGet, "/v1/apps/"+app+"/logs?lines=-1&format=ndjson")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	for line := range strings.Lines(string(body)) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if r.Type == "entry" {
			lines = append(lines, r.Message)
		}
	}
	return lines
}

// answeredAt matches the time in the answer to an instant query: logcli asks for no particular
// time, so the time of the request is used.
var answeredAt = regexp.MustCompile(`"value":\[[0-9.]+,`)

// TestLogcliRequests: with both storages, every request of logcli gets the right answer.
func TestLogcliRequests(t *testing.T) {
	golden, err := os.ReadFile(logcliRequests)
	if err != nil {
		t.Fatal(err)
	}
	for name, env := range harness.Storages {
		t.Run(name, func(t *testing.T) {
			l := with300(t, env(t))
			lines := v1Lines(t, l, "app-0")
			if len(lines) != 300 {
				t.Fatalf("/v1 has %d lines", len(lines))
			}
			sent := 0
			for request := range strings.Lines(string(golden)) {
				path, query, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(request, "GET ")), "?")
				values, err := url.ParseQuery(query)
				if err != nil {
					t.Fatal(err)
				}
				var pairs []string
				for name, all := range values {
					for _, value := range all {
						pairs = append(pairs, name, value)
					}
				}
				status, body := lokiDo(t, l, http.MethodGet, path, map[string]string{"User-Agent": "loki-logcli/", "Authorization": "Basic Og=="}, pairs...)
				body = answeredAt.ReplaceAllString(body, `"value":[0,`)
				if want := logcliAnswer(path, values, lines); status != http.StatusOK || body != want {
					t.Errorf("%s: %d %.1000s, want %.1000s", request, status, body, want)
				}
				sent++
			}
			if sent < 17 {
				t.Errorf("%d requests", sent)
			}
		})
	}
}

// logcliAnswer returns the expected answer to a request of logcli. The app has line n at second n.
func logcliAnswer(path string, values url.Values, lines []string) string {
	switch path {
	case "labels":
		return lokiSuccess + `["app","container","detected_level","host","level","pod","process","release","service_name","source","stream"]}`
	case "label/process/values":
		return lokiSuccess + `["web"]}`
	case "query":
		return lokiSuccess + `{"resultType":"vector","result":[{"metric":{"level":"warn"},"value":[0,"300"]}],"stats":{}}}`
	case "series":
		return lokiSuccess + `[{` + lokiLabels + `}]}`
	}
	if strings.HasPrefix(values.Get("query"), "sum") { // a line per second, counted each minute
		return lokiSuccess + `{"resultType":"matrix","result":[{"metric":{"level":"warn"},"values":[[1767355200,"1"],[1767355260,"60"],[1767355320,"60"],[1767355380,"60"],[1767355440,"60"],[1767355500,"59"]]}],"stats":{}}}`
	}
	number := func(name string) int {
		n, _ := strconv.ParseInt(values.Get(name), 10, 64)
		return int(n)
	}
	// The window includes start and excludes end.
	second := func(name string) int { return (number(name) - int(lokiNoon.UnixNano()) + 1e9 - 1) / 1e9 }
	var numbers []int
	for n := max(second("start"), 0); n < min(second("end"), len(lines)); n += max(number("interval"), 1) {
		numbers = append(numbers, n)
	}
	if values.Get("direction") == "BACKWARD" {
		for i, j := 0, len(numbers)-1; i < j; i, j = i+1, j-1 {
			numbers[i], numbers[j] = numbers[j], numbers[i]
		}
	}
	return streamsAnswer(numbers[:min(len(numbers), number("limit"))]...)
}
