package loki

import (
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/sdk"
)

const (
	rangePath   = "/loki/api/v1/query_range"
	instantPath = "/loki/api/v1/query"
)

// TestHealthCheck sends what Grafana sends on "Save & test".
func TestHealthCheck(t *testing.T) {
	r := newRig(t)
	status, body := r.get(instantPath, "query", "vector(1)+vector(1)", "time", "1772625600000000000")
	want := `{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1772625600,"2"]}],"stats":{}}}`
	if status != http.StatusOK || body != want {
		t.Errorf("%d %s", status, body)
	}
	if _, body := r.get(instantPath, "query", "1 / 0", "time", "1.5"); !strings.Contains(body, `"resultType":"scalar","result":[1.5,"+Inf"]`) {
		t.Errorf("a scalar: %s", body)
	}
}

// TestLines reads streams by their labels, in both directions. start is inclusive and end
// exclusive.
func TestLines(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(20)...)
	a := r.ask(rangePath, "query", `{app="foo", process="web"}`, "start", ns(noon.Add(time.Second)), "end", ns(noon.Add(8*time.Second)))
	if a.Data.ResultType != "streams" || len(a.Data.Result) != 2 {
		t.Fatalf("%+v", a)
	}
	want := map[string]string{
		"app": "foo", "service_name": "foo", "process": "web", "release": "v2", "pod": "foo-web-845861952-nzf60", "host": "node-1", "stream": "stdout",
		"source": "app", "detected_level": "unknown",
	}
	if got := a.Data.Result[0].Stream; fmt.Sprint(got) != fmt.Sprint(want) && fmt.Sprint(a.Data.Result[1].Stream) != fmt.Sprint(want) {
		t.Errorf("labels: %v", got)
	}
	for query, lines := range map[string][]string{
		`{app="foo"}`:                           {"n=7", "n=5", "n=4", "n=2", "n=1"}, // and the worker's lines
		`{app="foo"} |= "5"`:                    {"n=5"},
		`{app=~"f.."} | logfmt | n >= 5`:        {"n=7", "n=6", "n=5"},
		`{level="warn"}`:                        {"n=5"},
		`{service_name="foo", level!="warn"}`:   {"n=7", "n=6", "n=4", "n=3", "n=2", "n=1"},
		`{app="foo"} | line_format "{{.host}}"`: {"node-1"},
		`{app="bar"}`:                           nil,
		`{app="foo", app="bar"}`:                nil,
		`{app=~".+", process=~"w.*", container=""} != "5" |~ "n=[1-4]"`: {"n=4", "n=3", "n=2", "n=1"},
	} {
		for _, forward := range []bool{false, true} {
			direction := map[bool]string{false: "BACKWARD", true: "forward"}[forward]
			got := r.ask(rangePath, "query", query, "start", ns(noon.Add(time.Second)), "end", ns(noon.Add(8*time.Second)), "direction", direction)
			for _, of := range got.Data.Result {
				if ordered := slices.IsSortedFunc(of.Values, func(a, b [2]any) int { return strings.Compare(a[0].(string), b[0].(string)) }); len(of.Values) > 1 && ordered != forward {
					t.Errorf("%s %s: %v", query, direction, of.Values)
				}
			}
			for _, line := range lines {
				if !slices.Contains(got.lines(), line) {
					t.Errorf("%s %s: %v is without %s", query, direction, got.lines(), line)
				}
			}
			if len(lines) == 0 && len(got.lines()) > 0 || slices.Contains(got.lines(), "n=8") || slices.Contains(got.lines(), "n=0") {
				t.Errorf("%s: %v", query, got.lines())
			}
		}
	}
}

