// Package budgettest compares the figures in docs/plugins/budgets.md with those of the code.
package budgettest

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Bytes holds a size.
type Bytes int

// Has fails the test unless the row whose first cell has this text contains all the figures: times
// ([time.Duration], written in s or ms), sizes ([Bytes], written in KiB or MiB), and numbers.
func Has(t testing.TB, row string, figures ...any) {
	t.Helper()
	_, self, _, _ := runtime.Caller(0)
	b, err := os.ReadFile(filepath.Join(filepath.Dir(self), "..", "..", "docs", "plugins", "budgets.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "| "+row+" |") {
			continue
		}
		words := " " + strings.NewReplacer(";", " ", ":", " ", ", ", " ", "|", " ", "(", " ", ")", " ", "`", " ").Replace(line) + " "
		for _, figure := range figures {
			if text := told(figure); !strings.Contains(words, " "+text+" ") {
				t.Errorf("the row %s does not contain %s: %s", row, text, line)
			}
		}
		return
	}
	t.Errorf("there is no row %s", row)
}

// told returns a figure as the document writes it.
func told(figure any) string {
	switch f := figure.(type) {
	case time.Duration:
		if f < time.Second {
			return fmt.Sprint(float64(f)/float64(time.Millisecond), " ms")
		}
		return fmt.Sprint(f.Seconds(), " s")
	case Bytes:
		if f < 1<<20 {
			return fmt.Sprint(f>>10, " KiB")
		}
		return fmt.Sprint(f>>20, " MiB")
	case int:
		text := strconv.Itoa(f)
		for at := len(text) - 3; at > 0; at -= 3 {
			text = text[:at] + "," + text[at:]
		}
		return text
	}
	return fmt.Sprint(figure)
}
