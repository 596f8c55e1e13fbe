package page

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// get requests a path of a page that admits everyone.
func get(path string, header ...string) *httptest.ResponseRecorder {
	r := chi.NewRouter()
	New().Mount(r, func(h http.HandlerFunc) http.HandlerFunc { return h })
	req := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	r.ServeHTTP(w, req)
	return w
}

// TestLinksAreRelative: behind a proxy that serves the logger below a path, the page still finds
// its files.
func TestLinksAreRelative(t *testing.T) {
	for path, script := range map[string]string{
		"/":             `src="./assets/main.js"`,
		"/apps/foo":     `src="../assets/main.js"`,
		"/apps/foo/":    `src="../../assets/main.js"`,
		"/apps/a%2Fb":   `src="../assets/main.js"`,
		"/apps/%3Cb%3E": `src="../assets/main.js"`,
	} {
		w := get(path)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), script) {
			t.Errorf("%s: %d without %s: %s", path, w.Code, script, w.Body)
		}
		if got := w.Header().Get("Content-Type"); got != "text/html; charset=utf-8" {
			t.Errorf("%s: Content-Type %q", path, got)
		}
	}
}

func TestEveryAnswerKeepsOthersOut(t *testing.T) {
	for _, path := range []string{"/", "/apps/foo", "/assets/main.js", "/assets/vendor/preact.mjs", "/assets/page.css", "/assets/icon.svg", "/assets/none"} {
		h := get(path).Header()
		for name, want := range map[string]string{
			"Content-Security-Policy": policy, "X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		} {
			if got := h.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
	if strings.Contains(policy, "unsafe") || !strings.HasPrefix(policy, "default-src 'none';") {
		t.Errorf("the policy is weak: %s", policy)
	}
}

func TestAssetsAreAskedForAgain(t *testing.T) {
	w := get("/assets/main.js")
	etag := w.Header().Get("ETag")
	if w.Code != http.StatusOK || etag == "" || w.Header().Get("Cache-Control") != "no-cache" || w.Header().Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	if w := get("/assets/main.js", "If-None-Match", etag); w.Code != http.StatusNotModified || w.Body.Len() > 0 {
		t.Errorf("the same file again: %d, %d bytes", w.Code, w.Body.Len())
	}
}

func TestOnlyThePageIsServed(t *testing.T) {
	for _, path := range []string{"/assets/", "/assets/vendor", "/assets/index.html", "/assets/vendor/LICENSE.htm", "/assets/../page.go", "/assets/%2e%2e/page.go", "/apps", "/apps/a/b"} {
		if w := get(path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d, want 404", path, w.Code)
		}
	}
}

// TestNothingIsFetchedFromElsewhere: the page works without the internet.
func TestNothingIsFetchedFromElsewhere(t *testing.T) {
	p := New()
	if len(p.assets) < 10 {
		t.Fatalf("only %d assets", len(p.assets))
	}
	imports := regexp.MustCompile(`(?:from|import)\s*\(?["']([^"']*)["']`)
	for name, a := range p.assets {
		for _, m := range imports.FindAllSubmatch(a.content, -1) {
			if !strings.HasPrefix(string(m[1]), "./") {
				t.Errorf("%s imports %q, which is no file of the page", name, m[1])
			}
		}
		for _, part := range []string{"url(http", "@import", "innerHTML =", "eval(", "new Function"} {
			if strings.Contains(string(a.content), part) && !strings.HasPrefix(name, "vendor/") {
				t.Errorf("%s has %s", name, part)
			}
		}
	}
}
