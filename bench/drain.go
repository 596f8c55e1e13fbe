package main

import (
	"context"
	"fmt"
	"time"
)

// drainTimeout bounds one drain.
const drainTimeout = 3 * time.Minute

// consumer drains a queue. It is connected while the queue is paused.
type consumer struct {
	// pids names the processes whose processor time counts.
	pids map[string]int
	// check, if set, fails unless all messages were handled as they should be.
	check func(ctx context.Context, messages int) error
	// batch is the mean number of entries of an append. check sets it.
	batch float64
	stop  func()
	ended func() error
}

// drained holds the result of a drain.
type drained struct {
	seconds float64
	rate    float64            // messages a second
	cpu     map[string]float64 // seconds per million messages, by process
}

// drain fills a paused queue and lets begin connect a consumer to it. It measures from the end of
// the pause until nothing is queued or in flight, that is, until nsqd has the last acknowledgement.
// If look is set, drain calls it then, before the consumer stops.
func (r *rig) drain(ctx context.Context, s workload, begin func(q *queue) (*consumer, error), look func(*consumer) error) (d drained, err error) {
	q, err := r.startQueue(ctx, s.messages)
	if err != nil {
		return d, err
	}
	defer q.stop()
	if err := q.pause(ctx); err != nil {
		return d, err
	}
	if err := q.fill(ctx, s, 0); err != nil {
		return d, err
	}
	c, err := begin(q)
	if err != nil {
		return d, err
	}
	defer c.stop()
	if err := q.waitConsumer(ctx); err != nil {
		return d, err
	}
	c.pids["nsqd"] = q.pid()
	before, err := times(c.pids)
	if err != nil {
		return d, err
	}
	start := time.Now()
	if err := q.unpause(ctx); err != nil {
		return d, err
	}
	if err := q.waitEmpty(ctx, c.ended); err != nil {
		return d, err
	}
	d.seconds = time.Since(start).Seconds()
	after, err := times(c.pids)
	if err != nil {
		return d, err
	}
	if c.check != nil {
		if err := c.check(ctx, s.messages); err != nil {
			return d, err
		}
	}
	d.rate = float64(s.messages) / d.seconds
	d.cpu = make(map[string]float64)
	for name := range after {
		d.cpu[name] = (after[name] - before[name]) / float64(s.messages) * 1e6
	}
	if look != nil {
		err = look(c)
	}
	return d, err
}

// waitEmpty asks nsqd rarely while many messages are left, and often at the end.
func (q *queue) waitEmpty(ctx context.Context, ended func() error) error {
	deadline := time.Now().Add(drainTimeout)
	for {
		c, err := q.counts(ctx)
		if err != nil {
			return err
		}
		if c.left() == 0 {
			if c.Requeued+c.TimedOut > 0 {
				return fmt.Errorf("%d messages were requeued and %d timed out: the drain was disturbed", c.Requeued, c.TimedOut)
			}
			return nil
		}
		if err := ended(); err != nil {
			return fmt.Errorf("with %d messages left: %w", c.left(), err)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d messages are left after %s", c.left(), drainTimeout)
		}
		pause := 50 * time.Millisecond
		if c.left() < 20_000 {
			pause = 2 * time.Millisecond
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

func times(pids map[string]int) (map[string]float64, error) {
	out := make(map[string]float64)
	for name, pid := range pids {
		seconds, err := cpuSeconds(pid)
		if err != nil {
			return nil, fmt.Errorf("processor time of %s: %w", name, err)
		}
		out[name] = seconds
	}
	return out, nil
}

// byRole drains by this program in another role.
func (r *rig) byRole(ctx context.Context, p part) func(q *queue) (*consumer, error) {
	return func(q *queue) (*consumer, error) {
		p.NSQD = q.TCP
		child, err := start(ctx, p, nil)
		if err != nil {
			return nil, err
		}
		return &consumer{pids: map[string]int{"consumer": child.pid()}, stop: child.stop, ended: child.ended}, nil
	}
}

// byLogger drains by the logger, and checks its counters.
func (r *rig) byLogger(ctx context.Context, b *backend) func(q *queue) (*consumer, error) {
	return func(q *queue) (*consumer, error) {
		l, err := r.startLogger(ctx, b, q)
		if err != nil {
			return nil, err
		}
		c := &consumer{stop: l.stop, ended: l.ended, pids: l.pids()}
		if b.redis != nil {
			c.pids["Redis"] = b.redis.pid()
		}
		c.check = func(ctx context.Context, messages int) error {
			m, err := l.metrics(ctx)
			if err != nil {
				return err
			}
			if stored := m["logger_messages_stored_total"]; stored != float64(messages) {
				return fmt.Errorf("of %d messages %v are stored", messages, stored)
			}
			c.batch = m["logger_batch_entries_sum"] / m["logger_batch_entries_count"]
			return nil
		}
		return c, nil
	}
}

// ours returns the processor time of the logger's own processes.
func (d drained) ours() float64 {
	return d.cpu["host"] + d.cpu["nsq plugin"] + d.cpu["storage plugin"]
}
