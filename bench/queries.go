package main

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"
)

// question describes a kind of query: its number of lines, and the number of concurrent clients.
type question struct{ lines, clients int }

func (q question) String() string {
	if q.clients == 1 {
		return fmt.Sprintf("%d lines, 1 client", q.lines)
	}
	return fmt.Sprintf("%d lines, %d clients", q.lines, q.clients)
}

func questions(clients []int) (all []question) {
	for _, lines := range []int{100, 1000} {
		for _, c := range clients {
			all = append(all, question{lines, c})
		}
	}
	return all
}

// answered holds the result of a kind of query.
type answered struct {
	perSecond, p50, p99 float64
}

// askAll lets each client send queries one after the other for a while. The apps take turns. Every
// answer must have all its lines.
func askAll(ctx context.Context, server string, q question, while time.Duration) (answered, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		clients sync.WaitGroup
		mu      sync.Mutex
		all     []time.Duration
		failed  error
	)
	start := time.Now()
	for i := range q.clients {
		clients.Go(func() {
			times, err := askFor(ctx, server, q, i, start.Add(while))
			mu.Lock()
			defer mu.Unlock()
			all = append(all, times...)
			if err != nil && failed == nil {
				failed = err
				cancel()
			}
		})
	}
	clients.Wait()
	took := time.Since(start).Seconds()
	if failed != nil {
		return answered{}, failed
	}
	return answered{float64(len(all)) / took, quantile(all, 0.5), quantile(all, 0.99)}, nil
}

func askFor(ctx context.Context, server string, q question, client int, until time.Time) ([]time.Duration, error) {
	a, err := newAsker(ctx, server, 64<<10)
	if err != nil {
		return nil, err
	}
	defer a.close()
	var times []time.Duration
	for n := client * 7; time.Now().Before(until); n++ {
		start := time.Now()
		body, err := a.ask(logsPath(n%apps, q.lines))
		if err != nil {
			return nil, err
		}
		times = append(times, time.Since(start))
		if got := bytes.Count(body, []byte("\n")); got != q.lines {
			return nil, fmt.Errorf("an answer has %d lines, want %d", got, q.lines)
		}
	}
	return times, nil
}

func logsPath(app, lines int) string {
	return fmt.Sprintf("/logs/%s?log_lines=%d", appName(app), lines)
}
