package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// idleFollowers is the number of followers whose cost is measured while their apps print nothing.
const idleFollowers = 1000

// measureFollowers measures the live tail: how soon a line reaches all followers of its app, and
// what followers cost while nothing is printed.
func measureFollowers(ctx context.Context, r *rig) error {
	for _, storage := range r.options.storages {
		err := r.followers(ctx, storage)
		if errors.Is(err, errNoTail) {
			r.figures.note("followers: not there: " + err.Error())
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", storage, err)
		}
	}
	return nil
}

func (r *rig) followers(ctx context.Context, storage string) error {
	l, q, stop, err := r.startAll(ctx, storage, 0)
	if err != nil {
		return err
	}
	defer stop()
	if err := r.idleFollowers(ctx, storage, l); err != nil {
		return err
	}
	for _, n := range r.options.size.followers {
		values, err := r.follow(ctx, l, q, n)
		if err != nil {
			return fmt.Errorf("%d followers: %w", n, err)
		}
		name := fmt.Sprintf("%s: %d followers", storage, n)
		r.figures.add("followers", name+": p50", ms, quantile(values, 0.5))
		r.figures.add("followers", name+": p99", ms, quantile(values, 0.99))
	}
	return nil
}

// follow lets n clients follow one app, publishes lines at the low rate, and returns how long each
// line took to each client. Every client must get every line, once and in order.
func (r *rig) follow(ctx context.Context, l *logger, q *queue, n int) ([]time.Duration, error) {
	app := fmt.Sprintf("followed-%d", n)
	return r.followAll(ctx, l, q, n, func(int) string { return app }, func(ctx context.Context, p *publisher, lines int) (func(i, line int) time.Time, error) {
		sent, err := publishSlowly(ctx, p, app, lines)
		return func(_, line int) time.Time { return sent[line] }, err
	})
}

// followAll has n clients follow the app of each, publishes lines, and tells each line's way to
// each client. publish returns when it sent a line of the app that client i follows.
func (r *rig) followAll(ctx context.Context, l *logger, q *queue, n int, app func(i int) string,
	publish func(ctx context.Context, p *publisher, lines int) (func(i, line int) time.Time, error),
) ([]time.Duration, error) {
	const warmUp = linesPerSecond
	lines := warmUp + int(r.options.size.follow.Seconds()*linesPerSecond)
	ctx, cancel := context.WithCancelCause(ctx)
	all := make([]*follower, 0, n)
	defer func() {
		cancel(nil)
		for _, f := range all {
			<-f.done
		}
	}()
	for i := range n {
		f, err := newFollower(ctx, l.url, app(i))
		if err != nil {
			return nil, err
		}
		all = append(all, f)
		go f.run(lines, cancel)
	}
	p, err := newPublisher(ctx, q.TCP)
	if err != nil {
		return nil, err
	}
	defer p.close()
	sent, err := publish(ctx, p, lines)
	if err != nil {
		return nil, errors.Join(err, context.Cause(ctx))
	}
	late := time.NewTimer(visibleTimeout)
	defer late.Stop()
	values := make([]time.Duration, 0, n*(lines-warmUp))
	for i, f := range all {
		select {
		case <-f.done:
		case <-late.C:
			cancel(fmt.Errorf("follower %d has not got all lines %s after the last", i, visibleTimeout))
		}
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		for line := warmUp; line < lines; line++ {
			values = append(values, f.arrived[line].Sub(sent(i, line)))
		}
	}
	return values, nil
}

// publishSlowly publishes lines of the app, and returns when each was sent.
func publishSlowly(ctx context.Context, p *publisher, app string, lines int) ([]time.Time, error) {
	tick := time.NewTicker(time.Second / linesPerSecond)
	defer tick.Stop()
	sent := make([]time.Time, lines)
	for i := range lines {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-tick.C:
		}
		token := followToken(i)
		body := appMessage(app, i, token+text(i, lineBytes-len(token)))
		sent[i] = time.Now()
		if err := p.publish(body); err != nil {
			return nil, err
		}
	}
	return sent, nil
}

// idleFollowers compares the logger's processes with and without followers of the usual number of
// apps.
func (r *rig) idleFollowers(ctx context.Context, storage string, l *logger) error {
	n := min(idleFollowers, slices.Max(r.options.size.followers))
	before, err := r.idle(ctx, l)
	if err != nil {
		return err
	}
	followCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	for i := range n {
		f, err := newFollower(followCtx, l.url, fmt.Sprintf("idle-%d", i%apps))
		if err != nil {
			return err
		}
		defer f.close()
	}
	with, err := r.idle(ctx, l)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s: %d idle followers", storage, n)
	r.figures.add("followers", name+": memory", megabyte, (with.bytes-before.bytes)/1e6)
	r.figures.add("followers", name+": CPU", percent, with.cpu*100)
	r.figures.add("followers", name+": CPU without them", percent, before.cpu*100)
	return nil
}

// idling holds what idle processes use: memory, and processor time as a fraction of one core.
type idling struct{ bytes, cpu float64 }

func (r *rig) idle(ctx context.Context, l *logger) (idling, error) {
	const settle = 3 * time.Second // until earlier work has ended, such as closing connections
	window := max(2*time.Second, r.options.size.idle)
	pids := l.pids()
	if err := pause(ctx, settle); err != nil {
		return idling{}, err
	}
	before, err := times(pids)
	if err != nil {
		return idling{}, err
	}
	start := time.Now()
	if err := pause(ctx, window); err != nil {
		return idling{}, err
	}
	after, err := times(pids)
	if err != nil {
		return idling{}, err
	}
	took := time.Since(start).Seconds()
	var out idling
	for name, pid := range pids {
		bytes, err := status(pid, "VmRSS")
		if err != nil {
			return idling{}, err
		}
		out.bytes += bytes
		out.cpu += (after[name] - before[name]) / took
	}
	return out, nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// errNoTail tells that the logger has no /v1 yet.
var errNoTail = fmt.Errorf("GET /v1/apps/{app}/tail answers %d", http.StatusNotFound)
