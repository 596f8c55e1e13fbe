package page

import (
	"testing"

	"github.com/deis/logger/e2e/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
