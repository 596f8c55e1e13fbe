package main

import (
	"context"
	"fmt"
)

// measureGrowth drains with more and more apps, and with longer and longer lines. What a message
// costs the logger's processes must not depend on the number of apps. It may grow with the lines
// only because there are more bytes to move.
func measureGrowth(ctx context.Context, r *rig) error {
	for _, storage := range r.options.storages {
		if err := r.growth(ctx, storage); err != nil {
			return err
		}
	}
	return nil
}

func (r *rig) growth(ctx context.Context, storage string) error {
	// The cost is divided by nsqd's for the same messages, because the machine's speed differs from
	// drain to drain.
	cost := func(name string, s workload) (float64, error) {
		d, err := r.drainByLogger(ctx, s, storage, nil)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		r.figures.add("growth", storage+": "+name, micros, d.ours()) // seconds per million are µs each
		r.figures.add("growth", storage+": "+name, perSec, d.rate)
		return d.ours() / d.cpu["nsqd"], nil
	}
	byApps := make(map[int]float64)
	for _, n := range []int{10, 100, 1000, 10_000} {
		var err error
		byApps[n], err = cost(fmt.Sprintf("%d apps", n), workload{apps: n, lineBytes: lineBytes, messages: r.options.size.growth})
		if err != nil {
			return err
		}
	}
	r.figures.add("growth", storage+": 10000 apps ÷ 10 apps", ratio, byApps[10_000]/byApps[10])
	for _, size := range []int{50, 200, 2 << 10, 20 << 10} {
		s := workload{apps: apps, lineBytes: size, messages: min(r.options.size.growth, r.options.size.growthMB<<20/size)}
		if _, err := cost(fmt.Sprintf("lines of %d bytes", size), s); err != nil {
			return err
		}
	}
	return nil
}
