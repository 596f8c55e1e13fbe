package storagetest

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/plugintest"
)

func TestMain(m *testing.M) {
	if f, ok := os.LookupEnv(pluginEnv); ok {
		servePlugin(fault(f))
		return
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(programDir)
		os.Exit(code)
	}))
}

// faultEnv makes TestReference run with a fault, in a process of its own: a subtest that must fail
// cannot run inside one that must pass.
const faultEnv = "STORAGETEST_FAULT"

func TestReference(t *testing.T) {
	t.Parallel()
	Run(t, func(_ *testing.T, lines int) sdk.Storage { return newReference(lines, fault(os.Getenv(faultEnv))) })
}

// TestSmallPages: a storage may return less than asked for, if it says so.
func TestSmallPages(t *testing.T) {
	t.Parallel()
	Run(t, func(_ *testing.T, lines int) sdk.Storage { return newReference(lines, "small pages") })
}

// report runs the chosen checks on a reference with the fault, direct or over gRPC, on a clock that
// stands still while anything can run. So the checks have an author's timeouts but take no real
// time, and a busy machine changes nothing.
func report(t *testing.T, f fault, direct bool, chosen func(check string) bool) (results []plugintest.Result, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		over := make(chan struct{})
		all := slices.DeleteFunc(checks(direct, &waits{}, func(t plugintest.T, lines int) sdk.Storage {
			r := newReference(lines, f)
			if r.over = over; direct {
				return r
			}
			return serve(t, r)
		}), func(c plugintest.Check) bool { return !chosen(c.Name) })
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

// TestMayOmit: a storage may leave out the messages that its caller does not need.
func TestMayOmit(t *testing.T) {
	for _, direct := range []bool{true, false} {
		results, _ := report(t, "omits messages", direct, func(name string) bool { return name == "OmitMessages" })
		if len(results) != 1 || results[0].Outcome != plugintest.Passed {
			t.Errorf("direct: %t: %+v", direct, results)
		}
	}
}

// TestRandomFindsFaults: the random check alone finds faults of order and cursors.
func TestRandomFindsFaults(t *testing.T) {
	for _, f := range []fault{
		"order of arrival", "a late line pushes out a newer one", "drops late lines", "holes are closed", "skips an entry",
		"a history repeats at a cut", "a history skips at a cut", "keeps one too few", "stored twice",
	} {
		var results []plugintest.Result
		all := checks(true, &waits{}, func(_ plugintest.T, lines int) sdk.Storage { return newReference(lines, f) })
		i := slices.IndexFunc(all, func(c plugintest.Check) bool { return c.Name == "RandomArrivals" })
		ok, err := plugintest.Report(t.Context(), all[i:i+1], func(r plugintest.Result) { results = append(results, r) })
		if ok || err != nil || len(results) != 1 || !strings.HasPrefix(results[0].Lines[0], seedEnv) {
			t.Errorf("%s: passes: %t, %v, %+v", f, ok, err, results)
		}
	}
}

// TestBrokenFollowIsToldSoon: together, the checks of Follow wait in vain for at most three times
// the patience, which is a minute.
func TestBrokenFollowIsToldSoon(t *testing.T) {
	follow := func(name string) bool { return strings.Contains(name, "Follow") }
	for _, f := range []fault{"follow yields nothing", "follow yields once", "follow keeps the lock"} {
		results, took := report(t, f, false, follow)
		failed := 0
		for _, r := range results {
			if r.Outcome == plugintest.Failed {
				failed++
			}
		}
		if failed < len(results)-2 || took > 3*patience {
			t.Errorf("%s: %d of %d failed, in %s", f, failed, len(results), took)
		}
	}
}

// TestLeftOut: the check of a missing method is left out by name; it does not pass.
func TestLeftOut(t *testing.T) {
	left := map[string]string{}
	for _, c := range checks(true, &waits{}, func(_ plugintest.T, lines int) sdk.Storage { return struct{ sdk.Storage }{newReference(lines, "")} }) {
		if !strings.HasPrefix(c.Name, "Follow") && !slices.Contains([]string{"Versions", "AppsPaged", "Totals", "LoweredLines", "Check", "OneLine"}, c.Name) {
			continue
		}
		if _, err := plugintest.Report(t.Context(), []plugintest.Check{c}, func(r plugintest.Result) { left[c.Name] = strings.Join(r.Lines, "") }); err != nil {
			t.Error(err)
		}
	}
	for name, want := range map[string]string{
		"FollowNew": "left out: no Follow", "FollowLarge": "left out: no Follow", "Versions": "left out: no Versions", "AppsPaged": "left out: no Apps",
		"Totals": "left out: no Apps", "LoweredLines": "left out: no Reopen", "Check": "left out: no Check", "OneLine": "",
	} {
		if got, ok := left[name]; !ok || got != want {
			t.Errorf("%s says %q, want %q", name, got, want)
		}
	}
}

// TestWithoutOptional: optional methods may be missing.
func TestWithoutOptional(t *testing.T) {
	t.Parallel()
	Run(t, func(_ *testing.T, lines int) sdk.Storage {
		return struct{ sdk.Storage }{newReference(lines, "")}
	})
}

// finds runs one check of a suite in a process whose storage has the fault. The check must fail.
func finds(t *testing.T, f fault, suite, check string) (out string) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^"+suite+"$/^"+check+"$", "-test.v")
	cmd.Env = append(os.Environ(), faultEnv+"="+string(f))
	b, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(b, []byte("--- FAIL: "+suite+"/"+check)) {
		t.Errorf("%s did not find it (%v):\n%s", check, err, b)
	}
	return string(b)
}

