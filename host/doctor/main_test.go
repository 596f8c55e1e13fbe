package doctor

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(modeEnv); mode != "" {
		actToy(mode == "inspectable")
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}
