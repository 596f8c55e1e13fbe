package main

import (
	"context"
	"errors"
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
	b, err := r.startBackend(ctx, storage)
	if err != nil {
		return err
	}
	defer b.stop()
	q, err := r.startQueue(ctx, 0)
	if err != nil {
		return err
	}
	defer q.stop()
	l, err := r.startLogger(ctx, b, q, map[string]string{"LOGGER_MAX_FOLLOWERS": "100000", "LOGGER_MAX_CONNECTIONS": "12000"})
	if err != nil {
		return err
	}
	defer l.stop()
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
	const warmUp = linesPerSecond
	lines := warmUp + int(r.options.size.follow.Seconds()*linesPerSecond)
	ctx, cancel := context.WithCancelCause(ctx)
	all := make([]*follower, 0, n)
	defer func() {
		cancel(nil)
		for _, f := range all {
			<-f.done
		}
	}()
	for i := range n {
		f, err := newFollower(ctx, l.url, crowdApp(i))
		if err != nil {
			return nil, err
		}
		all = append(all, f)
		go f.run(lines, cancel)
	}
	p, err := newPublisher(ctx, q.TCP)
	if err != nil {
		return nil, err
	}
	defer p.close()
	sent, err := publishEach(ctx, p, lines)
	if err != nil {
		return nil, errors.Join(err, context.Cause(ctx))
	}
	late := time.NewTimer(visibleTimeout)
	defer late.Stop()
	values := make([]time.Duration, 0, n*(lines-warmUp))
	for i, f := range all {
		select {
		case <-f.done:
		case <-late.C:
			cancel(fmt.Errorf("follower %d has not got all lines %s after the last", i, visibleTimeout))
		}
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		for line := warmUp; line < lines; line++ {
			values = append(values, f.arrived[line].Sub(sent[i%crowdApps][line]))
		}
	}
	return values, nil
}

// publishEach publishes lines of each of the crowd's apps at the low rate, one app after the other,
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