// TestFaultFailsTheSubtest checks what an author sees: the subtest for the broken obligation fails.
func TestFaultFailsTheSubtest(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const f, subtest = "lowered lines count from the next append", "LoweredLines" // this check needs a *testing.T
	cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestReference$/^("+subtest+"|Limits)$", "-test.v")
	cmd.Env = append(os.Environ(), faultEnv+"="+f)
	out, err := cmd.CombinedOutput()
	if err == nil || !bytes.Contains(out, []byte("--- FAIL: TestReference/"+subtest)) || !bytes.Contains(out, []byte("--- PASS: TestReference/Limits")) {
		t.Errorf("%v:\n%s", err, out)
	}
}

// TestFaultsAreFound breaks each obligation and expects its check to fail.
func TestFaultsAreFound(t *testing.T) {
	for f, check := range map[fault]string{
		"absent is an error":       "Absent",
		"order of arrival":         "OrderOfPublishing",
		"loses a line":             "OrderOfPublishing",
		"swaps two lines":          "OrderOfPublishing",
		"new epoch at each append": "OrderOfPublishing",
		"no last position":         "Positions",
		"no positions":             "Positions",
		"positions restart":        "Positions",
		"holes are closed":         "HolesAreGaps",
		"limit off by one":         "Limits",
		"sized by the limit":       "Limits",
		"keeps one too many":       "KeepsNewest",
		"keeps one too few":        "KeepsNewest",
		"never trims":              "KeepsNewest",
		"trims by batches":         "KeepsNewest",

		"a late line pushes out a newer one":       "LateArrivals",
		"drops late lines":                         "LateArrivals",
		"order of publishing after a cursor":       "After",
		"repeats the cursor's entry":               "After",
		"skips an entry":                           "After",
		"ignores cursors":                          "After",
		"newest after":                             "After",
		"any epoch":                                "AfterOtherEpoch",
		"last is kept":                             "HolesAreGaps",
		"a history repeats at a cut":               "Histories",
		"a history skips at a cut":                 "Histories",
		"a history ends where it is cut":           "Histories",
		"a history of all that there is":           "Histories",
		"ignores before":                           "Before",
		"before counts what arrived since":         "Before",
		"cut at 2,000 without more":                "LargeLogs",
		"cut at 2,000 after a cursor without more": "LargeLogs",

		"a filter drops a match":          "Filters",
		"a filter of one value":           "Filters",
		"since without the moment itself": "Filters",
		"a filter makes gaps":             "FilterAndGone",
		"omits fields, too":               "OmitMessages",
		"omits messages for good":         "OmitMessages",
		"omits entries of long messages":  "OmitMessages",

		"one epoch":                     "Delete",
		"delete keeps":                  "Delete",
		"delete absent is an error":     "DeleteAbsent",
		"stored twice":                  "Retry",
		"last writer only":              "RetryInterleaved",
		"first app only":                "RetrySeveralApps",
		"last sequence only":            "LowerSequence",
		"empty log":                     "EmptyBatch",
		"no host":                       "Fields",
		"no container":                  "Fields",
		"floats":                        "Fields",
		"whole lines":                   "Fields",
		"no level":                      "Fields",
		"c strings":                     "Messages",
		"utc":                           "Times",
		"nanoseconds since 1970":        "Times",
		"long lines":                    "LongMessages",
		"prefix":                        "AppNames",
		"shares its slice":              "Ownership",
		"loses batches of busy writers": "ConcurrentWriters",
		"half-cancelled":                "Cancelled",

		"versions do not change":        "Versions",
		"versions count entries":        "Versions",
		"a version for all logs":        "Versions",
		"apps in no order":              "AppsPaged",
		"apps from the beginning":       "AppsPaged",
		"apps without a limit":          "AppsPaged",
		"last is the number of entries": "AppsPaged",
		"the oldest is the first":       "AppsPaged",
		"forgets what was evicted":      "Totals",

		"follows the newest only":                     "FollowFrom",
		"follows a zero cursor from the beginning":    "FollowNew",
		"follows until the end only":                  "FollowFrom",
		"follow keeps a cursor beyond the end":        "FollowAhead",
		"follow subscribes late":                      "FollowConcurrent",
		"follow says nothing of what is gone at once": "FollowLate",
		"delete wakes no follower":                    "DeleteWakesFollower",
		"follow ends with the epoch":                  "FollowDelete",
		"follow doubles":                              "FollowLarge",
		"follow hides yield's error":                  "FollowEnds",
		"follow cannot be cancelled":                  "FollowEnds",
	} {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			results, _ := report(t, f, true, func(name string) bool { return name == check })
			if len(results) != 1 || results[0].Outcome != plugintest.Failed {
				t.Errorf("%s did not find it: %+v", check, results)
			}
		})
	}
}
