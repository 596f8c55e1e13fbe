package plugin

import (
	"testing"
	"time"

	"github.com/deis/logger/internal/budgettest"
)

func TestBudgetsOfTheDocuments(t *testing.T) {
	o := DefaultOptions()
	budgettest.Has(t, "`Describe` and `Configure`", o.StartTimeout, o.BackoffMin, o.BackoffMax)
	budgettest.Has(t, "`Check`", o.CheckInterval, o.CheckTimeout)
	budgettest.Has(t, "end, after `Shutdown`", o.StopTimeout)
	budgettest.Has(t, "a line on stderr", budgettest.Bytes(maxLogLine))
	for _, two := range []int{o.CheckMisses, sickChecks, hungAppends} {
		if two != 2 {
			t.Errorf("%d where the document says two", two)
		}
	}
	if processors(4) != 2 || sickCalls != 3 || time.Second >= o.CheckTimeout {
		t.Error("the document says half of the processors, three reads, and a second for a check")
	}
}
