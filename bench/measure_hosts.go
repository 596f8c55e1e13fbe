package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// measureHosts drains by one host, and by two that share the channel and a Redis. Afterwards, each
// app's log has to hold its newest lines, in the order of publishing.
func measureHosts(ctx context.Context, r *rig) error {
	if !slices.Contains(r.options.storages, "redis") {
		return nil
	}
	s := workload{apps: apps, lineBytes: lineBytes, messages: r.options.size.drain}
	rates := map[int]float64{}
	for _, hosts := range []int{1, 2} {
		b, err := r.startBackend(ctx, "redis")
		if err != nil {
			return err
		}
		d, err := r.drain(ctx, s, r.byHosts(ctx, b, hosts), nil)
		b.stop()
		if err != nil {
			return err
		}
		r.figures.add("hosts", fmt.Sprintf("redis: hosts: %d", hosts), perSec, d.rate)
		rates[hosts] = d.rate
	}
	r.figures.add("hosts", "redis: 2 hosts ÷ 1 host", ratio, rates[2]/rates[1])
	return nil
}

// byHosts drains by n loggers, and checks what they stored.
func (r *rig) byHosts(ctx context.Context, b *backend, n int) func(q *queue) (*consumer, error) {
	return func(q *queue) (_ *consumer, err error) {
		var hosts []*logger
		stop := func() {
			for _, l := range hosts {
				l.stop()
			}
		}
		defer func() {
			if err != nil {
				stop()
			}
		}()
		c := &consumer{stop: stop, pids: map[string]int{"Redis": b.redis.pid()}}
		for i := range n {
			l, err := r.startLogger(ctx, b, q)
			if err != nil {
				return nil, err
			}
			hosts = append(hosts, l)
			for name, pid := range l.pids() {
				c.pids[name+" of host "+strconv.Itoa(i+1)] = pid
			}
		}
		c.ended = func() error {
			for _, l := range hosts {
				if err := l.ended(); err != nil {
					return err
				}
			}
			return nil
		}
		c.check = func(ctx context.Context, messages int) error {
			stored := map[int]float64{}
			for i, l := range hosts {
				m, err := l.metrics(ctx)
				if err != nil {
					return err
				}
				stored[i] = m["logger_messages_stored_total"]
			}
			sum := 0.0
			for n := range maps.Values(stored) {
				sum += n
			}
			if sum != float64(messages) || min(stored[0], stored[n-1]) == 0 {
				return fmt.Errorf("of %d messages the hosts stored %v", messages, stored)
			}
			for app := range apps {
				if err := hosts[n-1].exact(ctx, app, messages); err != nil {
					return err
				}
			}
			return nil
		}
		return c, nil
	}
}

// exact fails unless an app's log has the newest lines of so many messages, in order.
func (l *logger) exact(ctx context.Context, app, messages int) error {
	body, err := get(ctx, l.url+logsPath(app, -1))
	if err != nil {
		return err
	}
	last := messages - 1 - (messages-1-app)%apps
	want := last - (min(keptLines, (last-app)/apps+1)-1)*apps
	lines := 0
	for line := range bytes.Lines(body) {
		_, after, _ := bytes.Cut(line, []byte(" GET /items/"))
		number, _, _ := bytes.Cut(after, []byte(" "))
		if string(number) != strconv.Itoa(want) {
			return fmt.Errorf("app %d: line %d of its log is number %s, want %d", app, lines, number, want)
		}
		want += apps
		lines++
	}
	if want != last+apps {
		return fmt.Errorf("app %d: its log ends before number %d", app, want)
	}
	return nil
}
