package faults

import (
	"flag"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
)

var (
	soakTime = flag.Duration("soak", 15*time.Second, "how long TestSoak publishes and disturbs")
	full     = flag.Bool("full", false, "the tests of the promise have the size of the measurements in docs/reliability.md")
	soakSeed = flag.Int64("seed", 0, "what TestSoak's faults are drawn from; 0 takes one from the clock")
)

func TestMain(m *testing.M) { harness.Main(m) }
