package corpus

import (
	"strings"
	"testing"
)

// TestBalance: every record is expected somewhere, as an entry or as a rejection. An entry begins
// where a line begins with a time.
func TestBalance(t *testing.T) {
	entries := 0
	for _, text := range Expected("2016-10-18T20:29:38+00:00") {
		for _, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(line, "2016-10-18T") {
				entries++
			}
		}
	}
	for _, n := range Rejected() {
		entries += n
	}
	if got := Records(); got != entries {
		t.Errorf("%d records, but %d are accounted for", got, entries)
	}
}
