package sdk

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestBudgetsOfTheDocuments compares the bounds that the SDK keeps with docs/plugins/budgets.md.
func TestBudgetsOfTheDocuments(t *testing.T) {
	b, err := os.ReadFile("../docs/plugins/budgets.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), ",", "")
	for _, want := range []string{
		fmt.Sprintf("pages of about %d MiB; %d MiB and %d entries at most", pageBytes>>20, maxPageBytes>>20, maxPageEntries),
		fmt.Sprintf("the SDK answers after %d ms", filteredFor.Milliseconds()),
		fmt.Sprintf("%d KiB for each app that is asked for %d MiB in all", appBytes>>10, maxAppsBytes>>20),
		fmt.Sprintf("batches of up to %d messages and %d MiB", maxBatchMessages, maxBatchBytes>>20),
		fmt.Sprintf("and %d ms after it", stopMargin.Milliseconds()),
		fmt.Sprintf("scrape of `/metrics` | %d MiB |", maxAnswerBytes>>20),
		fmt.Sprintf("scrape of `/metrics` | %d KiB", maxMetricsBytes>>10),
		fmt.Sprintf("1 to %d of", maxAppName),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not say %q", want)
		}
	}
}
