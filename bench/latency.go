package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// linesPerSecond is the low rate at which latency is measured.
	linesPerSecond = 20
	// pollPause is the pause of an asker between two requests. It asks only while a line is on its
	// way.
	pollPause = 300 * time.Microsecond
	// visibleTimeout bounds the wait for one line.
	visibleTimeout = 10 * time.Second
)

// measureLatency measures the time from before a line is written to nsqd until an answer of the
// logger contains it.
func measureLatency(ctx context.Context, r *rig) error {
	for _, storage := range r.options.storages {
		values, err := r.latency(ctx, storage)
		if err != nil {
			return err
		}
		r.figures.add("latency", storage+": p50", ms, quantile(values, 0.5))
		r.figures.add("latency", storage+": p99", ms, quantile(values, 0.99))
	}
	return nil
}

func (r *rig) latency(ctx context.Context, storage string) ([]time.Duration, error) {
	l, q, stop, err := r.startAll(ctx, storage, 0)
	if err != nil {
		return nil, err
	}
	defer stop()
	p, err := newPublisher(ctx, q.TCP)
	if err != nil {
		return nil, err
	}
	defer p.close()
	a, err := newAsker(ctx, l.url, 64<<10)
	if err != nil {
		return nil, err
	}
	defer a.close()

	const warmUp = linesPerSecond
	values := make([]time.Duration, 0, r.options.size.latency)
	tick := time.NewTicker(time.Second / linesPerSecond)
	defer tick.Stop()
	for i := range r.options.size.latency + warmUp {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
		took, err := visible(ctx, p, a, i)
		if err != nil {
			return nil, err
		}
		if i >= warmUp {
			values = append(values, took)
		}
	}
	return values, nil
}

// visible publishes a line and asks until an answer contains it.
func visible(ctx context.Context, p *publisher, a *asker, i int) (time.Duration, error) {
	app, token := appName(i%apps), fmt.Appendf(nil, "latency-%d.", i)
	body := appMessage(app, i, string(token)+text(i, lineBytes-len(token)))
	start := time.Now()
	// Send before the first request, and on this goroutine: another would first have to be woken.
	if err := p.send(body); err != nil {
		return 0, err
	}
	for {
		answer, err := a.ask("/logs/" + app + "?log_lines=1")
		if err == nil && bytes.Contains(answer, token) {
			return time.Since(start), p.ok()
		}
		switch {
		case err != nil:
			return 0, err
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case time.Since(start) > visibleTimeout:
			return 0, errors.Join(fmt.Errorf("a line is not visible after %s", visibleTimeout), p.ok())
		}
		rest(pollPause)
	}
}
