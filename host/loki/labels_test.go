package loki

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/host/access"
	"github.com/deis/logger/sdk"
)

// TestLabels reads names, values and streams of the lines in the window.
func TestLabels(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(20)...)
	r.storage.Add("bar", sdk.Entry{Time: noon.Add(time.Hour), Published: noon.Add(time.Hour), Source: sdk.SourceController, Message: "scaled"})
	within := []string{"start", ns(noon), "end", ns(noon.Add(time.Minute))}
	all := []string{"start", ns(noon), "end", ns(noon.Add(2 * time.Hour))}
	for _, tc := range []struct {
		path  string
		pairs []string
		want  string
	}{
		{"labels", within, `["app","detected_level","host","level","pod","process","release","service_name","source","stream"]`},
		{"label", append([]string{"query", `{app="bar"}`}, all...), `["app","detected_level","service_name","source"]`},
		{"label/app/values", all, `["bar","foo"]`},
		{"label/app/values", within, `["foo"]`},
		{"label/process/values", within, `["web","worker"]`},
		{"label/process/values", append([]string{"query", `{stream="stderr"}`}, within...), `["worker"]`},
		{"label/detected_level/values", all, `["unknown","warn"]`},
		{"label/nothing/values", all, `[]`},
		{"series", append([]string{"match[]", `{app="bar"}`, "match[]", `{app=~"b.*"}`}, all...), `[{"app":"bar","detected_level":"unknown","service_name":"bar","source":"controller"}]`},
		{"series", append([]string{"match", `{app="baz"}`}, all...), `[]`},
	} {
		status, body := r.get("/loki/api/v1/"+tc.path, tc.pairs...)
		if want := `{"status":"success","data":` + tc.want + `}`; status != http.StatusOK || body != want {
			t.Errorf("%s %q: %d %s, want %s", tc.path, tc.pairs, status, body, want)
		}
	}
	for _, selector := range [][]string{nil, {"match[]", "{}"}} {
		if _, body := r.get("/loki/api/v1/series", append(selector, within...)...); strings.Count(body, `"app":"foo"`) != 4 {
			t.Errorf("all series, by %q: %s", selector, body)
		}
	}
}

// TestStatus sends the requests that clients send before they ask for logs.
func TestStatus(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(20)...)
	if status, body := r.get("/loki/api/v1/status/buildinfo"); status != http.StatusOK || !strings.Contains(body, `"version":"2.9.0"`) {
		t.Errorf("%d %s", status, body)
	}
	if _, body := r.get("/loki/api/v1/format_query", "query", `{ app = "foo" }|="x"`); body != `{"data":"{app=\"foo\"} |= \"x\"","status":"success"}` {
		t.Errorf("format_query: %s", body)
	}
	_, body := r.get("/loki/api/v1/index/stats", "query", `{app="foo", process="web"}`, "start", ns(noon), "end", ns(noon.Add(time.Hour)))
	if !strings.HasPrefix(body, `{"streams":1,"chunks":1,"entries":20,"bytes":`) {
		t.Errorf("index/stats: %s", body)
	}
	if _, body = r.get("/loki/api/v1/index/stats", "query", `{app="bar"}`); body != `{"streams":0,"chunks":0,"entries":0,"bytes":0}` {
		t.Errorf("index/stats of nothing: %s", body)
	}
}

// TestGuard: the host names and tokens of /v1 also apply here.
func TestGuard(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Guard = access.Guard{Hosts: []string{"logger.example.com"}} })
	r.server.URL = strings.Replace(r.server.URL, "127.0.0.1", "localhost", 1)
	if status, body := r.get("/loki/api/v1/labels"); status != http.StatusForbidden || !strings.Contains(body, "LOGGER_ALLOWED_HOSTS") {
		t.Errorf("%d %s", status, body)
	}
	path := t.TempDir() + "/tokens"
	if err := os.WriteFile(path, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r = newRig(t, func(o *Options) {
		var err error
		if o.Guard.Tokens, err = access.Open(path, o.Logger); err != nil {
			t.Fatal(err)
		}
	})
	if status, body := r.get("/loki/api/v1/labels"); status != http.StatusUnauthorized || !strings.Contains(body, "Authorization: Bearer TOKEN") {
		t.Errorf("%d %s", status, body)
	}
	if status, body := r.do(http.MethodGet, "/loki/api/v1/labels", "", "Authorization", "Bearer secret"); status != http.StatusOK {
		t.Errorf("%d %s", status, body)
	}
}

// TestClockAhead: lines whose own times are far ahead of their publish times are found, whether or
// not the query names the app.
func TestClockAhead(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", sdk.Entry{Time: noon.Add(3 * time.Hour), Published: noon, Message: "ahead"})
	for _, query := range []string{`{app="foo"}`, `{app=~"fo+"}`, `{stream!="stderr"}`} {
		a := r.ask(rangePath, "query", query, "start", ns(noon.Add(2*time.Hour)), "end", ns(noon.Add(4*time.Hour)))
		if lines := a.lines(); len(lines) != 1 {
			t.Errorf("%s: %q", query, lines)
		}
	}
}
