package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
)

// measureBoundary drains by the logger, and by the same parts with the storage called in process.
// They take turns, twice each, in an order that cancels out a machine that gets steadily faster or
// slower. Each drain has half the messages, so that two make a whole one. A drain with no process
// boundary at all is shown beside them.
func measureBoundary(ctx context.Context, r *rig) error {
	s := workload{apps: apps, lineBytes: lineBytes, messages: r.options.size.drain / 2}
	for _, storage := range r.options.storages {
		var apart, called float64 // seconds
		for _, inProcess := range []bool{false, true, true, false} {
			var d drained
			var err error
			if inProcess {
				d, err = r.drainInProcess(ctx, s, storage, r.binaries)
				called += d.seconds
			} else {
				d, err = r.drainByLogger(ctx, s, storage, nil)
				apart += d.seconds
			}
			if err != nil {
				return err
			}
		}
		r.figures.add("boundary", storage+" called in the host's process", perSec, 2*float64(s.messages)/called)
		r.figures.add("boundary", storage+" in a process of its own", perSec, 2*float64(s.messages)/apart)
		r.figures.add("boundary", storage+": out-of-process ÷ in-process", ratio, called/apart)
		together, err := r.drainInProcess(ctx, s, storage, "")
		if err != nil {
			return err
		}
		r.addDrain("boundary", storage+" and aggregator in one process", together)
	}
	return nil
}

// drainInProcess calls the storage's code. If binaries is empty, it calls the aggregator's code
// too.
func (r *rig) drainInProcess(ctx context.Context, s workload, storage, binaries string) (d drained, err error) {
	b, err := r.startBackend(ctx, storage)
	if err != nil {
		return drained{}, err
	}
	defer b.stop()
	dir, err := r.runDir()
	if err != nil {
		return drained{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }() // the arena takes memory
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
