package v1

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// TestTimes accepts all forms of times that a client may write, and gives a hint where a plus
// became a space.
func TestTimes(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"10m": now.Add(-10 * time.Minute), "1h30m": now.Add(-90 * time.Minute), "2d": now.AddDate(0, 0, -2), "1w": now.AddDate(0, 0, -7),
		"1w1d": now.AddDate(0, 0, -8), "36500d": now.Add(-36500 * 24 * time.Hour), "0s": now,
		"2026-03-04T05:06:07+00:00": now, "1772600767": now, "1772600767.5": now.Add(500 * time.Millisecond),
	} {
		if got, err := parseTime("since", text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q is %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"2", "10", "1772600767000", "-5m", "yesterday", "NaN", "1e400", "36601d"} {
		if got, err := parseTime("since", text, now); err == nil || strings.Contains(err.Error(), "%2B") {
			t.Errorf("%q is %s, %v", text, got, err)
		}
	}
	r := newRig(t)
	r.storage.Add("foo", numbered(3)...)
	for query, want := range map[string]string{"since=0001-01-01T00:00:00Z": "1 2 3", "until=0001-01-01T00:00:00Z": "", "since=0s": "", "until=0s": "1 2 3"} {
		if resp, body := r.ask(http.MethodGet, "/v1/apps/foo/logs?"+query, ""); resp.StatusCode != 200 || found(body) != want {
			t.Errorf("%s: %d %s, want %q", query, resp.StatusCode, body, want)
		}
	}
	for _, path := range []string{"/v1/apps/foo/logs?since=", "/v1/apps/foo/tail?until="} {
		resp, body := r.ask(http.MethodGet, path+"2026-03-04T05:06:07+00:00", "")
		if resp.StatusCode != 400 || !strings.Contains(body, "%2B") {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body)
		}
	}
	if resp, body := r.ask(http.MethodGet, "/v1/apps/foo/logs?since="+url.QueryEscape("2026-03-04T05:06:09+02:00"), ""); resp.StatusCode != 200 || found(body) != "2 3" {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// TestSessionBodiesAreStrict: a member that is not in openapi.yaml is refused, in plain words
// instead of Go's.
func TestSessionBodiesAreStrict(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(3)...)
	for _, body := range []string{
		"", " ", "{}", `{"expires_in":"1d"}`, `{"expires_in":"10m","filters":{}}`, `{"filters":{"lines":3,"wait":false,"process":"web","pod":["a","b"],"since":"1w"}}`,
		`{"filters":{"lines":"-1","wait":"true"}}`, "{}\n",
	} {
		if resp, text := r.ask(http.MethodPost, "/v1/apps/foo/sessions", body); resp.StatusCode != 201 {
			t.Errorf("%s: %d %s", body, resp.StatusCode, text)
		}
	}
	for _, body := range []string{
		"{} x", "{}{}", "{}]", "null", "[]", "1", `"x"`, "{", `{"expires_in":600}`, `{"expires_in":null}`, `{"expires_in":"8d"}`, `{"expires_in":""}`, `{"expires_in":["10m"]}`,
		`{"expires_in":"10m","expires_in":"20m"}`, `{"Expires_in":"10m"}`, `{"expires":"10m"}`, `{"filters":null}`, `{"filters":[]}`, `{"filters":"process=web"}`,
		`{"filters":{"nope":"x"}}`, `{"filters":{"process":5}}`, `{"filters":{"process":true}}`, `{"filters":{"process":[["web"]]}}`, `{"filters":{"process":["web",null]}}`,
		`{"filters":{"process":{}}}`, `{"filters":{"lines":true}}`, `{"filters":{"lines":1.5}}`, `{"filters":{"lines":[3]}}`, `{"filters":{"wait":1}}`, `{"filters":{"since":600}}`,
		`{"filters":{"since":["1h"]}}`, `{"filters":{"after":"x"}}`, "{\"filters\":{\"process\":\"\xff\"}}", `{"filters":{"process":"` + strings.Repeat("x", maxSessionBytes) + `"}}`,
	} {
		resp, text := r.ask(http.MethodPost, "/v1/apps/foo/sessions", body)
		if resp.StatusCode != 400 || code(text) != "bad_request" {
			t.Errorf("%.60s: %d %s", body, resp.StatusCode, text)
		}
		for _, word := range []string{"Go ", "struct", "map[", "float64", "json:", "jsontext", "unmarshal"} {
			if strings.Contains(text, word) {
				t.Errorf("%.60s: %s in %s", body, word, text)
			}
		}
	}
}

// TestPublicURL: the public URL precedes the path of a session.
func TestPublicURL(t *testing.T) {
	r := newRig(t, func(o *Options) { o.PublicURL = "https://example.com/logger" })
	resp, body := r.ask(http.MethodPost, "/v1/apps/foo/sessions", "")
	const begin = "https://example.com/logger/v1/sessions/"
	if !strings.HasPrefix(resp.Header.Get("Location"), begin) || !strings.Contains(body, `"url":"`+begin) {
		t.Errorf("%v %s", resp.Header, body)
	}
}

// TestResumedEvents: an event without data comes first. Otherwise a client that kept part of an
// event that was cut off would join it to the next one.
func TestResumedEvents(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(3)...)
	l := r.tail("/v1/apps/foo/tail?format=sse&lastEventId=0000000000000007-2")
	l.want("event: resumed", "")
	if line := l.line(); !strings.HasPrefix(line, `data: {"type":"entry","cursor":"0000000000000007-3"`) {
		t.Errorf("got %s", line)
	}
	l.want("id: 0000000000000007-3", "")
}
