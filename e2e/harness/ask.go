package harness

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// Do sends a request to the logger and returns the answer. If none comes, the test fails.
func (l *Logger) Do(method, path string) (status int, header http.Header, body []byte) {
	l.t.Helper()
	req, err := http.NewRequestWithContext(l.t.Context(), method, l.URL+path, http.NoBody)
	if err != nil {
		l.t.Fatal(err)
	}
	req.Close = true // leaves no idle connection behind
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		l.t.Fatalf("%s %s: %v\n%s", method, path, err, l.Log())
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		l.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp.StatusCode, resp.Header, body
}

// Status returns the status of the answer to a GET of the path.
func (l *Logger) Status(path string) int {
	l.t.Helper()
	status, _, _ := l.Do(http.MethodGet, path)
	return status
}

// Lines returns all lines that the logger keeps of the app.
func (l *Logger) Lines(app string) string {
	l.t.Helper()
	status, _, body := l.Do(http.MethodGet, "/logs/"+app+"?log_lines=-1")
	if status != http.StatusOK && status != http.StatusNoContent {
		l.t.Fatalf("lines of %s: %d %s", app, status, body)
	}
	return string(body)
}

// Ready reports whether /readyz answers 200.
func (l *Logger) Ready() bool {
	l.t.Helper()
	return l.Status("/readyz") == http.StatusOK
}

// Plugin holds what /readyz says of a plugin.
type Plugin struct {
	Kind, Name, State, Reason string
	PID                       int
	Restarts                  int
}

// Plugin returns what /readyz says of the plugin of that kind.
func (l *Logger) Plugin(kind string) Plugin {
	l.t.Helper()
	_, _, body := l.Do(http.MethodGet, "/readyz")
	var readiness struct{ Plugins []Plugin }
	if err := json.Unmarshal(body, &readiness); err != nil {
		l.t.Fatalf("/readyz: %v: %s", err, body)
	}
	for _, p := range readiness.Plugins {
		if p.Kind == kind {
			return p
		}
	}
	l.t.Fatalf("/readyz tells of no %s plugin: %s", kind, body)
	return Plugin{}
}

// Metrics holds the samples of /metrics, by name and labels.
type Metrics map[string]float64

// Rejected returns the number of rejected messages, for all reasons together.
func (m Metrics) Rejected() (sum float64) {
	for name, value := range m {
		if strings.HasPrefix(name, "logger_messages_rejected_total{") {
			sum += value
		}
	}
	return sum
}

// Balance returns received - (stored + rejected + duplicates + waiting). It is zero unless the host
// is just taking a message.
func (m Metrics) Balance() float64 {
	return m["logger_messages_received_total"] - m["logger_messages_stored_total"] - m.Rejected() -
		m["logger_messages_duplicate_total"] - m["logger_messages_waiting"]
}

// StoredBalance returns stored - (kept + evicted + deleted). It is zero if the storage was empty
// when this host started, no other host uses it, and it was counted after the last change.
func (m Metrics) StoredBalance() float64 {
	return m["logger_messages_stored_total"] - m["logger_kept_entries"] - m["logger_evicted_entries"] - m["logger_deleted_entries"]
}

// Metrics returns the samples that /metrics has now.
func (l *Logger) Metrics() Metrics {
	l.t.Helper()
	_, _, body := l.Do(http.MethodGet, "/metrics")
	out := Metrics{}
	for line := range bytes.Lines(body) {
		var value float64
		name, rest, ok := strings.Cut(strings.TrimSpace(string(line)), " ")
		if _, err := fmt.Sscan(rest, &value); ok && err == nil && !strings.HasPrefix(name, "#") {
			out[name] = value
		}
	}
	return out
}

// Settled waits until n messages were received and none waits, and checks that the books balance.
func (l *Logger) Settled(n int) Metrics {
	l.t.Helper()
	var m Metrics
	l.Until(fmt.Sprintf("%d messages are through", n), func() bool {
		m = l.Metrics()
		return m["logger_messages_received_total"] >= float64(n) && m["logger_messages_waiting"] == 0
	})
	if m.Balance() != 0 {
		l.t.Errorf("the books do not balance: %v too many received: %v", m.Balance(), m)
	}
	return m
}
