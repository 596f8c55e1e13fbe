package redis

import (
	"context"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

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
			for _, command := range []string{"lrange", "evalsha"} {
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

// betweenHook does something after so many commands of reads.
type betweenHook struct {
	after int
	do    func()
}

func (h *betweenHook) DialHook(next redis.DialHook) redis.DialHook { return next }

func (h *betweenHook) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h *betweenHook) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		if commands[0].Name() != "get" {
			return next(ctx, commands)
		}
		_ = next(ctx, commands[:h.after]) // they have their errors
		h.do()
		return next(ctx, commands[h.after:])
	}
}

// TestPageIsOfOneMoment: a log that others change while it is read, once or all the time, has
// each entry at its own position. Its list is as long as before.
func TestPageIsOfOneMoment(t *testing.T) {
	for name, changes := range map[string]int{"once": 1, "all the time": 1000} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			few := func(s *Settings) { s.Lines = 10 }
			other, s := open(t, server, few), open(t, server, few)
			last := 0
			more := func() {
				last++
				mustAppend(t, other, batch("w", uint64(last), "app", last, last))
			}
			for range 20 {
				more()
			}
			left := changes
			s.client.AddHook(&betweenHook{1, func() {
				if left--; left >= 0 {
					more()
				}
			}})
			page, err := s.Read(t.Context(), sdk.ReadOptions{App: "app", Limit: 5})
			if err != nil {
				t.Fatal(err)
			}
			want := batch("w", 1, "app", last-4, last).Apps[0].Entries
			if page.First != uint64(last-4) || len(page.Entries) != 5 {
				t.Fatalf("%d entries from %d on, want 5 from %d", len(page.Entries), page.First, last-4)
			}
			for i := range want {
				if page.Entries[i].Message != want[i].Message {
					t.Errorf("position %d has %q, want %q", page.First+uint64(i), page.Entries[i].Message, want[i].Message)
				}
			}
		})
	}
}

// TestPushedBetween: an element that somebody else puts into the list at any moment of a read
// moves nothing.
func TestPushedBetween(t *testing.T) {
	for after := 1; after <= 3; after++ {
		server := redistest.Start(t)
		s := open(t, server)
		mustAppend(t, s, batch("w", 1, "app", 1, 1))
		mustAppend(t, s, batch("w", 2, "app", 2, 2))
		s.client.AddHook(&betweenHook{after, func() { server.MustDo("RPUSH", blocksKey("app"), "foreign") }})
		page, err := s.Read(t.Context(), sdk.ReadOptions{App: "app", Limit: 1})
		if err != nil || page.First != 2 || len(page.Entries) != 1 || page.Entries[0] != numbered(2, 2)[0] {
			t.Errorf("pushed after %d commands: %+v, %v", after, page, err)
		}
	}
}
