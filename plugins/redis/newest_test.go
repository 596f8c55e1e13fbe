package redis

import (
	"strings"
	"testing"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/sdk"
)

// TestWhatIsNewTakesOneTrip: whoever reads an app again, as the host does, with the last entry
// that it knows, has what came since in one trip, be it a line of a quiet app or a batch.
func TestWhatIsNewTakesOneTrip(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server)
	trips := func() (calls string) {
		for line := range strings.Lines(server.MustDo("INFO", "commandstats")) {
			if rest, ok := strings.CutPrefix(line, "cmdstat_exec:calls="); ok {
				calls, _, _ = strings.Cut(rest, ",")
			}
		}
		return calls
	}
	last := 0
	for sequence, lines := range []int{1, 1, 1, 2, 1, 3, 1, 30, 1, 30, 30, 1, 1} {
		mustAppend(t, s, batch("w", uint64(sequence+1), "app", last+1, last+lines))
		whole := readAll(t, s, "app")
		known := whole.End()
		known.Position -= uint64(lines) + 1 // what was known before, but for the last
		if last == 0 {
			last = lines
			continue
		}
		last += lines
		before := trips()
		page, err := s.Read(t.Context(), sdk.ReadOptions{App: "app", Limit: 100, Known: known})
		if err != nil || len(page.Entries) != lines+1 {
			t.Fatalf("%d entries (%v), want %d", len(page.Entries), err, lines+1)
		}
		between := trips()
		if _, err := s.Read(t.Context(), sdk.ReadOptions{App: "app", Limit: 100, Known: known}); err != nil {
			t.Fatal(err)
		}
		if again := trips(); count(between)-count(before) > 2 || count(again)-count(between) != 1 {
			t.Errorf("after %d more lines: reads made %s, then %s, then %s transactions", lines, before, between, again)
		}
	}
}
