package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

const (
	// The histogram covers this many apps, whose lines are spread over an hour.
	lokiApps, lokiLines = 100, 1000
	// This many live tails are compared with as many followers. Their lines come at this rate, in
	// lines per second.
	lokiTails, lokiRate = 50, 500
	// histogram is the query that Grafana sends for the graph above the lines.
	histogram = `sum by (level, detected_level) (count_over_time({app=~".+"} | drop __error__ [1m]))`
)

// measureLoki measures Grafana's queries: the histogram of an hour, and live tails compared with
// followers of /v1.
func measureLoki(ctx context.Context, r *rig) error {
	for _, storage := range r.options.storages {
		if err := r.loki(ctx, storage); err != nil {
			return fmt.Errorf("%s: %w", storage, err)
		}
	}
	return nil
}

func (r *rig) loki(ctx context.Context, storage string) error {
	l, q, stop, err := r.startAll(ctx, storage, lokiApps*lokiLines)
	if err != nil {
		return err
	}
	defer stop()
	p, err := newPublisher(ctx, q.TCP)
	if err != nil {
		return err
	}
	defer p.close()
	if err := r.histogram(ctx, storage, l, q, p); err != nil {
		return err
	}
	return r.lokiTails(ctx, storage, l, p)
}

// histogram publishes an hour of lines, and asks for their histogram.
func (r *rig) histogram(ctx context.Context, storage string, l *logger, q *queue, p *publisher) error {
	const lines = lokiApps * lokiLines
	bodies := make([][]byte, 0, lines)
	for i := range lines {
		at := epoch.Add(time.Duration(i) * time.Hour / lines)
		bodies = append(bodies, appMessageAt(appName(i%lokiApps), at, text(i, lineBytes)))
	}
	for some := range slices.Chunk(bodies, lokiLines) {
		if err := p.publish(some...); err != nil {
			return err
		}
	}
	if err := q.waitEmpty(ctx, l.ended); err != nil {
		return err
	}
	a, err := newAsker(ctx, l.url, 64<<10)
	if err != nil {
		return err
	}
	defer a.close()
	values := url.Values{
		"query": {histogram}, "step": {"60"}, "start": {strconv.FormatInt(epoch.UnixNano(), 10)},
		"end": {strconv.FormatInt(epoch.Add(time.Hour).UnixNano(), 10)},
	}
	times := make([]time.Duration, 2*asks)
	for i := range times {
		start := time.Now()
		body, err := a.ask("/loki/api/v1/query_range?" + values.Encode())
		times[i] = time.Since(start)
		if err != nil {
			return err
		}
		if err := checkHistogram(body, lines); err != nil {
			return err
		}
	}
	r.figures.add("loki", storage+": histogram of an hour", ms, quantile(times, 0.5))
	return nil
}

// checkHistogram checks that the points of all series add up to so many lines.
func checkHistogram(body []byte, lines int) error {
	var answer struct {
		Data struct{ Result []struct{ Values [][2]any } }
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	sum := 0
	for _, series := range answer.Data.Result {
		for _, point := range series.Values {
			n, err := strconv.Atoi(fmt.Sprint(point[1]))
			if err != nil {
				return err
			}
			sum += n
		}
	}
	if sum != lines {
		return fmt.Errorf("the histogram has %d lines, want %d: %.300s", sum, lines, body)
	}
	return nil
}

// lokiTails measures the processor time of host and plugins while live tails get lines, and while
// as many followers get them.
func (r *rig) lokiTails(ctx context.Context, storage string, l *logger, p *publisher) error {
	lines := int(r.options.size.follow.Seconds() * lokiRate)
	used := map[string]float64{}
	for _, kind := range []string{"followers", "live tails"} {
		cpu, err := r.tailed(ctx, l, p, kind == "live tails", lines)
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		used[kind] = cpu
		r.figures.add("loki", fmt.Sprintf("%s: %d %s: CPU per line and reader", storage, lokiTails, kind), "µs", cpu*1e6/float64(lines*lokiTails))
	}
	r.figures.add("loki", fmt.Sprintf("%s: CPU of %d live tails ÷ followers", storage, lokiTails), ratio, used["live tails"]/used["followers"])
	return nil
}

// tailed lets readers follow an app up to its last line. It returns the processor time, in seconds,
// that host and plugins took.
func (r *rig) tailed(ctx context.Context, l *logger, p *publisher, loki bool, lines int) (float64, error) {
	app := fmt.Sprintf("tailed-%t", loki)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make([]chan struct{}, lokiTails)
	for i := range done {
		if !loki {
			f, err := newFollower(ctx, l.url, app)
			if err != nil {
				return 0, err
			}
			done[i] = f.done
			go f.run(lines, cancel) // ends with ctx
			continue
		}
		conn, _, err := websocket.Dial(ctx, l.url+"/loki/api/v1/tail?query="+url.QueryEscape(`{app="`+app+`"}`), nil) //nolint:bodyclose // there is none
		if err != nil {
			return 0, err
		}
		done[i] = make(chan struct{})
		go readTail(ctx, conn, lines, done[i], cancel) // ends with ctx
	}
	before, err := times(l.pids())
	if err != nil {
		return 0, err
	}
	tick := time.NewTicker(time.Second / lokiRate)
	defer tick.Stop()
	for i := range lines {
		<-tick.C
		token := followToken(i)
		if err := p.publish(appMessageAt(app, time.Now(), token+text(i, lineBytes-len(token)))); err != nil {
			return 0, err
		}
	}
	for _, d := range done {
		select {
		case <-d:
		case <-time.After(visibleTimeout):
			return 0, errors.New("a reader has not got all lines")
		}
	}
	if err := context.Cause(ctx); err != nil {
		return 0, err
	}
	after, err := times(l.pids())
	used := 0.0
	for name := range after {
		used += after[name] - before[name]
	}
	return used, err
}

// readTail reads that many lines of a live tail.
func readTail(ctx context.Context, conn *websocket.Conn, lines int, done chan<- struct{}, fail context.CancelCauseFunc) {
	defer close(done)
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(1 << 24)
	for got := 0; got < lines; {
		_, message, err := conn.Read(ctx)
		if err != nil {
			fail(fmt.Errorf("a live tail ended after %d of %d lines: %w", got, lines, err))
			return
		}
		got += bytes.Count(message, []byte("follow-"))
	}
}
