package main

import (
	"context"
	"path/filepath"
	"strings"
)

// measureBoundary drains by the same parts in one process, and holds the drain by the
// logger of this run against it.
func measureBoundary(ctx context.Context, r *rig) error {
	s := shape{apps: apps, lineBytes: lineBytes, messages: r.options.size.drain}
	for _, storage := range storages {
		apart, ok := r.rates[storage]
		delete(r.rates, storage) // it is this run's
		if !ok {
			d, err := r.drainByLogger(ctx, s, storage, nil)
			if err != nil {
				return err
			}
			apart = d.rate
		}
		together, err := r.drainInProcess(ctx, s, storage)
		if err != nil {
			return err
		}
		r.addDrain("boundary", storage+" in one process", together)
		r.figures.add("boundary", storage+": out-of-process ÷ in-process", ratio, apart/together.rate)
	}
	return nil
}

func (r *rig) drainInProcess(ctx context.Context, s shape, storage string) (drained, error) {
	b, err := r.startBackend(ctx, storage)
	if err != nil {
		return drained{}, err
	}
	defer b.stop()
	dir, err := r.runDir()
	if err != nil {
		return drained{}, err
	}
	p := part{Role: "in-process", Storage: storage, Dir: dir}
	if file := r.options.cpuProfile; file != "" {
		ext := filepath.Ext(file)
		p.CPUProfile = strings.TrimSuffix(file, ext) + "-" + storage + ext
	}
	if b.redis != nil {
		p.Redis = b.redis.addr
	}
	return r.drain(ctx, s, r.byRole(ctx, p), nil)
}
