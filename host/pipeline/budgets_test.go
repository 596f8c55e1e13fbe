package pipeline

import (
	"testing"

	"github.com/deis/logger/internal/budgettest"
)

func TestBudgetsOfTheDocuments(t *testing.T) {
	budgettest.Has(t, "`Append`", batchEntries, budgettest.Bytes(batchBytes), firstRetry, 2*firstRetry, slowestRetry)
	budgettest.Has(t, "back pressure", budgettest.Bytes(queueBytes))
}
