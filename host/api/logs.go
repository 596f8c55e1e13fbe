package api

import (
	"errors"
	"net/http"
	"strconv"

	v1 "github.com/deis/logger/host/api/v1"
)

// defaultLines is what log_lines means when it is absent or no integer.
const defaultLines = 100

// readLogs answers GET /logs/{app} as the platform's controller expects it: 200
// with the newest lines, oldest first; 204 if there are none.
func (a *API) readLogs(w http.ResponseWriter, r *http.Request) error {
	app, err := v1.AppName(r)
	if err != nil {
		return err
	}
	limit := logLines(r.URL.Query().Get("log_lines"))
	if limit == 0 {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	text, err := a.logs.OpenText(r.Context(), app, limit)
	if err != nil {
		return err
	}
	defer text.Close()
	size, known := text.Size()
	if known && size == 0 {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if known {
		w.Header().Set("Content-Length", strconv.Itoa(size))
	}
	if r.Method == http.MethodHead {
		return nil
	}
	if err := text.Send(r.Context(), w); err != nil {
		a.opts.Logger.Warn("an answer is cut off", "app", app, "error", err)
		panic(http.ErrAbortHandler) // so that the client sees that it is not whole
	}
	return nil
}

// deleteLogs answers DELETE /logs/{app}: 200 once the app has no lines.
func (a *API) deleteLogs(w http.ResponseWriter, r *http.Request) error {
	app, err := v1.AppName(r)
	if err != nil {
		return err
	}
	if err := a.logs.Delete(r.Context(), app); err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// logLines reads the parameter log_lines: negative for all, 100 if it is no integer. An integer
// that is too large to count with means all.
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
