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

	v1 "github.com/deis/logger/host/api/v1"

	"github.com/deis/logger/internal/storagefake"
)

// TestDeleteAsksForAToken when tokens are asked for; reading, which the controller does,
// does not.
func TestDeleteAsksForAToken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(file, []byte("correct-horse\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := v1.OpenTokens(file, hclog.NewNullLogger())
	if err != nil {
		t.Fatal(err)
	}
	s := &storagefake.Storage{}
	a := newAPI(s)
	a.opts.V1.Tokens = tokens
	for _, tc := range []struct {
		method, header string
		status         int
	}{
		{http.MethodGet, "", http.StatusNoContent},
		{http.MethodDelete, "", http.StatusUnauthorized},
		{http.MethodDelete, "Bearer wrong", http.StatusUnauthorized},
		{http.MethodDelete, "Bearer correct-horse", http.StatusOK},
	} {
		r := httptest.NewRequest(tc.method, "/logs/foo", nil)
		r.Header.Set("Authorization", tc.header)
		w := httptest.NewRecorder()
		a.router().ServeHTTP(w, r)
		if w.Code != tc.status {
			t.Errorf("%s with %q: %d, want %d", tc.method, tc.header, w.Code, tc.status)
		}
	}
	if len(s.Calls("Delete")) != 1 {
		t.Errorf("deleted %+v", s.Calls("Delete"))
	}
}

// TestTokensAreNotLogged, whatever the level.
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
