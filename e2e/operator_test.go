package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/deis/logger/e2e/harness"
)

// TestLevelsChangeBySignal: a signal makes the running logger's log more verbose, and quiet again.
func TestLevelsChangeBySignal(t *testing.T) {
	queue := harness.NewQueue(t)
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.MemoryEnv())
	requests := func() (n int) {
		for _, line := range l.Logs() {
			if strings.Contains(line, `"@message":"request"`) {
				n++
			}
		}
		return n
	}
	changed := func(to string) {
		t.Helper()
		l.Until("the level is "+to, func() bool {
			logs := l.Logs()
			for i := len(logs) - 1; i >= 0; i-- {
				var line map[string]any
				if json.Unmarshal([]byte(logs[i]), &line) == nil && line["@message"] == "log level" {
					return line["to"] == to
				}
			}
			return false
		})
	}
	if l.Status("/healthz"); requests() != 0 {
		t.Error("requests are logged at info")
	}
	l.Signal(syscall.SIGUSR1)
	changed("debug")
	l.Until("requests are logged", func() bool { l.Status("/healthz"); return requests() > 0 })
	l.Signal(syscall.SIGUSR1)
	changed("trace")
	l.Signal(syscall.SIGUSR1)
	changed("info")
	l.Signal(syscall.SIGUSR1)
	changed("debug")
	l.Signal(syscall.SIGUSR2)
	changed("info")
	before := requests()
	if l.Status("/healthz"); requests() != before {
		t.Error("requests are logged after SIGUSR2")
	}
}

// TestProfilesAreNotPublic: only LOGGER_ADMIN_ADDR serves the profiles, and it has to be a loopback
// address.
func TestProfilesAreNotPublic(t *testing.T) {
	queue := harness.NewQueue(t)
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.MemoryEnv(), map[string]string{"LOGGER_ADMIN_ADDR": "127.0.0.1:0"})
	var admin string
	for _, text := range l.Logs() {
		var line struct {
			Message string `json:"@message"`
			Addr    string `json:"addr"`
		}
		if json.Unmarshal([]byte(text), &line) == nil && line.Message == "serving profiles" {
			admin = line.Addr
		}
	}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline", "/debug/vars"} {
		if status := l.Status(path); status != http.StatusNotFound {
			t.Errorf("%s is public: %d", path, status)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+admin+"/debug/pprof/goroutine?debug=1", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), "goroutine profile") {
		t.Errorf("the admin address: %d %v %.100s", resp.StatusCode, err, body)
	}
	for _, address := range []string{":0", "0.0.0.0:6060"} {
		code, stderr := runToEnd(t, nil, harness.NSQEnv(queue.TCPAddr()), harness.MemoryEnv(), map[string]string{"LOGGER_ADMIN_ADDR": address})
		if code != 1 || !strings.Contains(stderr, "LOGGER_ADMIN_ADDR=\""+address+"\": want a loopback address") {
			t.Errorf("%s: exit code %d: %s", address, code, stderr)
		}
	}
}

// TestMetricsOfTheBuildAndReads: /metrics has the build, the reads, the requests and the time of
// the last message.
func TestMetricsOfTheBuildAndReads(t *testing.T) {
	queue := harness.NewQueue(t)
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.MemoryEnv())
	if m := l.Metrics(); m["logger_last_received_timestamp_seconds"] != 0 {
		t.Errorf("a message came already: %v", m)
	}
	queue.Publish("logs", harness.Numbered(1, 1))
	l.Settled(1)
	_ = l.Lines("app-1")
	m := l.Metrics()
	for name, ok := range map[string]bool{
		`logger_build_info{goversion="` + runtime.Version() + `",version="dev"}`: m[`logger_build_info{goversion="`+runtime.Version()+`",version="dev"}`] == 1,
		"logger_read_seconds_count":                                               m["logger_read_seconds_count"] > 0,
		"logger_last_received_timestamp_seconds":                                  m["logger_last_received_timestamp_seconds"] > 1.7e9,
		`logger_http_requests_total{code="200",method="GET",route="/logs/{app}"}`: m[`logger_http_requests_total{code="200",method="GET",route="/logs/{app}"}`] == 1,
		`logger_http_request_seconds_count{route="/metrics"}`:                     m[`logger_http_request_seconds_count{route="/metrics"}`] > 0,
	} {
		if !ok {
			t.Errorf("%s is %v", name, m[name])
		}
	}
}
