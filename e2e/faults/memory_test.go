package faults

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/charttest"
)

// processMemory returns a field of /proc/PID/status, in bytes.
func processMemory(t *testing.T, pid int, field string) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\n"+field+":")
	words := strings.Fields(rest)
	if len(words) < 2 || words[1] != "kB" {
		t.Fatalf("process %d has no %s", pid, field)
	}
	n, err := strconv.ParseInt(words[0], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n << 10
}

// peakMemory returns the most memory that was ever resident in the process.
func peakMemory(t *testing.T, pid int) int64 {
	t.Helper()
	return processMemory(t, pid, "VmHWM")
}

// TestMemoryBudget: if one of 10,000 apps writes far more than the budget holds, the plugin stays
// within 1.5 times the budget. The other apps, which are below their fair share, lose nothing.
func TestMemoryBudget(t *testing.T) {
	const (
		budget    = 64 << 20
		quiet     = 10_000
		quietEach = 5
		noisy     = 20_000 // lines of 4 KB, 80 MB in all
		noisyEach = noisy / quietEach
	)
	queue := harness.NewQueue(t)
	queue.CreateChannel("logs", "consume")
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.MemoryEnv(), map[string]string{
		"LOGGER_MEMORY_MAX_BYTES": "64MiB", "NUMBER_OF_LINES": "1000000",
	})
	total, began := 0, time.Now()
	for round := range quietEach {
		var bodies [][]byte
		flush := func() {
			queue.Publish("logs", bodies...)
			total += len(bodies)
			bodies = bodies[:0]
		}
		for app := range quiet {
			bodies = append(bodies, harness.Numbered(round, app))
			if n := app * noisyEach / quiet; n != (app+1)*noisyEach/quiet {
				bodies = append(bodies, noisyLine(round*noisyEach+n))
			}
			if len(bodies) >= 500 {
				flush()
			}
		}
		flush()
	}
	published := time.Since(began)
	m := l.Settled(total)
	t.Logf("published within %s, stored within %s", published, time.Since(began))
	if m["logger_messages_stored_total"] != float64(total) {
		t.Errorf("stored %v of %d", m["logger_messages_stored_total"], total)
	}
	t.Logf("before the crowd, the storage plugin has a heap of %d MiB, a peak of %d", processMemory(t, l.Plugin("storage").PID, "RssAnon")>>20, peakMemory(t, l.Plugin("storage").PID)>>20)
	crowd(t, l.URL, slices.Repeat([]string{"/logs/noisy?log_lines=-1"}, 50))
	if host := peakMemory(t, l.Cmd.Process.Pid); host > hostPeak && !harness.Race {
		t.Errorf("the host's peak is %d MiB, want at most %d", host>>20, hostPeak>>20)
	} else {
		t.Logf("the host's peak is %d MiB", host>>20)
	}
	storage := l.Plugin("storage").PID
	peak := peakMemory(t, storage)
	t.Logf("%d messages, of %d apps; the storage plugin's peak is %.1f MiB, %.2f of the budget; now ring %d, heap %d, program %d MiB", total, quiet+1,
		float64(peak)/(1<<20), float64(peak)/budget, processMemory(t, storage, "RssShmem")>>20,
		processMemory(t, storage, "RssAnon")>>20, processMemory(t, storage, "RssFile")>>20)
	if peak > budget*3/2 {
		t.Errorf("the plugin's peak is %d bytes, want at most 1.5 of %d", peak, budget)
	}
	checkQuiet(t, l.URL, quiet, quietEach)
	l.Until("what was stored is kept or evicted", func() bool {
		m = l.Metrics()
		return m["logger_messages_stored_total"] == m["logger_kept_entries"]+m["logger_evicted_entries"]
	})
	kept := strings.Count(l.Lines("noisy"), "\n")
	if want := float64(quiet*quietEach + kept); m["logger_kept_entries"] != want {
		t.Errorf("the books say that %v entries are kept; there are %v", m["logger_kept_entries"], want)
	}
	t.Logf("of the noisy app's %d lines, %d are kept", noisy, kept)
	if kept == 0 || kept == noisy || !strings.Contains(l.Lines("noisy"), fmt.Sprintf("line %d ", noisy-1)) {
		t.Errorf("of the noisy app's lines, %d of %d are kept: want the newest", kept, noisy)
	}
}

// hostPeak bounds the host's memory while any number of readers read one log of 64 MiB.
const hostPeak = 320 << 20

