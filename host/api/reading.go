package api

import (
	"context"
	"net/http"
	"time"

	v1 "github.com/deis/logger/host/api/v1"
)

// reading is an answer of /v1, which is sent page by page: it shares turns and memory
// with those of /logs, but for its further pages, whose turns are never kept by one who
// waits for memory: what is being sent must get on.
type reading struct {
	readers *readers
	few     bool
	end     func(done bool) // of the turn; nil without one
	hold    *hold           // nil if it holds nothing yet
	sent    int
	asked   time.Time // since when it waits for its next page
}

// heldPages is what an answer of more than one page holds of /v1: a page, and what was
// made of it.
const heldPages = 2 * pageBytes

// Begin implements [v1.Readers].
func (r *readers) Begin(ctx context.Context, few bool) (v1.Reading, error) {
	turns := r.largeTurns
	if few {
		turns = r.smallTurns
	}
	end, err := turns.take(ctx)
	if err != nil {
		return nil, err
	}
	g := &reading{readers: r, few: few, end: end}
	if few {
		return g, nil
	}
	g.hold = r.largeBytes.open()
	if err := g.hold.grow(ctx, heldPages); err != nil {
		g.Close()
		return nil, err
	}
	g.hold.gathered()
	return g, nil
}

// Done implements [v1.Reading].
func (g *reading) Done(bytes int) bool {
	g.over(true)
	if !g.few {
		if g.hold != nil {
			g.hold.paused(g.asked)
		}
		return true
	}
	if g.hold != nil {
		g.hold.close()
	}
	var ok bool
	g.hold, ok = g.readers.smallBytes.try(bytes)
	return ok
}

// over ends the turn.
func (g *reading) over(done bool) {
	if g.end != nil {
		g.end(done)
		g.end = nil
	}
}

// Again implements [v1.Reading].
func (g *reading) Again(ctx context.Context) error {
	g.asked = time.Now()
	end, err := g.readers.pageTurns.take(ctx)
	g.end = end
	return err
}

// Extend implements [v1.Reading]. Few lines have the time that every answer has.
func (g *reading) Extend(control *http.ResponseController, bytes int) bool {
	if g.few || g.hold == nil {
		return false
	}
	if g.hold.control == nil {
		g.hold.send(control)
	}
	g.hold.step(g.sent, bytes)
	g.sent += bytes
	return true
}

// Close implements [v1.Reading].
func (g *reading) Close() {
	g.over(false)
	if g.hold != nil {
		g.hold.close()
		g.hold = nil
	}
}
