package main

import (
	"context"
	"fmt"
	"time"
)

// crowdApps is the number of apps that a crowd follows.
const crowdApps = 100

// measureCrowd measures the live tail with very many followers of many apps. Each app prints at the
// low rate.
func measureCrowd(ctx context.Context, r *rig) error {
	for _, storage := range r.options.storages {
		if err := r.crowd(ctx, storage); err != nil {
			return fmt.Errorf("%s: %w", storage, err)
		}
	}
	return nil
}

func (r *rig) crowd(ctx context.Context, storage string) error {
	l, q, stop, err := r.startAll(ctx, storage, 0, map[string]string{"LOGGER_MAX_FOLLOWERS": "100000", "LOGGER_MAX_CONNECTIONS": "12000"})
	if err != nil {
		return err
	}
	defer stop()
	values, err := r.followCrowd(ctx, l, q, r.options.size.crowd)
	if err != nil {
		return err
	}
	r.figures.add("crowd", storage+": p50", ms, quantile(values, 0.5))
	r.figures.add("crowd", storage+": p99", ms, quantile(values, 0.99))
	peak, err := l.peak("host", "nsq plugin", "storage plugin")
	r.figures.add("crowd", storage+": peak of host + plugins", megabyte, peak)
	return err
}

func crowdApp(i int) string { return fmt.Sprintf("crowd-%d", i%crowdApps) }

// followCrowd lets n clients follow the apps. Every client must get every line, once and in order.
func (r *rig) followCrowd(ctx context.Context, l *logger, q *queue, n int) ([]time.Duration, error) {
	return r.followAll(ctx, l, q, n, crowdApp, func(ctx context.Context, p *publisher, lines int) (func(i, line int) time.Time, error) {
		sent, err := publishEach(ctx, p, lines)
		return func(i, line int) time.Time { return sent[i%crowdApps][line] }, err
	})
}

// publishEach publishes lines of each of the crowd's apps at the low rate, ten apps at a time,
// and returns when each line was sent.
func publishEach(ctx context.Context, p *publisher, lines int) (sent [][]time.Time, err error) {
	const together = 10 // apps
	sent = make([][]time.Time, crowdApps)
	tick := time.NewTicker(time.Second / linesPerSecond * together / crowdApps)
	defer tick.Stop()
	for i := range lines {
		for app := 0; app < crowdApps; app += together {
			select {
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			case <-tick.C:
			}
			bodies := make([][]byte, together)
			for j := range bodies {
				token := followToken(i)
				bodies[j] = appMessage(crowdApp(app+j), i, token+text(i, lineBytes-len(token)))
				sent[app+j] = append(sent[app+j], time.Now())
			}
			if err := p.publish(bodies...); err != nil {
				return nil, err
			}
		}
	}
	return sent, nil
}
