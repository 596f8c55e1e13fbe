package main

import (
	"context"
	"time"
)

// measureStart measures how long the logger takes from its start until it is ready. Its servers run
// already.
func measureStart(ctx context.Context, r *rig) error {
	for _, storage := range r.options.storages {
		var times []float64
		for range r.options.size.starts {
			took, err := r.startOnce(ctx, storage)
			if err != nil {
				return err
			}
			times = append(times, millis(took))
		}
		r.figures.add("start", storage+": until ready", ms, median(times))
	}
	return nil
}

func (r *rig) startOnce(ctx context.Context, storage string) (time.Duration, error) {
	b, err := r.startBackend(ctx, storage)
	if err != nil {
		return 0, err
	}
	defer b.stop()
	q, err := r.startQueue(ctx, 0)
	if err != nil {
		return 0, err
	}
	defer q.stop()
	l, err := r.launchLogger(ctx, b, q)
	if err != nil {
		return 0, err
	}
	defer l.stop()
	if err := l.waitReady(ctx, time.Millisecond); err != nil {
		return 0, err
	}
	return time.Since(l.began), nil
}