// TestLimit: the newest lines by their own times are found, even if they were published in another
// order, and although few of the newest pass.
func TestLimit(t *testing.T) {
	r := newRig(t)
	entries := numbered(6000)
	entries[10].Published = entries[5999].Published.Add(time.Minute) // as if it had been hours late
	r.storage.Add("foo", entries...)
	r.storage.Add("bar", numbered(50)...)
	window := []string{"start", ns(noon), "end", ns(noon.Add(2 * time.Hour))}
	for _, tc := range []struct {
		query, limit, direction string
		first, last             string
		lines                   int
	}{
		{`{app="foo"}`, "3", "backward", "n=5999", "n=5997", 3},
		{`{app="foo"}`, "12", "forward", "n=0", "n=11", 12},
		{`{app=~".*o"} |~ "n=.$"`, "4", "backward", "n=9", "n=6", 4},
		{`{app=~"foo|bar"}`, "4", "forward", "n=0", "n=1", 4},
		{`{app="foo"}`, "5000", "backward", "n=5999", "n=1000", 5000},
	} {
		a := r.ask(rangePath, append(window, "query", tc.query+` | keep app`, "limit", tc.limit, "direction", tc.direction)...)
		lines := a.lines()
		if len(lines) != tc.lines || lines[0] != tc.first || lines[len(lines)-1] != tc.last {
			t.Errorf("%+v: %d lines from %.40q", tc, len(lines), lines)
		}
	}
	// The late line is in its place.
	a := r.ask(rangePath, "query", `{app="foo"} | keep app`, "start", ns(noon), "end", ns(noon.Add(12*time.Second)), "limit", "3")
	if got := strings.Join(a.lines(), " "); got != "n=11 n=10 n=9" {
		t.Errorf("with a line that was late: %s", got)
	}
}

// TestPaging: a client that resumes at the oldest time that it has gets every line.
func TestPaging(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(500)...)
	end, got := noon.Add(time.Hour), []string{}
	for range 20 {
		a := r.ask(rangePath, "query", `{app="foo"} | keep app`, "start", ns(noon), "end", ns(end), "limit", "30")
		lines := a.lines()
		if len(lines) == 0 {
			break
		}
		got = append(got, lines...)
		values := a.Data.Result[0].Values
		var at int64
		_, _ = fmt.Sscan(values[len(values)-1][0].(string), &at)
		end = time.Unix(0, at)
	}
	if len(got) != 500 || got[0] != "n=499" || got[499] != "n=0" {
		t.Errorf("%d lines", len(got))
	}
}

// TestInterval: lines that follow another one too soon are left out.
func TestInterval(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(100)...)
	a := r.ask(rangePath, "query", `{app="foo"} | keep app`, "start", ns(noon), "end", ns(noon.Add(time.Hour)), "direction", "forward", "interval", "10", "limit", "4")
	if got := strings.Join(a.lines(), " "); got != "n=0 n=10 n=20 n=30" {
		t.Error(got)
	}
}

// TestMetrics: a range gives a matrix, and a single time a vector.
func TestMetrics(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(60)...)
	r.storage.Add("bar", numbered(60)...)
	histogram := `sum by (level, detected_level) (count_over_time({app="foo"} | drop __error__ [10s]))`
	a := r.ask(rangePath, "query", histogram, "start", ns(noon.Add(10*time.Second)), "end", ns(noon.Add(60*time.Second)), "step", "10")
	if a.Data.ResultType != "matrix" || len(a.Data.Result) != 2 {
		t.Fatalf("%+v", a)
	}
	for _, series := range a.Data.Result {
		per := "8"
		if series.Metric["level"] == "warn" && series.Metric["detected_level"] == "warn" {
			per = "2"
		} else if series.Metric["detected_level"] != "unknown" || series.Metric["level"] != "" {
			t.Errorf("%v", series.Metric)
		}
		if len(series.Values) != 6 || series.Values[1][1] != per || series.Values[0][0] != float64(noon.Unix()+10) {
			t.Errorf("%v: %v", series.Metric, series.Values)
		}
	}
	a = r.ask(instantPath, "query", `topk(1, sum by (app, process) (count_over_time({app=~".+"}[1m]))) * 2`, "time", ns(noon.Add(59*time.Second)))
	if a.Data.ResultType != "vector" || len(a.Data.Result) != 1 || a.Data.Result[0].Value[1] != "80" {
		t.Errorf("%+v", a)
	}
}

