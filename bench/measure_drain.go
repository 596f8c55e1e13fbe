package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// measureDrain drains by the logger with each storage, and by the ceilings. Ratios to go-nsq use
// the faster of its two drains.
func measureDrain(ctx context.Context, r *rig) error {
	s := workload{apps: apps, lineBytes: lineBytes, messages: r.options.size.drain}
	raw, err := r.drain(ctx, s, r.byRole(ctx, part{Role: "raw"}), nil)
	if err != nil {
		return err
	}
	r.addDrain("drain", "raw reader", raw)
	gonsq, gonsqCPU := 0.0, 0.0 // the better of both
	for _, handlers := range []int{1, manyHandlers} {
		d, err := r.drain(ctx, s, r.byRole(ctx, part{Role: "gonsq", Handlers: handlers}), nil)
		if err != nil {
			return err
		}
		r.addDrain("drain", fmt.Sprintf("go-nsq, handlers: %d", handlers), d)
		if d.rate > gonsq {
			gonsq, gonsqCPU = d.rate, d.cpu["consumer"]
		}
	}
	alone, err := r.measureAppend(ctx, s.messages)
	if err != nil {
		return err
	}
	for _, storage := range r.options.storages {
		d, err := r.drainByLogger(ctx, s, storage, func(c *consumer) error {
			r.figures.add("drain", storage+": an append", entries, c.batch)
			return r.addPeaks(storage, c)
		})
		if err != nil {
			return err
		}
		r.addDrain("drain", storage, d)
		r.figures.add("drain", storage+": host + plugins", cpu, d.ours())
		// Processor time is compared with that of the ceilings, so that the machine's speed does
		// not matter.
		r.figures.add("drain", storage+": CPU of host + plugins ÷ go-nsq consumer", ratio, d.ours()/gonsqCPU)
		if used, ok := d.cpu["Redis"]; ok {
			r.figures.add("drain", storage+": CPU of Redis ÷ Redis fed alone", ratio, used/alone)
		}
		r.figures.add("drain", storage+" ÷ go-nsq", ratio, d.rate/gonsq)
		r.figures.add("drain", storage+" ÷ raw reader", ratio, d.rate/raw.rate)
	}
	return nil
}

// drainByLogger drains by a logger with a backend of its own.
func (r *rig) drainByLogger(ctx context.Context, s workload, storage string, look func(*consumer) error) (drained, error) {
	b, err := r.startBackend(ctx, storage)
	if err != nil {
		return drained{}, err
	}
	defer b.stop()
	return r.drain(ctx, s, r.byLogger(ctx, b), look)
}

func (r *rig) addDrain(measure, name string, d drained) {
	r.figures.add(measure, name, perSec, d.rate)
	for _, process := range slices.Sorted(maps.Keys(d.cpu)) {
		r.figures.add(measure, name+": "+process, cpu, d.cpu[process])
	}
}

// addPeaks notes the peak memory of each process. The memory storage keeps its lines in its arena,
// which is mapped and never shrinks.
func (r *rig) addPeaks(storage string, c *consumer) error {
	peak := make(map[string]float64)
	for _, name := range slices.Sorted(maps.Keys(c.pids)) {
		bytes, err := status(c.pids[name], "VmHWM")
		if err != nil {
			return err
		}
		peak[name] = bytes / 1e6
		r.figures.add("drain", storage+": peak of "+name, megabyte, peak[name])
	}
	kept, err := mapped(c.pids["storage plugin"], "memory.arena")
	if err != nil {
		return err
	}
	r.figures.add("drain", storage+": peak of host + nsq plugin", megabyte, peak["host"]+peak["nsq plugin"])
	r.figures.add("drain", storage+": peak of storage plugin above what it keeps", megabyte, peak["storage plugin"]-kept/1e6)
	return nil
}

// measureAppend feeds Redis alone, as well as possible. It returns the processor time that Redis
// takes, in seconds per million lines.
func (r *rig) measureAppend(ctx context.Context, lines int) (float64, error) {
	s, err := r.startRedis(ctx)
	if err != nil {
		return 0, err
	}
	defer s.kill()
	before, err := cpuSeconds(s.pid())
	if err != nil {
		return 0, err
	}
	var took appended
	child, err := start(ctx, part{Role: "append", Redis: s.addr, Messages: lines}, &took)
	if err != nil {
		return 0, err
	}
	defer child.stop()
	after, err := times(map[string]int{"Redis": s.pid(), "client": child.pid()})
	if err != nil {
		return 0, err
	}
	millions := float64(lines) / 1e6
	r.figures.add("drain", "Redis fed alone", perSec, float64(lines)/took.Seconds)
	used := (after["Redis"] - before) / millions
	r.figures.add("drain", "Redis fed alone: Redis", cpu, used)
	r.figures.add("drain", "Redis fed alone: client", cpu, after["client"]/millions)
	return used, nil
}
