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
	trips := func() (n int) { // of reads: what appends take is not among what is compared
		for line := range strings.Lines(server.MustDo("INFO", "commandstats")) {
			for _, command := range []string{"exec", "evalsha"} {
				if rest, ok := strings.CutPrefix(line, "cmdstat_"+command+":calls="); ok {
					calls, _, _ := strings.Cut(rest, ",")
					n += count(calls)
				}
			}
		}
		return n
	}
	known, last := sdk.Cursor{}, 0
	for sequence, tc := range []struct{ lines, trips int }{
		{1, 1},
		{1, 1},
		{1, 1},
		{2, 1},
		{1, 1},
		{3, 1},
		{1, 1},
		{30, 1},
		{1, 1},
		{1, 1},
		{30, 1},
		{30, 1},
		{30, 1},
		{30, 1},
		{1, 1},
		{1, 1},
	} {
		mustAppend(t, s, batch("w", uint64(sequence+1), "app", last+1, last+tc.lines))
		last += tc.lines
		before := trips()
		page, err := s.Read(t.Context(), sdk.ReadOptions{App: "app", Limit: 100, Known: known})
		if want := tc.lines + min(sequence, 1); err != nil || len(page.Entries) != want {
			t.Fatalf("%d entries (%v), want %d", len(page.Entries), err, want)
		}
		if got := trips() - before; got != tc.trips {
			t.Errorf("append %d, of %d lines: the read took %d trips, want %d", sequence, tc.lines, got, tc.trips)
		}
		known = page.End()
		known.Position-- // the last comes again
	}
}
