package api

import (
	"encoding/json"
	"net/http"
)

// Readiness is what GET /readyz answers.
type Readiness struct {
	// Ready says whether requests can be served: 200, else 503.
	Ready bool `json:"ready"`
	// Plugins holds each plugin's state and why.
	Plugins any `json:"plugins"`
}

func (a *API) healthz(w http.ResponseWriter, _ *http.Request) {
	plain(w, http.StatusOK, "ok")
}

func (a *API) readyz(w http.ResponseWriter, _ *http.Request) {
	readiness := a.opts.Readiness()
	status := http.StatusOK
	if !readiness.Ready {
		status = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(readiness) // a client that left needs no answer
}
