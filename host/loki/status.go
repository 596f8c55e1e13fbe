package loki

import (
	"net/http"
	"runtime"
	"time"

	"github.com/deis/logger/host/loki/logql"
)

// lokiVersion is the version of Loki whose API is served, as far as it is. Clients choose their
// requests by it.
const lokiVersion = "2.9.0"

func (a *API) buildInfo(w http.ResponseWriter, _ *http.Request) error {
	answerJSON(w, http.StatusOK, map[string]string{
		"version": lokiVersion, "revision": "", "branch": "", "buildUser": "", "buildDate": "", "goVersion": runtime.Version(),
	})
	return nil
}

// formatQuery answers with the query in one form, however it was spelt.
func (a *API) formatQuery(w http.ResponseWriter, r *http.Request) error {
	expr, err := logql.Parse(r.Form.Get("query"))
	if err != nil {
		return err
	}
	answerJSON(w, http.StatusOK, map[string]string{"status": "success", "data": expr.String()})
	return nil
}

// indexStats estimates what a query reads: everything that is kept of the apps that it may select.
// It counts these apps as streams.
func (a *API) indexStats(w http.ResponseWriter, r *http.Request) error {
	within, err := parseWindow(r.Form, time.Now())
	if err != nil {
		return err
	}
	q, err := parseSelector(r.Form.Get("query"))
	if err != nil {
		return err
	}
	t := aim(q)
	stats := struct {
		Streams int    `json:"streams"`
		Chunks  int    `json:"chunks"`
		Entries uint64 `json:"entries"`
		Bytes   uint64 `json:"bytes"`
	}{}
	infos, err := a.appInfos(r.Context(), &t, within.start)
	if err != nil {
		return err
	}
	for i := range infos {
		// The oldest line may have an own time that is earlier than its publish time.
		if t.none {
			continue
		}
		stats.Streams++
		stats.Chunks++
		stats.Entries += infos[i].Entries
		stats.Bytes += infos[i].Bytes
	}
	answerJSON(w, http.StatusOK, stats)
	return nil
}