// TestForms sends parameters in a form, and times in all their forms.
func TestForms(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(5)...)
	for _, start := range []string{ns(noon), fmt.Sprint(noon.Unix()), fmt.Sprint(noon.Unix()) + ".000", noon.Format(time.RFC3339Nano), "2026-03-04T14:00:00+02:00"} {
		form := url.Values{"query": {`{app="foo"} |= "n=0"`}, "start": {start}, "end": {ns(noon.Add(time.Minute))}}.Encode()
		status, body := r.do(http.MethodPost, rangePath, form, "Content-Type", "application/x-www-form-urlencoded", "X-Scope-OrgID", "tenant")
		if status != http.StatusOK || !strings.Contains(body, `["1772625600000000000","n=0"]`) {
			t.Errorf("start=%s: %d %s", start, status, body)
		}
	}
	form := url.Values{"query": {strings.Repeat("a", formBytes)}}.Encode()
	if status, body := r.do(http.MethodPost, rangePath, form, "Content-Type", "application/x-www-form-urlencoded"); status != http.StatusBadRequest {
		t.Errorf("a body that is too long: %d %s", status, body)
	}
}

// TestRefusals: each error is JSON with a message that says where the mistake is, and what it is.
func TestRefusals(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(5)...)
	window := []string{"start", ns(noon), "end", ns(noon.Add(time.Hour))}
	for _, tc := range []struct {
		path   string
		pairs  []string
		status int
		want   string
	}{
		{rangePath, []string{"query", `{app="foo"} | unpack`}, 400, "parse error: line 1, column 15"},
		{rangePath, nil, 400, "parse error: line 1, column 1"},
		{rangePath, []string{"query", `{app="foo"}`, "limit", "5001"}, 400, "want a whole number from 1 to 5000"},
		{rangePath, []string{"query", `{app="foo"}`, "direction", "up"}, 400, "want forward or backward"},
		{rangePath, []string{"query", `{app="foo"}`, "start", "noon"}, 400, "want a time as in RFC 3339"},
		{rangePath, []string{"query", `{app="foo"}`, "start", "2", "end", "1"}, 400, "end is before start"},
		{rangePath, append([]string{"query", `rate({app="foo"}[1m])`, "step", "0"}, window...), 400, "want more than 0"},
		{rangePath, append([]string{"query", `rate({app="foo"}[1m])`, "step", "0.1"}, window...), 400, "the query makes too much"},
		{rangePath, append([]string{"query", `rate({app="foo"} | json [1m])`}, window...), 400, "a line has an error"},
		{"/loki/api/v1/series", []string{"match[]", `rate({app="foo"}[1m])`}, 400, "want a log query"},
		{"/loki/api/v1/push", nil, 404, "docs/grafana.md"},
		{"/loki/api/v1/rules", nil, 404, "docs/grafana.md"},
	} {
		status, body := r.get(tc.path, tc.pairs...)
		if status != tc.status || !strings.Contains(body, tc.want) || !strings.HasPrefix(body, `{"status":"error","errorType":"`) || !strings.Contains(body, `"message":"`) {
			t.Errorf("%s %q: %d %s", tc.path, tc.pairs, status, body)
		}
	}
}

// TestLongForm: a form that is too long is refused for that reason, and a shorter one is read.
func TestLongForm(t *testing.T) {
	r := newRig(t)
	for length, want := range map[int]string{
		formBytes:     "the query has 262138 bytes, want at most",
		formBytes + 1: "the body has more than 256 KiB",
	} {
		form := "query=" + strings.Repeat("x", length-len("query="))
		status, body := r.do(http.MethodPost, instantPath, form, "Content-Type", "application/x-www-form-urlencoded")
		if status != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("%d bytes: %d %.300s, want %s", length, status, body, want)
		}
	}
}

