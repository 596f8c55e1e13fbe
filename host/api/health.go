package api

import (
	"encoding/json"
	"net/http"
)

// Readiness holds the answer to GET /readyz.
type Readiness struct {
	// Ready says whether requests can be served. If so, /readyz answers 200, else 503.
	Ready bool `json:"ready"`
	// Serving says that requests could be served once, and that since then at most a backend went
	// away. They get an answer, if only a 503 that says why.
	Serving bool `json:"serving"`
	// Plugins holds each plugin's state and why.
	Plugins any `json:"plugins"`
}

func (a *API) healthz(w http.ResponseWriter, _ *http.Request) {
	plain(w, http.StatusOK, "ok")
}

// readyz answers 200 when requests can be served. With degraded=ok it answers 200 even while a
// backend is away. This is for a load balancer: otherwise it would send a client to nobody, though
// each of us could tell the client why, or read for it from a storage that is just full.
func (a *API) readyz(w http.ResponseWriter, r *http.Request) {
	readiness := a.opts.Readiness()
	status := http.StatusOK
	if !readiness.Ready && (!readiness.Serving || r.URL.Query().Get("degraded") != "ok") {
		status = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(readiness) // a client that left needs no answer
}

// ready answers GET /ready as Loki does, in text.
func (a *API) ready(w http.ResponseWriter, _ *http.Request) {
	if !a.opts.Readiness().Ready {
		plain(w, http.StatusServiceUnavailable, "not ready: /readyz says why")
		return
	}
	plain(w, http.StatusOK, "ready")
}
