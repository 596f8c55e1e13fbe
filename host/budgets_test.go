package host

import (
	"testing"

	"github.com/deis/logger/internal/budgettest"
)

func TestBudgetsOfTheDocuments(t *testing.T) {
	budgettest.Has(t, "`Append`", appendTimeout)
	for _, row := range []string{"`Read`", "`Versions`", "`Apps`, `App`", "`Delete`"} {
		budgettest.Has(t, row, storageTimeout)
	}
	for _, row := range []string{"`Totals`", "`Queues`", "`Metrics`"} {
		budgettest.Has(t, row, askTimeout)
	}
	o, err := LoadOptions(func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	budgettest.Has(t, "`message`", budgettest.Bytes(o.MaxLineBytes))
	budgettest.Has(t, "end of `Run`", o.StopTimeout)
}
