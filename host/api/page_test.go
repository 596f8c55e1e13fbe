package api

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/deis/logger/host/access"
	"github.com/deis/logger/internal/storagefake"
)

// TestPage: the page is served only if the options ask for it, and only under the logger's own
// names.
func TestPage(t *testing.T) {
	for _, tc := range []struct {
		name, host string
		page       bool
		status     int
	}{
		{"off", "logger.example.com", false, http.StatusNotFound},
		{"on", "logger.example.com", true, http.StatusOK},
		{"of a foreign name", "attacker.example.org", true, http.StatusForbidden},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := newAPI(&storagefake.Storage{})
			a.opts.Page, a.opts.Guard = tc.page, access.Guard{Hosts: []string{"logger.example.com"}}
			h := a.router()
			for _, path := range []string{"/", "/apps/foo", "/assets/main.js"} {
				for _, method := range []string{http.MethodGet, http.MethodHead} {
					req := httptest.NewRequest(method, path, nil)
					req.Host = tc.host
					w := httptest.NewRecorder()
					h.ServeHTTP(w, req)
					if w.Code != tc.status {
						t.Errorf("%s %s: %d, want %d", method, path, w.Code, tc.status)
					}
				}
			}
		})
	}
}
