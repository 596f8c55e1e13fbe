package v1

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/sdk"
)

func TestHistogram(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(100)...) // one a second from 03:06:08Z on, every fifth of level warn or info
	r.storage.Add("bar", numbered(10)...)
	const window = "since=2026-03-04T03:06:00Z&until=2026-03-04T03:09:00Z"
	for path, want := range map[string]string{
		"/v1/apps/foo/histogram?step=1m&" + window: `{"from":"2026-03-04T03:06:00Z","until":"2026-03-04T03:09:00Z","step":"1m","buckets":[` +
			`{"time":"2026-03-04T03:06:00Z","total":52,"levels":{"info":5,"unknown":42,"warn":5}},` +
			`{"time":"2026-03-04T03:07:00Z","total":48,"levels":{"info":5,"unknown":38,"warn":5}}]}`,
		"/v1/apps/foo/histogram?step=1m&level=warn&process=web&include=5$&" + window: `{"from":"2026-03-04T03:06:00Z","until":"2026-03-04T03:09:00Z","step":"1m","buckets":[` +
			`{"time":"2026-03-04T03:06:00Z","total":3,"levels":{"warn":3}},{"time":"2026-03-04T03:07:00Z","total":4,"levels":{"warn":4}}]}`,
		"/v1/histogram?app=foo,b*&app=nobody&step=1m&include=^line.[1-5]$&" + window: `{"from":"2026-03-04T03:06:00Z","until":"2026-03-04T03:09:00Z","step":"1m","buckets":[` +
			`{"time":"2026-03-04T03:06:00Z","total":10,"levels":{"unknown":8,"warn":2}}]}`,
		"/v1/histogram?app=nobody*&" + window:               `{"from":"2026-03-04T03:06:00Z","until":"2026-03-04T03:09:00Z","step":"5s","buckets":[]}`,
		"/v1/apps/nobody/histogram":                         `{"error":{"code":"app_unknown","message":"app nobody has no log"}}`,
		"/v1/histogram":                                     `{"error":{"code":"bad_request","message":"app is missing: want names of apps, or patterns such as shop-* or *"}}`,
		"/v1/histogram?app=a%3F*":                           `app=\"a?*\": want letters, digits`,
		"/v1/histogram?app=-a":                              `app name \"-a\": want 1 to`,
		"/v1/histogram?app=" + named(129):                   `more than 128 apps are selected`,
		"/v1/apps/foo/histogram?step=1ms&" + window:         `step=1ms: more than 1000 buckets; want a longer step, or a shorter time`,
		"/v1/apps/foo/histogram?step=-1s":                   `step=\"-1s\": want a duration of 1ms or more`,
		"/v1/apps/foo/histogram?step=0":                     `want a duration of 1ms or more`,
		"/v1/apps/foo/histogram?step=1m&step=2m":            `step is given 2 times, want it once`,
		"/v1/apps/foo/histogram?lines=5":                    `unknown parameter \"lines\"`,
		"/v1/apps/foo/histogram?app=bar":                    `unknown parameter \"app\"`,
		"/v1/apps/foo/histogram?since=5m&until=10m":         `until is before since`,
		"/v1/apps/foo/histogram?since=1800-01-01T00:00:00Z": `more than 100 years apart`,
		"/v1/apps/foo/histogram?include=(":                  `not a regular expression`,
		"/v1/histogram?app=foo&%zz":                         `the query is not well-formed`,
	} {
		a, body := r.ask("GET", path, "")
		if whole := strings.HasPrefix(want, `{"from`); whole && (a.StatusCode != http.StatusOK || strings.TrimSpace(body) != want) || !strings.Contains(body, want) {
			t.Errorf("%s: %d\n%s, want\n%s", path, a.StatusCode, body, want)
		}
	}
	r.storage.Fail(sdk.ErrUnavailable)
	if a, body := r.ask("GET", "/v1/apps/foo/histogram", ""); a.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("without a storage: %d %s", a.StatusCode, body)
	}
}

// named returns the names of n apps.
func named(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("app-", i)
	}
	return strings.Join(names, ",")
}

// TestHistogramIsBounded: counting the lines of all apps together is one search.
func TestHistogramIsBounded(t *testing.T) {
	r := newRig(t)
	r.storage.After = storagefake.Laborious
	for i := range 30 {
		r.storage.Add(fmt.Sprint("app-", i), numbered(3)...)
	}
	a, body := r.ask("GET", "/v1/histogram?app=*&since=2026-03-04T03:06:00Z&until=2026-03-04T03:09:00Z", "")
	var answer struct{ Error struct{ Code string } }
	if err := json.Unmarshal([]byte(body), &answer); err != nil || a.StatusCode != http.StatusServiceUnavailable || answer.Error.Code != "too_expensive" {
		t.Errorf("%d %s", a.StatusCode, body)
	}
	if n := len(r.storage.Calls("Read")); n > 12 {
		t.Errorf("%d reads of 200 ms each", n)
	}
}