// crowd has many readers read the whole log of the noisy app at once, by these paths. Some get the
// whole log, the others a 503. Meanwhile a few readers ask for the newest lines of quiet apps, and
// all of them get their lines.
func crowd(t *testing.T, url string, noisy []string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}, Timeout: 120 * time.Second}
	defer client.CloseIdleConnections()
	var right, refused atomic.Int32
	var all sync.WaitGroup
	for i := range len(noisy) + 10 {
		quiet := i >= len(noisy)
		path := fmt.Sprintf("/logs/app-%d", i)
		if !quiet {
			path = noisy[i]
		}
		all.Go(func() {
			resp, err := client.Get(url + path)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = resp.Body.Close() }()
			n, err := io.Copy(io.Discard, resp.Body)
			switch {
			case err != nil:
				t.Errorf("%s: %d, %d bytes, %v", path, resp.StatusCode, n, err)
			case quiet && resp.StatusCode != http.StatusOK:
				t.Errorf("%s: %d while others read the noisy log", path, resp.StatusCode)
			case quiet:
			case resp.StatusCode == http.StatusOK:
				right.Add(1)
			case resp.StatusCode == http.StatusServiceUnavailable:
				refused.Add(1)
			default:
				t.Errorf("%s: %d", path, resp.StatusCode)
			}
		})
	}
	all.Wait()
	t.Logf("of %d readers of the noisy log at once, %d got it, %d a 503", len(noisy), right.Load(), refused.Load())
	if right.Load() == 0 {
		t.Error("none got the noisy log")
	}
}

// forHostAndAggregator bounds the memory of host and aggregator together. docs/operations.md adds
// it to 1.5 times the budget to get a container's limit.
const forHostAndAggregator = 320 << 20

// TestMemoryOfTheChart: under the highest load the processes stay within what docs/operations.md
// says for the chart's budget, and that is within the chart's limit. The test fills the budget with
// the longest lines that are kept whole, at a NUMBER_OF_LINES that never evicts, and has them read
// in every form at once.
func TestMemoryOfTheChart(t *testing.T) {
	const wide, hostile = 4200, 200 // numbers of lines; each byte of a hostile line takes six in JSON
	budget, limit := chartMemory(t)
	if least := budget*3/2 + forHostAndAggregator; limit < least {
		t.Errorf("the chart's limit is %d MiB, want at least %d", limit>>20, least>>20)
	}
	queue := harness.NewQueue(t)
	queue.CreateChannel("logs", "consume")
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.MemoryEnv(), map[string]string{
		"LOGGER_MEMORY_MAX_BYTES": fmt.Sprint(budget), "NUMBER_OF_LINES": "1000000",
	})
	for app := range 100 {
		queue.Publish("logs", harness.Numbered(0, app))
	}
	for n := 0; n < wide; n += 50 {
		text := strings.Repeat("x", 64_000)
		if n >= wide-hostile {
			text = strings.Repeat("\x01", 64_000)
		}
		for range 10 {
			queue.Publish("logs", slices.Repeat([][]byte{harness.Message("noisy", text)}, 5)...)
		}
	}
	m := l.Settled(wide + 100)
	if m["logger_evicted_entries"] == 0 {
		t.Errorf("the budget is not used up: %v", m)
	}
	crowd(t, l.URL, append(slices.Repeat([]string{"/logs/noisy?log_lines=-1"}, 6),
		"/v1/apps/noisy/logs?lines=-1&format=json", "/v1/apps/noisy/logs?lines=-1&format=sse",
		"/v1/apps/noisy/logs?lines=-1&format=ndjson", "/v1/apps/noisy/logs?lines=-1&exclude=y.*y",
	))
	storage, aggregator, host := peakMemory(t, l.Plugin("storage").PID), peakMemory(t, l.Plugin("aggregator").PID), peakMemory(t, l.Cmd.Process.Pid)
	t.Logf("with a budget of %d MiB, the peaks are: storage plugin %d MiB, host %d, aggregator plugin %d", budget>>20, storage>>20, host>>20, aggregator>>20)
	if storage > budget*3/2 {
		t.Errorf("the storage plugin's peak is %d MiB, want at most 1.5 of %d", storage>>20, budget>>20)
	}
	if both := host + aggregator; both > forHostAndAggregator && !harness.Race {
		t.Errorf("host and aggregator took %d MiB, want at most %d", both>>20, forHostAndAggregator>>20)
	}
}

// chartMemory returns the chart's memory.budget, and the memory limit of the logger's container.
func chartMemory(t *testing.T) (budget, limit int64) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(charttest.Dir, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var values struct {
		Memory    struct{ Budget string }
		Resources struct{ Limits struct{ Memory string } }
	}
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	for size, to := range map[string]*int64{values.Memory.Budget: &budget, values.Resources.Limits.Memory: &limit} {
		if _, err := fmt.Sscanf(size, "%dMi", to); err != nil {
			t.Fatalf("%q: %v", size, err)
		}
		*to <<= 20
	}
	return budget, limit
}

// checkQuiet checks that each of the apps has all its lines.
func checkQuiet(t *testing.T, url string, apps, each int) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}, Timeout: slowest}
	defer client.CloseIdleConnections()
	for app := range apps {
		resp, err := client.Get(fmt.Sprintf("%s/logs/app-%d?log_lines=-1", url, app))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		numbers, err := parseLog(app, string(body))
		if err != nil || len(numbers) != each || numbers[0] != 0 || numbers[each-1] != each-1 {
			t.Fatalf("app-%d, which is quiet: %v, %v", app, numbers, err)
		}
	}
}

func noisyLine(n int) []byte {
	return harness.Message("noisy", fmt.Sprintf("line %d %s\n", n, strings.Repeat("x", 4000)))
}
