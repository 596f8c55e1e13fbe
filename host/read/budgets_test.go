package read

import (
	"testing"

	"github.com/deis/logger/internal/budgettest"
	"github.com/deis/logger/internal/storagefake"
)

func TestBudgetsOfTheDocuments(t *testing.T) {
	r := New(Options{Storage: &storagefake.Storage{}})
	budgettest.Has(t, "`Read`", r.smallTurns.atOnce, fewLines, r.largeTurns.atOnce, r.pageTurns.atOnce)
	budgettest.Has(t, "`Read` with a filter", searchTime)
	budgettest.Has(t, "`Versions`", freshFor, mostAsked)
}
