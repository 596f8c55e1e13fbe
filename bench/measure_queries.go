package main

import (
	"context"
	"fmt"
	"time"
)

// measureQueries sends queries to the idle logger and, in turn, the same ones to the bare handler.
// Then it sends queries to the logger while it drains.
func measureQueries(ctx context.Context, r *rig) error {
	for _, storage := range r.options.storages {
		if err := r.queries(ctx, storage); err != nil {
			return fmt.Errorf("%s: %w", storage, err)
		}
	}
	return nil
}

func (r *rig) queries(ctx context.Context, storage string) error {
	b, err := r.startBackend(ctx, storage)
	if err != nil {
		return err
	}
	defer b.stop()
	q, err := r.startQueue(ctx, r.options.size.backlog)
	if err != nil {
		return err
	}
	defer q.stop()
	// Every app gets somewhat more lines than are kept.
	s := workload{apps: apps, lineBytes: lineBytes, messages: apps * keptLines * 6 / 5}
	if err := q.fill(ctx, s, 0); err != nil {
		return err
	}
	l, err := r.startLogger(ctx, b, q)
	if err != nil {
		return err
	}
	defer l.stop()
	if err := q.waitEmpty(ctx, l.ended); err != nil {
		return err
	}
	idle, err := r.queriesIdle(ctx, b, l)
	if err != nil {
		return err
	}
	return r.queriesDraining(ctx, q, l, s.messages, storage, idle)
}

// queriesIdle asks the logger and the bare handler in turn, for each kind of query.
func (r *rig) queriesIdle(ctx context.Context, b *backend, l *logger) (map[question]answered, error) {
	p := part{Role: "bare", Logger: l.url}
	if b.redis != nil {
		p.Role, p.Redis = "lrange", b.redis.addr
	}
	var at string
	bare, err := start(ctx, p, &at)
	if err != nil {
		return nil, err
	}
	defer bare.stop()
	idle := make(map[question]answered)
	for _, kind := range questions(r.options.size.clients) {
		name := fmt.Sprintf("%s: idle, %s", b.storage, kind)
		a, err := askAll(ctx, l.url, kind, r.options.size.query)
		if err != nil {
			return nil, err
		}
		ceiling, err := askAll(ctx, at, kind, r.options.size.query)
		if err != nil {
			return nil, fmt.Errorf("bare handler: %w", err)
		}
		r.addAnswered(name, a)
		r.addAnswered(name+", bare handler", ceiling)
		r.figures.add("queries", name+" ÷ bare handler", ratio, a.perSecond/ceiling.perSecond)
		idle[kind] = a
	}
	return idle, nil
}

// queriesDraining asks while the logger drains at full speed. It refills the topic for each kind of
// query.
func (r *rig) queriesDraining(ctx context.Context, q *queue, l *logger, first int, storage string, idle map[question]answered) error {
	s := workload{apps: apps, lineBytes: lineBytes}
	for _, kind := range questions(r.options.size.clients) {
		name := fmt.Sprintf("%s: draining, %s", storage, kind)
		if err := q.pause(ctx); err != nil {
			return err
		}
		before, err := q.counts(ctx)
		if err != nil {
			return err
		}
		s.messages = r.options.size.backlog - before.left()
		if err := q.fill(ctx, s, first); err != nil {
			return err
		}
		first += s.messages
		if before, err = q.counts(ctx); err != nil { // the messages that were in flight at the pause are done by now
			return err
		}
		start := time.Now()
		if err := q.unpause(ctx); err != nil {
			return err
		}
		a, err := askAll(ctx, l.url, kind, r.options.size.query)
		if err != nil {
			return err
		}
		took := time.Since(start).Seconds()
		after, err := q.counts(ctx)
		if err != nil {
			return err
		}
		if after.left() == 0 {
			r.figures.note("queries: a drain ended before the queries beside it did")
		}
		r.addAnswered(name, a)
		r.figures.add("queries", name+": drained meanwhile", perSec, float64(before.left()-after.left())/took)
		r.figures.add("queries", fmt.Sprintf("%s: %s: p99 draining ÷ idle", storage, kind), ratio, a.p99/idle[kind].p99)
	}
	return nil
}

func (r *rig) addAnswered(name string, a answered) {
	r.figures.add("queries", name, perSec, a.perSecond)
	r.figures.add("queries", name+": p50", ms, a.p50)
	r.figures.add("queries", name+": p99", ms, a.p99)
}
