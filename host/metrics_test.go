package host

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/deis/logger/host/plugin"
	"github.com/deis/logger/sdk"
)

// counter answers Totals and counts the calls.
type counter struct {
	totals sdk.Totals
	err    error
	hangs  bool
	asked  atomic.Int32
}

func (c *counter) Totals(ctx context.Context) (sdk.Totals, error) {
	c.asked.Add(1)
	if c.hangs {
		<-ctx.Done()
		return sdk.Totals{}, ctx.Err()
	}
	return c.totals, c.err
}

// TestScrapesOfAHungStorage: the storage does not answer, and many clients scrape it at once, again
// and again. No scrape takes longer than one question.
func TestScrapesOfAHungStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &counter{hangs: true}
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(newStorageCollector(l, hclog.NewNullLogger()))
		began := time.Now()
		var scrapes sync.WaitGroup
		for i := range 12 {
			scrapes.Go(func() {
				time.Sleep(time.Duration(i) * 10 * time.Millisecond)
				for range 3 {
					began := time.Now()
					if _, err := registry.Gather(); err != nil || time.Since(began) > askTimeout {
						t.Errorf("a scrape took %s, %v", time.Since(began), err)
					}
				}
			})
		}
		scrapes.Wait()
		if took := time.Since(began); took > askTimeout || l.asked.Load() != 1 {
			t.Errorf("three times 12 scrapes took %s and asked %d times, want one question", took, l.asked.Load())
		}
		l.hangs, l.totals = false, sdk.Totals{Apps: 1, Entries: 1, Stored: 1}
		time.Sleep(askAgain)
		if n, err := testutil.GatherAndCount(registry); n != 5 || err != nil {
			t.Errorf("%d samples once it answers, %v", n, err)
		}
	})
}

func TestStorageMetrics(t *testing.T) {
	synctest.Test(t, testStorageMetrics)
}

func testStorageMetrics(t *testing.T) {
	l := &counter{err: sdk.ErrUnavailable}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newStorageCollector(l, hclog.NewNullLogger()))
	if n, err := testutil.GatherAndCount(registry); n != 0 || err != nil {
		t.Errorf("%d samples while the storage is away, %v", n, err)
	}
	time.Sleep(askAgain)
	l.totals, l.err = sdk.Totals{Apps: 2, Entries: 11, Bytes: 1050, Stored: 133, Evicted: 115, Deleted: 7}, nil
	const want = `
# HELP logger_kept_apps Apps that have entries in storage.
# TYPE logger_kept_apps gauge
logger_kept_apps 2
# HELP logger_kept_bytes Bytes that the entries take in storage.
# TYPE logger_kept_bytes gauge
logger_kept_bytes 1050
# HELP logger_kept_entries Entries in storage.
# TYPE logger_kept_entries gauge
logger_kept_entries 11
# HELP logger_evicted_entries Entries that newer ones pushed out of the storage, in its life.
# TYPE logger_evicted_entries gauge
logger_evicted_entries 115
# HELP logger_deleted_entries Entries that were deleted from the storage, in its life.
# TYPE logger_deleted_entries gauge
logger_deleted_entries 7
`
	for range 3 {
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
	}
	if l.asked.Load() != 2 {
		t.Errorf("the storage was asked %d times, want 2: once away, once for three scrapes", l.asked.Load())
	}
}

func TestPluginMetrics(t *testing.T) {
	s := plugin.NewSupervisor(plugin.Options{Executable: plugin.Executable{Kind: sdk.StorageKind, Name: "toy"}})
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(pluginCollector{[]*plugin.Supervisor{s}})
	const want = `
# HELP logger_plugin_restarts_total Processes of the plugin that ended, or did not start, without being told to end.
# TYPE logger_plugin_restarts_total counter
logger_plugin_restarts_total{kind="storage",name="toy"} 0
# HELP logger_plugin_state 1 for the state that the plugin is in, 0 for the others.
# TYPE logger_plugin_state gauge
logger_plugin_state{kind="storage",name="toy",state="backing off"} 0
logger_plugin_state{kind="storage",name="toy",state="degraded"} 0
logger_plugin_state{kind="storage",name="toy",state="failed"} 0
logger_plugin_state{kind="storage",name="toy",state="ready"} 0
logger_plugin_state{kind="storage",name="toy",state="starting"} 1
logger_plugin_state{kind="storage",name="toy",state="stopped"} 0
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}
