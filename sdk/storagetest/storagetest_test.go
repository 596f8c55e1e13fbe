package storagetest

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/deis/logger/sdk"
)

func TestMain(m *testing.M) {
	if f, ok := os.LookupEnv(pluginEnv); ok {
		servePlugin(fault(f))
		return
	}
	goleak.VerifyTestMain(m)
}

// faultEnv makes TestReference run with a fault, in a process of its own: a
// subtest that must fail cannot run inside one that must pass.
const faultEnv = "STORAGETEST_FAULT"

func TestReference(t *testing.T) {
	f := fault(os.Getenv(faultEnv))
	if f != "" {
		patience = 5 * time.Second // what hangs for its fault shall not take long
	}
	Run(t, func(_ *testing.T, lines int) sdk.Storage { return newReference(lines, f) })
}

// TestSmallPages: a storage may answer less than was asked for and say so.
func TestSmallPages(t *testing.T) {
	Run(t, func(_ *testing.T, lines int) sdk.Storage { return newReference(lines, "small pages") })
}

// TestWithoutOptional: what is optional may be missing.
func TestWithoutOptional(t *testing.T) {
	Run(t, func(_ *testing.T, lines int) sdk.Storage {
		return struct{ sdk.Storage }{newReference(lines, "")}
	})
}

// TestFaultsAreFound breaks each obligation and expects the subtest that checks it
// to fail.
func TestFaultsAreFound(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for f, subtest := range map[fault]string{
		"absent is an error":            "Absent",
		"reversed":                      "Order",
		"loses a line":                  "Order",
		"swaps two lines":               "Order",
		"new epoch at each append":      "Order",
		"limit off by one":              "Limits",
		"keeps one too many":            "Trim",
		"keeps one too few":             "Trim",
		"repeats the cursor's entry":    "After",
		"gap too wide":                  "Gap",
		"gap not told":                  "Gap",
		"loses batches of busy writers": "ConcurrentWriters",
		"sized by the limit":            "Limits",
		"never trims":                   "Trim",
		"trims by batches":              "Trim",
		"positions restart":             "TrimOneBatch",
		"ignores cursors":               "After",
		"newest after":                  "After",
		"any epoch":                     "AfterOtherEpoch",
		"one epoch":                     "Delete",
		"delete keeps":                  "Delete",
		"delete absent is an error":     "DeleteAbsent",
		"stored twice":                  "Retry",
		"last writer only":              "RetryInterleaved",
		"first app only":                "RetrySeveralApps",
		"last sequence only":            "LowerSequence",
		"empty log":                     "EmptyBatch",
		"no host":                       "Fields",
		"floats":                        "Fields",
		"c strings":                     "Messages",
		"utc":                           "Times",
		"nanoseconds since 1970":        "Times",
		"long lines":                    "LongMessages",
		"prefix":                        "AppNames",
		"shares its slice":              "Ownership",
		"keeps what it copies":          "Copies",
		"half-cancelled":                "Cancelled",
		"published only":                "Apps",
		"last is kept":                  "Apps",
		"forgets what was evicted":      "Books",

		"follows the newest only":                  "FollowFrom",
		"follows a zero cursor from the beginning": "FollowNew",
		"follows until the end only":               "FollowFrom",
		"follow keeps a cursor beyond the end":     "FollowAhead",
		"follow subscribes late":                   "FollowConcurrent",
		"follow ends with the epoch":               "FollowDelete",
		"follow doubles":                           "FollowLarge",
		"follow hides yield's error":               "FollowEnds",
		"follow cannot be cancelled":               "FollowEnds",
		"known of any epoch":                       "Known",
		"oldest after known":                       "Known",
		"leaves out more":                          "Known",
		"oldest of the page":                       "Oldest",
		"oldest is the first ever":                 "Oldest",
	} {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), exe, "-test.run=^TestReference$/^"+subtest+"$", "-test.v")
			cmd.Env = append(os.Environ(), faultEnv+"="+string(f))
			out, err := cmd.CombinedOutput()
			if err == nil || !bytes.Contains(out, []byte("--- FAIL: TestReference/"+subtest)) {
				t.Errorf("%s did not find it (%v):\n%s", subtest, err, out)
			}
		})
	}
}
