package v1

import (
	"net/http"
	"strings"
	"testing"
)

// TestMalformedQuery: a query that cannot be parsed is refused on every path that takes one.
func TestMalformedQuery(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(1)...)
	_, body := r.ask(http.MethodPost, "/v1/apps/foo/sessions", `{}`)
	_, session, _ := strings.Cut(body, `"url":"`)
	session, _, _ = strings.Cut(session, `"`)
	for _, on := range []struct{ method, path string }{
		{http.MethodGet, "/v1/apps"},
		{http.MethodGet, "/v1/apps/foo"},
		{http.MethodGet, "/v1/apps/foo/logs"},
		{http.MethodDelete, "/v1/apps/foo/logs"},
		{http.MethodGet, "/v1/apps/foo/tail"},
		{http.MethodPost, "/v1/apps/foo/sessions"},
		{http.MethodGet, session},
	} {
		for _, query := range []string{"include=100%", "include=a;b", "%zz=1", "include=%", "after=a;b"} {
			answer, body := r.ask(on.method, on.path+"?"+query, "")
			if answer.StatusCode != http.StatusBadRequest || code(body) != "bad_request" {
				t.Errorf("%s %s?%s: %d %s", on.method, on.path, query, answer.StatusCode, body)
			}
		}
	}
}
