package host

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/deis/logger/sdk"
)

// gatePatience bounds how long a plugin with good settings waits for the others: a plugin that does
// not come up must not delay the rest for long.
const gatePatience = 2 * time.Second

// gate lets nothing start before the settings of all plugins are checked: a bad value is refused
// before a plugin opens its backend or the host serves a request.
type gate struct {
	mu      sync.Mutex
	left    int
	refused bool
	open    chan struct{} // closed once all have arrived and none was refused
}

func newGate(plugins int) *gate { return &gate{left: plugins, open: make(chan struct{})} }

// arrive records the result of checking one plugin's settings. If they are good, it waits for the
// other plugins.
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

// wait returns when the gate opens, at the latest after gatePatience. If a setting was refused, it
// waits for ctx instead: the host is about to end.
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
