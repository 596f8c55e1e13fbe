package api

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"

	"github.com/deis/logger/sdk"
)

// defaultLines is what log_lines means when it is absent or no integer.
const defaultLines = 100

// readLogs answers GET /logs/{app} as the platform's controller expects it: 200
// with the newest lines, oldest first; 204 if there are none.
func (a *API) readLogs(w http.ResponseWriter, r *http.Request) error {
	app := chi.URLParam(r, "app")
	if err := sdk.CheckApp(app); err != nil {
		return err
	}
	opts := sdk.ReadOptions{App: app, Limit: logLines(r.URL.Query().Get("log_lines"))}
	if opts.Limit == 0 {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	page, err := a.opts.Storage.Read(r.Context(), opts)
	if err != nil {
		return err
	}
	if len(page.Entries) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	var text []byte
	for {
		text = text[:0]
		for i := range page.Entries {
			text = appendText(text, app, &page.Entries[i])
		}
		//nolint:gosec // G705: plain text that no browser may sniff for another type
		if _, gone := w.Write(text); gone != nil || !page.More || len(page.Entries) == 0 {
			return nil
		}
		if opts.Limit > 0 {
			opts.Limit -= len(page.Entries)
		}
		opts.After = page.End()
		if page, err = a.opts.Storage.Read(r.Context(), opts); err != nil {
			a.opts.Logger.Warn("an answer was cut off", "app", app, "error", err)
			panic(http.ErrAbortHandler)
		}
	}
}

// deleteLogs answers DELETE /logs/{app}: 200 once the app has no lines.
func (a *API) deleteLogs(w http.ResponseWriter, r *http.Request) error {
	app := chi.URLParam(r, "app")
	if err := sdk.CheckApp(app); err != nil {
		return err
	}
	if err := a.opts.Storage.Delete(r.Context(), app); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// logLines reads the parameter log_lines: negative for all, 100 if it is no integer.
// An integer too large to count with is as good as all.
func logLines(text string) int {
	n, err := strconv.Atoi(text)
	if errors.Is(err, strconv.ErrRange) || n < 0 {
		return -1
	}
	if err != nil {
		return defaultLines
	}
	return n
}