// TestStorageAway: while lines cannot be read, the answer is an error, not empty.
func TestStorageAway(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(5)...)
	r.storage.Fail(sdk.ErrUnavailable)
	for _, path := range []string{rangePath, instantPath, "/loki/api/v1/series", "/loki/api/v1/labels", "/loki/api/v1/index/stats"} {
		if status, body := r.get(path, "query", `{app=~".+"}`, "match", `{app="foo"}`); status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

// TestLargeAnswer: an answer with too many lines to hold is refused, and a smaller one is not.
func TestLargeAnswer(t *testing.T) {
	r := newRig(t)
	entries := numbered(40)
	for i := range entries {
		entries[i].Message = strings.Repeat("x", 1<<20)
	}
	r.storage.Add("foo", entries...)
	window := []string{"query", `{app="foo"}`, "start", ns(noon), "end", ns(noon.Add(time.Hour))}
	if status, body := r.get(rangePath, window...); status != http.StatusBadRequest || !strings.Contains(body, "more than 16 MiB") {
		t.Errorf("%d %.200s", status, body)
	}
	if status, body := r.get(rangePath, append(window, "limit", "4")...); status != http.StatusOK || len(body) < 4<<20 {
		t.Errorf("%d, %d bytes", status, len(body))
	}
}

// TestLargeLabels: a query can make labels as long as lines, and they count like lines.
func TestLargeLabels(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(400)...)
	within := []string{"start", ns(noon), "end", ns(noon.Add(time.Hour)), "step", "1h", "limit", "400"}
	const stage = "{app=\"foo\"} | logfmt | label_format a=`{{alignRight 50000 .n}}`"
	for query, want := range map[string]string{
		stage:                                 "more than 16 MiB",
		"count_over_time(" + stage + " [1h])": "labels have more than 4 MiB",
	} {
		if status, body := r.get(rangePath, append([]string{"query", query}, within...)...); status != http.StatusBadRequest || !strings.Contains(body, want) {
			t.Errorf("%s: %d, %d bytes: %.200s", query, status, len(body), body)
		}
	}
}

// TestPushdown: the query's conditions on labels, lines and times are passed to the storage.
func TestPushdown(t *testing.T) {
	q, err := parseSelector(`{app="foo", process=~"web|worker", release!="v1", source="app", level=~"warn|error"} |= "GET" |~ "a|b" != "x" | json | stream="stdout"`)
	if err != nil {
		t.Fatal(err)
	}
	target := aim(q)
	f := target.filter(noon, noon.Add(time.Hour))
	want := sdk.Filter{
		Since: noon, Until: noon.Add(time.Hour), Process: []string{"web", "worker"}, Source: []sdk.Source{sdk.SourceApp}, Level: sdk.LevelWarn,
		Include: []string{"GET"}, Exclude: []string{"x"},
	}
	if fmt.Sprintf("%+v", f) != fmt.Sprintf("%+v", want) || !slices.Equal(target.apps, []string{"foo"}) {
		t.Errorf("%+v of %v, want %+v", f, target.apps, want)
	}
	// An empty value means a line without the label, for which the storage's filter cannot ask.
	if q, err = parseSelector(`{app="foo", process=~"web|", level=~"warn|", source=""}`); err != nil {
		t.Fatal(err)
	}
	target = aim(q)
	if f = target.filter(time.Time{}, time.Time{}); !f.IsZero() {
		t.Errorf("with empty values: %+v", f)
	}
}

