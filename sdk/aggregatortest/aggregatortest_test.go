package aggregatortest

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"testing"
	"testing/synctest"
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
	goleak.VerifyTestMain(m)
}

// faultEnv makes TestReference run with a fault, in a process of its own: a subtest that must fail
// cannot run inside one that must pass.
const faultEnv = "AGGREGATORTEST_FAULT"

func openReference(*testing.T) (Transport, func(*testing.T) sdk.Aggregator) {
	q := newQueue()
	return q, func(*testing.T) sdk.Aggregator { return &reference{fault: fault(os.Getenv(faultEnv)), queue: q} }
}

func TestReference(t *testing.T) {
	t.Parallel() // it waits
	Run(t, openReference)
}

func TestRemoteReference(t *testing.T) {
	t.Parallel() // it waits
	RunRemote(t, openReference)
}

// opener opens what a check needs, as [checks] wants it.
type opener func(plugintest.T) (Transport, func() sdk.Aggregator)

// faulty opens references with the fault. Whatever never ends does so when over is closed.
func faulty(f fault, over <-chan struct{}) opener {
	return func(plugintest.T) (Transport, func() sdk.Aggregator) {
		q := newQueue()
		return q, func() sdk.Aggregator { return &reference{fault: f, queue: q, over: over} }
	}
}

// report runs checks on a clock that stands still while anything can run. So the checks have an
// author's timeouts but take no real time, and a busy machine changes nothing.
func report(t *testing.T, open func(over <-chan struct{}) opener, these ...string) (results []plugintest.Result, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		all := checks(&waits{}, open(over))
		if len(these) > 0 {
			all = slices.DeleteFunc(all, func(c plugintest.Check) bool { return !slices.Contains(these, c.Name) })
		}
		began := time.Now()
		if _, err := plugintest.Report(t.Context(), all, func(r plugintest.Result) { results = append(results, r) }); err != nil {
			t.Error(err)
		}
		took = time.Since(began)
		close(over)
		time.Sleep(time.Minute) // meanwhile, what a fault left behind ends
	})
	return results, took
}

// allPass runs the suite on the clock of [report].
func allPass(t *testing.T, open opener) {
	t.Helper()
	results, _ := report(t, func(<-chan struct{}) opener { return open })
	for _, r := range results {
		if r.Outcome != plugintest.Passed {
			t.Errorf("%s: %s: %q", r.Check, r.Outcome, r.Lines)
		}
	}
}

// TestBrokenAggregatorIsToldSoon runs all checks on aggregators for which every check waits in
// vain. Together, the checks take at most five times the patience, not twenty times.
func TestBrokenAggregatorIsToldSoon(t *testing.T) {
	for _, f := range []fault{"delivers nothing", "never acknowledges", "never ends"} {
		results, took := report(t, func(over <-chan struct{}) opener { return faulty(f, over) })
		failed := 0
		for _, r := range results {
			if r.Outcome == plugintest.Failed {
				failed++
			}
		}
		if failed < len(results)/2 || took > 5*patience {
			t.Errorf("%s: %d of %d failed, in %s", f, failed, len(results), took)
		}
	}
}

// TestQueuesOfMovingMessages accepts counts that are wrong while messages move.
func TestQueuesOfMovingMessages(t *testing.T) {
	open := faulty(movesMessages, nil)
	allPass(t, open)
	allPass(t, func(t plugintest.T) (Transport, func() sdk.Aggregator) {
		transport, aggregator := open(t)
		return transport, func() sdk.Aggregator { return serve(t, aggregator()) }
	})
}

// TestFaultFailsTheSubtest checks what an author sees: the subtest for the broken obligation fails.
func TestFaultFailsTheSubtest(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestReference$/^(Payload|Records)$", "-test.v", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), faultEnv+"=trims payloads")
	out, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("--- FAIL: TestReference/Payload")) {
		t.Errorf("%v:\n%s", err, out)
	}
}

// TestFaultsAreFound breaks each obligation and expects its check to fail.
func TestFaultsAreFound(t *testing.T) {
	for f, check := range map[fault]string{
		"reversed batches":                         "Order",
		"overlaps":                                 "OneAtATime",
		"trims payloads":                           "Payload",
		"as text":                                  "Payload",
		"overwrites what it delivers":              "Payload",
		"rewrites JSON":                            "Records",
		"decodes JSON":                             "Records",
		"the first line alone":                     "Records",
		"one id for all":                           "Records",
		"published in seconds":                     "Records",
		"published in milliseconds":                "Records",
		"acknowledges at once":                     "AcknowledgesAfterReceipt",
		"never acknowledges":                       "AcknowledgesAfterReceipt",
		"acknowledges all when one is stored":      "AcknowledgesWhatIsStored",
		"acknowledges what failed":                 "GivesBackFailed",
		"forgets what failed":                      "GivesBackFailed",
		"keeps the payload":                        "Redelivery",
		"new id each time":                         "Redelivery",
		"always the first attempt":                 "Redelivery",
		"loses what deliver refuses":               "DeliverFails",
		"drops when blocked":                       "Backpressure",
		"hangs in checks":                          "Backpressure",
		"ends with an error":                       "StopIdle",
		"never ends":                               "StopIdle",
		"takes more after the stop":                "StopNothingNew",
		"does not wait for receipts":               "StopWaits",
		"acknowledges on stop":                     "StopGivesBack",
		"gives up when away":                       "TransportAway",
		"always ready":                             "TransportAway",
		"never ready":                              "Check",
		"tells of no queues":                       "Queues",
		"counts what waits alone":                  "Queues",
		"counts what waits alone, and begins late": "Queues",

		"cannot ask its queue":   "Queues",
		"tells a queue twice":    "Queues",
		"a queue without a name": "Queues",
		"hangs in queues":        "Queues",
		"delivers nothing":       "Order",
	} {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			results, _ := report(t, func(over <-chan struct{}) opener { return faulty(f, over) }, check)
			if len(results) != 1 || results[0].Outcome != plugintest.Failed {
				t.Errorf("%s did not find it: %+v", check, results)
			}
		})
	}
}
