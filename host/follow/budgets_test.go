package follow

import (
	"testing"
	"time"

	"github.com/deis/logger/internal/budgettest"
)

func TestBudgetsOfTheDocuments(t *testing.T) {
	budgettest.Has(t, "`Follow`", retryFirst, retryMost)
	if pollFirst != 50*time.Millisecond || pollMost != time.Second {
		t.Error("the document says that the host reads every 50 ms to every second")
	}
}
