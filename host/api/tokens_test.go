package api

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/host/access"
	"github.com/deis/logger/internal/storagefake"
)

// TestLogsAskForNoToken: /logs needs no token, not even for DELETE, because the platform's
// controller sends none. If the settings ask for one, each refusal is logged as a warning.
func TestLogsAskForNoToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(file, []byte("correct-horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := access.Open(file, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		ask            bool
		method, header string
		status         int
	}{
		{false, http.MethodGet, "", http.StatusOK},
		{false, http.MethodDelete, "", http.StatusOK},
		{false, http.MethodDelete, "Bearer wrong", http.StatusOK},
		{true, http.MethodGet, "", http.StatusUnauthorized},
		{true, http.MethodDelete, "", http.StatusUnauthorized},
		{true, http.MethodDelete, "Bearer wrong", http.StatusUnauthorized},
		{true, http.MethodGet, "Bearer correct-horse", http.StatusOK},
		{true, http.MethodDelete, "Bearer correct-horse", http.StatusOK},
	} {
		var log bytes.Buffer
		s := kept(numbered(1)...)
		a := newAPI(s, func(o *Options) {
			o.Guard = access.Guard{Tokens: tokens, LogsAskToken: tc.ask}
			o.Logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: &log})
		})
		r := httptest.NewRequest(tc.method, "/logs/foo", nil)
		r.Header.Set("Authorization", tc.header)
		w := httptest.NewRecorder()
		a.server.Handler.ServeHTTP(w, r)
		refused := tc.status == http.StatusUnauthorized
		if w.Code != tc.status || refused != (w.Header().Get("WWW-Authenticate") != "") {
			t.Errorf("%+v: %d, %v", tc, w.Code, w.Header())
		}
		if strings.Contains(log.String(), "LOGGER_LOGS_ASK_TOKEN") != refused {
			t.Errorf("%+v: logged %q", tc, &log)
		}
		if deleted := len(s.Calls("Delete")) > 0; deleted != (tc.method == http.MethodDelete && !refused) {
			t.Errorf("%+v: deleted %t", tc, deleted)
		}
	}
}

// TestAllowedHosts keeps out pages of names that an attacker points here. Probes, which name
// addresses or anything else, still get answers.
func TestAllowedHosts(t *testing.T) {
	s := kept(numbered(1)...)
	a := newAPI(s, withV1(t, s), func(o *Options) { o.Guard.Hosts = []string{"localhost", "*.example.com"} })
	for host, ok := range map[string]bool{
		"localhost": true, "LOCALHOST:8088": true, "localhost.": true, "a.example.com:80": true, "a.b.example.com": true,
		"127.0.0.1": true, "10.1.2.3:8088": true, "[::1]:8088": true, "[::1]": true,
		"example.com": false, "evil.test": false, "evil.test:8088": false, "localhost.evil.test": false, "aexample.com": false,
		"127.0.0.1.evil.test": false,
	} {
		for _, path := range []string{"/logs/foo", "/v1/apps/foo/logs", "/v1/openapi.yaml", "/v1/apps/foo/tail?wait=false", "/healthz", "/readyz"} {
			r := httptest.NewRequest(http.MethodHead, path, nil)
			r.Host = host
			w := httptest.NewRecorder()
			a.server.Handler.ServeHTTP(w, r)
			if probe := strings.HasSuffix(path, "z"); (w.Code == http.StatusForbidden) == (ok || probe) {
				t.Errorf("%s%s: %d", host, path, w.Code)
			}
		}
	}
}

// TestTokensAreNotLogged at any level.
func TestTokensAreNotLogged(t *testing.T) {
	var log bytes.Buffer
	a := newAPI(&storagefake.Storage{})
	a.opts.Logger = hclog.New(&hclog.LoggerOptions{Level: hclog.Trace, Output: &log})
	r := httptest.NewRequest(http.MethodGet, "/v1/sessions/c2VjcmV0.c2lnbmVk/tail", nil)
	r.Header.Set("Authorization", "Bearer correct-horse")
	a.router().ServeHTTP(httptest.NewRecorder(), r)
	if !strings.Contains(log.String(), "/v1/sessions/(") {
		t.Errorf("the request is not logged: %s", &log)
	}
	for _, secret := range []string{"c2VjcmV0", "c2lnbmVk", "correct-horse"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("%s is in the log: %s", secret, &log)
		}
	}
}