// TestTooExpensive: a query ends once it has taken its share of processor time, over all apps
// together.
func TestTooExpensive(t *testing.T) {
	r := newRig(t)
	r.storage.After = storagefake.Laborious
	for i := range 30 {
		r.storage.Add(fmt.Sprintf("app-%d", i), numbered(3)...)
	}
	status, body := r.get(rangePath, "query", `count_over_time({app=~".+"}[1m])`, "start", ns(noon), "end", ns(noon.Add(time.Minute)), "step", "60")
	if status != http.StatusServiceUnavailable || !strings.Contains(body, "too_expensive") {
		t.Errorf("%d %s", status, body)
	}
	if n := len(r.storage.Calls("Read")); n > 12 {
		t.Errorf("%d reads of 200 ms each", n)
	}
}

// TestAnswersTakeTurns: an answer waits while others hold all of the memory, but no longer than a
// storage may take to answer.
func TestAnswersTakeTurns(t *testing.T) {
	r := newRig(t)
	all, err := r.api.memory.Hold(t.Context(), heldBytes)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if status, body := r.get(instantPath, "query", "vector(1)"); status != http.StatusServiceUnavailable || !strings.Contains(body, "too many queries") || time.Since(began) > 3*time.Second {
		t.Errorf("%d %s after %s", status, body, time.Since(began))
	}
	all.Close()
	r.ask(instantPath, "query", "vector(1)")
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if all, err = r.api.memory.Hold(ctx, heldBytes); err != nil {
		t.Fatal("an answer that was sent holds memory")
	}
	all.Close()
}

// TestSlowClients: clients that do not read their answers keep nobody out.
func TestSlowClients(t *testing.T) {
	r := newRig(t)
	entries := numbered(750)
	for i := range entries {
		entries[i].Message = strings.Repeat("x", 16_000)
	}
	r.storage.Add("foo", entries...)
	values := url.Values{"query": {`{app="foo"}`}, "start": {ns(noon)}, "end": {ns(noon.Add(time.Hour))}, "limit": {"5000"}}
	for range 6 {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", r.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		if _, err := fmt.Fprintf(conn, "GET %s?%s HTTP/1.1\r\nHost: logger\r\n\r\n", rangePath, values.Encode()); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 16)); err != nil { // the answer has begun, and the client reads no more
			t.Fatal(err)
		}
	}
	r.ask(instantPath, "query", "vector(1)")
}

// TestLossIsTold: if the log loses lines while it is read, the answer has a warning.
func TestLossIsTold(t *testing.T) {
	r := newRig(t)
	entries := numbered(3000)
	for i := range entries { // with their messages, more than is gathered before it is answered
		entries[i].Message = strings.Repeat("x", 4000)
	}
	r.storage.Add("foo", entries...)
	forward := 0 // reads after it is known where the lines begin
	r.storage.Before = func(_ context.Context, call storagefake.Call) error {
		if call.Method == "Read" && !call.Opts.After.IsZero() {
			if forward++; forward == 2 {
				r.storage.Keep("foo", 100)
			}
		}
		return nil
	}
	a := r.ask(rangePath, "query", `sum(bytes_over_time({app="foo"}[1h]))`, "start", ns(noon.Add(time.Hour)), "end", ns(noon.Add(time.Hour)))
	if len(a.Warnings) != 1 || !strings.Contains(a.Warnings[0], "lines of foo are missing: evicted while they were read") {
		t.Errorf("%q after %d reads: %+v", a.Warnings, forward, a.Data)
	}
}

// TestTimesOfFilters: storages get times that fit into nanoseconds since 1970, without overflow.
func TestTimesOfFilters(t *testing.T) {
	aimed := aim(everyStream)
	f := aimed.filter(time.Unix(-1e11, 0), time.Unix(1e11, 0))
	if f.Since.UnixNano() != math.MinInt64 || f.Until.UnixNano() != math.MaxInt64 {
		t.Errorf("%+v", f)
	}
	if f = aimed.filter(time.Time{}, noon); !f.Since.IsZero() || !f.Until.Equal(noon) {
		t.Errorf("%+v", f)
	}
}
