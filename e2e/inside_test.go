package e2e

import (
	"net/http"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
)

// pluginMetric matches a sample of a bundled plugin, and captures the metric's name after the
// prefix.
var pluginMetric = regexp.MustCompile(`^logger_(?:storage|aggregator)_(?:memory|redis|nsq)_([a-z_]+?)(?:_bucket|_sum|_count)?(?:\{.*)?$`)

// TestInsideThePlugins: the bundled plugins' metrics are in /metrics and in docs/operations.md,
// count what happens, and belong to the process that runs now.
func TestInsideThePlugins(t *testing.T) {
	document, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for name, storage := range harness.Storages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			queue := harness.NewQueue(t)
			l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), storage(t))
			for i := range 100 {
				queue.Publish("logs", harness.Numbered(i, i%10))
			}
			l.Settled(100)
			const nsq = "logger_aggregator_nsq_"
			l.Until("nsqd was told", func() bool { return l.Metrics()[nsq+"finished_messages_total"] == 100 })
			m := l.Metrics()
			for name, want := range map[string]float64{
				nsq + "connections": 1, nsq + `dials_total{result="ok"}`: 1, nsq + "in_flight_messages": 0, nsq + "requeued_messages_total": 0,
				`logger_plugin_metrics_up{kind="storage",name="` + name + `"}`: 1, `logger_plugin_metrics_up{kind="aggregator",name="nsq"}`: 1,
			} {
				if m[name] != want {
					t.Errorf("%s is %v, want %v", name, m[name], want)
				}
			}
			of, began := "logger_storage_"+name+"_", "logger_storage_"+name+"_process_start_time_seconds"
			if name == "redis" && (m[of+`pipelines_total{result="ok"}`] == 0 || m[of+"connections"] == 0 || m[of+"pipeline_seconds_count"] == 0) ||
				name == "memory" && (m[of+"known_apps"] != 10 || m[of+"runs"] < 10 || m[of+"arena_bytes"] <= m[of+"arena_free_bytes"]) || m[began] == 0 {
				t.Errorf("got %v", m)
			}
			for sample := range m {
				if name := pluginMetric.FindStringSubmatch(sample); name != nil && !strings.HasPrefix(name[1], "process_") &&
					!regexp.MustCompile("_"+name[1]+"[`{]").Match(document) {
					t.Errorf("docs/operations.md does not tell of %s", sample)
				}
			}

			// A process that stands still does not delay /metrics, and its successor counts from
			// zero.
			first := l.Plugin("storage").PID
			if err := syscall.Kill(first, syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			for ended := time.Now().Add(30 * time.Second); l.Plugin("storage").PID == first && time.Now().Before(ended); {
				asked := time.Now()
				m := l.Metrics()
				if took := time.Since(asked); took > 3*time.Second {
					t.Errorf("/metrics took %s", took)
				}
				if m["logger_messages_received_total"] != 100 || m[nsq+"finished_messages_total"] != 100 {
					t.Errorf("/metrics is not whole: %v", m)
				}
			}
			l.Until("another process", func() bool {
				now := l.Metrics()
				return now[began] > m[began] && now[`logger_plugin_restarts_total{kind="storage",name="`+name+`"}`] == 1
			})
		})
	}
}

// TestBadMetricsOfAPlugin: whatever a stranger's plugin returns as metrics, /metrics is complete
// and in time, and names that plugin.
func TestBadMetricsOfAPlugin(t *testing.T) {
	for mode, reason := range map[string]string{
		"metrics-broken":      "no Prometheus text format",
		"metrics-twice":       "was collected before",
		"metrics-huge":        "larger than 256 KiB",
		"metrics-hang":        "deadline exceeded",
		"metrics-of-the-host": "",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			path := installHostile(t, "logger-storage-hostile", mode)
			queue := harness.NewQueue(t)
			l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), map[string]string{
				"STORAGE_ADAPTER": "hostile", "LOGGER_PLUGIN_PATH": path + ":" + harness.Binary("plugins"),
			})
			up := 0.0
			if reason == "" {
				up = 1
			}
			l.Until("the storage's metrics are judged", func() bool {
				began := time.Now()
				status, _, _ := l.Do(http.MethodGet, "/metrics")
				if took := time.Since(began); status != http.StatusOK || took > 3*time.Second {
					t.Errorf("/metrics answers %d after %s", status, took)
				}
				m := l.Metrics()
				value, told := m[`logger_plugin_metrics_up{kind="storage",name="hostile"}`]
				waiting, whole := m["logger_messages_waiting"]
				return told && value == up && whole && waiting == 0 &&
					m[`logger_plugin_metrics_up{kind="aggregator",name="nsq"}`] == 1 && m["logger_aggregator_nsq_connections"] == 1
			})
			if m := l.Metrics(); (m["logger_storage_hostile_logger_messages_waiting"] == 77) != (reason == "") {
				t.Errorf("got %v", m)
			}
			if log := l.Log(); reason != "" && (strings.Count(log, "own metrics are left out") != 1 ||
				!strings.Contains(log, "storage-hostile") || !strings.Contains(log, reason)) {
				t.Errorf("the log does not say once that %s: %s", reason, log)
			}
			if p := l.Plugin("storage"); p.State != "ready" {
				t.Errorf("the plugin is %s", p.State)
			}
		})
	}
}
