package aggregatortest

import (
	"bytes"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/plugintest"
)

func TestMain(m *testing.M) {
	if kind := os.Getenv(pluginEnv); kind != "" {
		servePlugin(kind)
		return
	}
	if os.Getenv(faultEnv) != "" {
		os.Exit(m.Run()) // one of the faults is that Run never ends
	}
	goleak.VerifyTestMain(m)
}

// faultEnv makes TestReference run with a fault, in a process of its own: a subtest
// that must fail cannot run inside one that must pass.
const faultEnv = "AGGREGATORTEST_FAULT"

func openReference(f fault) Open {
	return func(*testing.T) (Transport, func(*testing.T) sdk.Aggregator) {
		q := newQueue()
		return q, func(*testing.T) sdk.Aggregator { return &reference{fault: f, queue: q} }
	}
}

func TestReference(t *testing.T) {
	f := fault(os.Getenv(faultEnv))
	if f != "" {
		patience = 3 * time.Second // what is broken is waited for in vain
	}
	Run(t, openReference(f))
}

// TestBrokenAggregatorIsToldSoon runs all checks of aggregators that every check waits for in
// vain. Together they take eight times the patience at most, and not one for each of the twenty.
func TestBrokenAggregatorIsToldSoon(t *testing.T) {
	if f, ok := os.LookupEnv(faultEnv); ok {
		patience = 3 * time.Second
		all := checks(&waits{}, func(plugintest.T) (Transport, func() sdk.Aggregator) {
			q := newQueue()
			return q, func() sdk.Aggregator { return &reference{fault: fault(f), queue: q} }
		})
		began, failed := time.Now(), 0
		ok, err := plugintest.Report(t.Context(), all, func(r plugintest.Result) {
			t.Log(r.Check, r.Outcome, r.Took)
			if r.Outcome == plugintest.Failed {
				failed++
			}
		})
		if took := time.Since(began); ok || err != nil || failed < len(all)/2 || took > 8*patience {
			t.Errorf("%d of %d failed, %v, in %s", failed, len(all), err, took)
		}
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup // they wait, and take no processor
	defer all.Wait()
	for _, f := range []fault{"delivers nothing", "never ends"} {
		all.Go(func() {
			cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestBrokenAggregatorIsToldSoon$", "-test.v", "-test.timeout=5m")
			cmd.Env = append(os.Environ(), faultEnv+"="+string(f))
			if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS")) {
				t.Errorf("%s: %v\n%s", f, err, out)
			}
		})
	}
}

// TestQueuesOfMovingMessages accepts counts that are off while messages move.
func TestQueuesOfMovingMessages(t *testing.T) {
	for _, run := range []func(*testing.T, Open, ...plugintest.Option){Run, RunRemote} {
		run(t, openReference(movesMessages))
	}
}

func TestRemoteReference(t *testing.T) { RunRemote(t, openReference("")) }

// TestFaultsAreFound breaks each obligation and expects the subtest that checks it to
// fail.
func TestFaultsAreFound(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for f, subtest := range map[fault]string{
		"reversed batches":                    "Order",
		"overlaps":                            "OneAtATime",
		"trims payloads":                      "Payload",
		"as text":                             "Payload",
		"overwrites what it delivers":         "Payload",
		"rewrites JSON":                       "Records",
		"decodes JSON":                        "Records",
		"the first line alone":                "Records",
		"one id for all":                      "Records",
		"published in seconds":                "Records",
		"published in milliseconds":           "Records",
		"acknowledges at once":                "AcknowledgesAfterReceipt",
		"never acknowledges":                  "AcknowledgesAfterReceipt",
		"acknowledges all when one is stored": "AcknowledgesWhatIsStored",
		"acknowledges what failed":            "GivesBackFailed",
		"forgets what failed":                 "GivesBackFailed",
		"keeps the payload":                   "Redelivery",
		"new id each time":                    "Redelivery",
		"always the first attempt":            "Redelivery",
		"loses what deliver refuses":          "DeliverFails",
		"drops when blocked":                  "Backpressure",
		"hangs in checks":                     "Backpressure",
		"ends with an error":                  "StopIdle",
		"never ends":                          "StopIdle",
		"takes more after the stop":           "StopNothingNew",
		"does not wait for receipts":          "StopWaits",
		"acknowledges on stop":                "StopGivesBack",
		"gives up when away":                  "TransportAway",
		"always ready":                        "TransportAway",
		"never ready":                         "Check",
		"tells of no queues":                  "Queues",
		"counts what waits alone":             "Queues",
		"cannot ask its queue":                "Queues",
		"tells a queue twice":                 "Queues",
		"a queue without a name":              "Queues",
		"hangs in queues":                     "Queues",
		"delivers nothing":                    "Order",
	} {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestReference$/^"+subtest+"$", "-test.v", "-test.timeout=2m")
			cmd.Env = append(os.Environ(), faultEnv+"="+string(f))
			out, err := cmd.CombinedOutput()
			if err == nil || !bytes.Contains(out, []byte("--- FAIL: TestReference/"+subtest)) {
				t.Errorf("%s did not find it (%v):\n%s", subtest, err, out)
			}
		})
	}
}
