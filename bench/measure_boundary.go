package main

import (
	"context"
	"path/filepath"
	"strings"
)

// measureBoundary drains by the same parts with the storage called in process, and holds
// the drain by the logger of this run against it. How it would be with no boundary at all
// is shown beside it.
func measureBoundary(ctx context.Context, r *rig) error {
	s := shape{apps: apps, lineBytes: lineBytes, messages: r.options.size.drain}
	for _, storage := range r.options.storages {
		apart, ok := r.rates[storage]
		delete(r.rates, storage) // it is this run's
		if !ok {
			d, err := r.drainByLogger(ctx, s, storage, nil)
			if err != nil {
				return err
			}
			apart = d.rate
		}
		called, err := r.drainInProcess(ctx, s, storage, r.binaries)
		if err != nil {
			return err
		}
		r.figures.add("boundary", storage+" called in the host's process", perSec, called.rate)
		r.figures.add("boundary", storage+": out-of-process ÷ in-process", ratio, apart/called.rate)
		together, err := r.drainInProcess(ctx, s, storage, "")
		if err != nil {
			return err
		}
		r.addDrain("boundary", storage+" and aggregator in one process", together)
	}
	return nil
}

// drainInProcess calls the storage, and with no binaries the aggregator too.
func (r *rig) drainInProcess(ctx context.Context, s shape, storage, binaries string) (drained, error) {
	b, err := r.startBackend(ctx, storage)
	if err != nil {
		return drained{}, err
	}
	defer b.stop()
	dir, err := r.runDir()
	if err != nil {
		return drained{}, err
	}
	p := part{Role: "in-process", Storage: storage, Dir: dir, Binaries: binaries}
	if file := r.options.cpuProfile; file != "" && binaries == "" {
		ext := filepath.Ext(file)
		p.CPUProfile = strings.TrimSuffix(file, ext) + "-" + storage + ext
	}
	if b.redis != nil {
		p.Redis = b.redis.addr
	}
	return r.drain(ctx, s, r.byRole(ctx, p), nil)
}
