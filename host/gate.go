package host

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/deis/logger/sdk"
)

// gatePatience is how long a plugin whose settings are good waits for the others: one
// that does not come up must not hold up the rest for long.
const gatePatience = 2 * time.Second

// gate keeps anything from starting before all plugins' settings were checked: a bad
// value is refused before a plugin opens its backend or a request is served.
type gate struct {
	mu      sync.Mutex
	left    int
	refused bool
	open    chan struct{} // closed once all arrived, and none was refused
}

func newGate(plugins int) *gate { return &gate{left: plugins, open: make(chan struct{})} }

// arrive says how the check of one plugin's settings went, and waits for the others'
// unless it went wrong.
func (g *gate) arrive(ctx context.Context, err error) {
	g.mu.Lock()
	g.refused = g.refused || errors.Is(err, sdk.ErrInvalid)
	g.left--
	if g.left == 0 && !g.refused {
		close(g.open)
	}
	g.mu.Unlock()
	if err == nil {
		g.wait(ctx)
	}
}

// wait returns when the gate is open, at the latest after gatePatience. Behind a refused
// setting it waits for ctx: the host is about to end.
func (g *gate) wait(ctx context.Context) {
	t := time.NewTimer(gatePatience)
	defer t.Stop()
	select {
	case <-g.open:
		return
	case <-ctx.Done():
		return
	case <-t.C:
	}
	g.mu.Lock()
	refused := g.refused
	g.mu.Unlock()
	if refused {
		<-ctx.Done()
	}
}
