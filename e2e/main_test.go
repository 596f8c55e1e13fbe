package e2e

import (
	"os"
	"testing"

	"github.com/deis/logger/e2e/harness"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(hostileEnv); mode != "" {
		actHostile(mode)
		os.Exit(0)
	}
	harness.Main(m)
}
