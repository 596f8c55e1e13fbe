package nsq

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// minRetry and maxRetry bound the wait between two attempts to connect. It doubles each time.
const (
	minRetry = 100 * time.Millisecond
	maxRetry = 3 * time.Second
)

// The reasons that check gives at first.
var (
	errNotStarted = errors.New("waiting for the host, which takes messages once storage is ready")
	errConnecting = errors.New("connecting")
)

// peer keeps a connection to one nsqd.
type peer struct {
	addr    string
	pool    *pool
	outages limiter
	cancel  context.CancelFunc

	// The pool's mu guards these.
	http   string // its HTTP side; empty if it is not known
	conn   *conn  // nil while there is no connection
	reason error  // why there is none
	wanted bool   // else it ends with its connection
}

// run connects, and connects again whenever the connection is lost, until ctx ends or the peer is
// not wanted any more. It leaves the connection open for answers; the pool closes it.
func (p *peer) run(ctx context.Context, f *flow) {
	wait := minRetry
	modest := false // leaves out what nsqd may be configured to refuse
	for ctx.Err() == nil {
		c, err := p.pool.shake.dial(ctx, p.addr, modest)
		p.pool.measured.dials.Count(err)
		if err == nil {
			since := time.Now()
			c.flow, c.events = f, p.pool
			if !p.pool.up(ctx, p, c) {
				_ = c.raw.Close() // it has no goroutines yet
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-c.broken:
				err = c.cause
			}
			if time.Since(since) > maxRetry {
				wait = minRetry
			}
		}
		if ctx.Err() != nil || !p.pool.down(p, err) {
			return
		}
		if n, ok := p.outages.allow(time.Now()); ok {
			p.pool.logger.Warn("no connection to nsqd: trying again", "address", p.addr, "error", err, "lines_left_out", n)
		}
		var refused *refusedError
		if errors.As(err, &refused) && refused.code() == "E_BAD_BODY" {
			modest = !modest // if that was not the cause, the error comes again
		}
		if !sleep(ctx, jittered(wait)) {
			return
		}
		wait = min(2*wait, maxRetry)
	}
}

// jittered returns a random time from half of d to d, so that what ended together does not come
// back together.
func jittered(d time.Duration) time.Duration {
	return d/2 + rand.N(d/2) //nolint:gosec // spreads load, no secret
}

// sleep waits for d, and returns false if ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
