package loki

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/sdk"
)

// TestVolume sums bytes by labels, the largest first, for the whole window and for each step.
func TestVolume(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(10)...) // three bytes each
	r.storage.Add("bar", numbered(20)...)
	window := []string{"start", ns(noon), "end", ns(noon.Add(10 * time.Second)), "query", `{app=~"foo|bar", process="web"}`}
	for _, tc := range []struct {
		path  string
		pairs []string
		want  string
	}{
		{"index/volume", nil, `"vector","result":[{"metric":{"app":"bar","process":"web"},"value":[1772625610,"18"]},{"metric":{"app":"foo","process":"web"},"value":[1772625610,"18"]}]`},
		{"index/volume", []string{"targetLabels", "process"}, `"vector","result":[{"metric":{"process":"web"},"value":[1772625610,"36"]}]`},
		{"index/volume", []string{"limit", "1"}, `"vector","result":[{"metric":{"app":"bar","process":"web"},"value":[1772625610,"18"]}]`},
		{"index/volume_range", []string{"targetLabels", "app", "limit", "1", "step", "5"}, `"matrix","result":[{"metric":{"app":"bar"},"values":[[1772625605,"12"],[1772625610,"10"]]}]`},
	} {
		status, body := r.get("/loki/api/v1/"+tc.path, append(tc.pairs, window...)...)
		if want := `{"status":"success","data":{"resultType":` + tc.want + `,"stats":{}}}`; status != http.StatusOK || body != want {
			t.Errorf("%s %q: %d %s, want %s", tc.path, tc.pairs, status, body, want)
		}
	}
	if status, body := r.get("/loki/api/v1/index/volume", append([]string{"aggregateBy", "labels"}, window...)...); status != http.StatusBadRequest {
		t.Errorf("aggregateBy=labels: %d %s", status, body)
	}
}

// TestDetected finds labels with their numbers of values, and fields of JSON and logfmt with their
// types.
func TestDetected(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(10)...)
	for _, text := range []string{`{"took":"3ms","ok":true,"n":"x","c":1,"f":2}`, `{"took":"12s","ok":false,"c":-20,"f":0.5,"e":"","m":"a b=1 c"}`, `{"broken`, "no fields"} {
		r.storage.Add("foo", sdk.Entry{Time: noon, Published: noon.Add(time.Minute), Message: text})
	}
	window := []string{"start", ns(noon), "end", ns(noon.Add(time.Minute)), "query", `{app="foo"}`}
	want := `{"detectedLabels":[{"label":"app","cardinality":1},{"label":"detected_level","cardinality":2},{"label":"host","cardinality":1},{"label":"level","cardinality":1},` +
		`{"label":"pod","cardinality":2},{"label":"process","cardinality":2},{"label":"release","cardinality":1},{"label":"service_name","cardinality":1},{"label":"source","cardinality":1},{"label":"stream","cardinality":2}]}`
	if status, body := r.get("/loki/api/v1/detected_labels", window...); status != http.StatusOK || body != want {
		t.Errorf("%d %s", status, body)
	}
	want = `{"fields":[{"label":"c","type":"int","cardinality":2,"parsers":["json"]},{"label":"f","type":"float","cardinality":2,"parsers":["json"]},` +
		`{"label":"m","type":"string","cardinality":1,"parsers":["json"]},{"label":"n","type":"string","cardinality":11,"parsers":["json","logfmt"]},{"label":"ok","type":"boolean","cardinality":2,"parsers":["json"]},` +
		`{"label":"took","type":"duration","cardinality":2,"parsers":["json"]}],"limit":1000}`
	if status, body := r.get("/loki/api/v1/detected_fields", window...); status != http.StatusOK || body != want {
		t.Errorf("%d %s", status, body)
	}
	for _, tc := range []struct{ path, limit, want string }{
		{"detected_fields", "1", `{"fields":[{"label":"c","type":"int","cardinality":2,"parsers":["json"]}],"limit":1}`},
		{"detected_field/ok/values", "", `{"limit":1000,"values":["false","true"]}`},
		{"detected_field/ok/values", "1", `{"limit":1,"values":["false"]}`},
		{"detected_field/none/values", "7", `{"limit":7,"values":[]}`},
	} {
		if status, body := r.get("/loki/api/v1/"+tc.path, append(window, "limit", tc.limit)...); status != http.StatusOK || body != tc.want {
			t.Errorf("%s: %d %s, want %s", tc.path, status, body, tc.want)
		}
	}
	if _, body := r.get("/loki/api/v1/detected_field/n/values", append(window, "line_limit", "2")...); body != `{"limit":1000,"values":["8","9"]}` {
		t.Errorf("of the newest two lines: %s", body)
	}
	for _, name := range []string{"limit", "line_limit"} {
		for _, limit := range []string{"0", "x", "5001"} {
			if status, body := r.get("/loki/api/v1/detected_fields", append(window, name, limit)...); status != http.StatusBadRequest || !strings.Contains(body, name+"=") {
				t.Errorf("%s=%s: %d %s", name, limit, status, body)
			}
		}
	}
}

// TestManyFields: if each line has further fields, the first ones count.
func TestManyFields(t *testing.T) {
	var lines []line
	for i := range maxFields + 1 {
		lines = append(lines, line{text: fmt.Sprintf(`{"f%d":1,"all":%d}`, i, i)})
	}
	fields, err := fieldsOf(lines)
	if err != nil || len(fields) != maxFields || len(fields["all"].values) != maxFields+1 {
		t.Errorf("%d fields, %v; want %d", len(fields), err, maxFields)
	}
}
