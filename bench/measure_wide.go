package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// measureWide reads all of an app's very many lines at once. If the lines are in Redis, it restarts
// the logger first, so that memory from receiving them does not count.
func measureWide(ctx context.Context, r *rig) error {
	for _, storage := range r.options.storages {
		if err := r.wide(ctx, storage); err != nil {
			return fmt.Errorf("%s: %w", storage, err)
		}
	}
	return nil
}

func (r *rig) wide(ctx context.Context, storage string) error {
	lines := r.options.size.wide
	b, err := r.startBackend(ctx, storage)
	if err != nil {
		return err
	}
	defer b.stop()
	q, err := r.startQueue(ctx, lines)
	if err != nil {
		return err
	}
	defer q.stop()
	if err := q.fill(ctx, workload{apps: 1, lineBytes: lineBytes, messages: lines}, 0); err != nil {
		return err
	}
	env := map[string]string{"NUMBER_OF_LINES": strconv.Itoa(lines), "LOGGER_MEMORY_MAX_BYTES": "512MiB"}
	l, err := r.startLogger(ctx, b, q, env)
	if err != nil {
		return err
	}
	defer func() { l.stop() }()
	if err := q.waitEmpty(ctx, l.ended); err != nil {
		return err
	}
	if storage == "redis" {
		l.stop()
		again, err := r.startLogger(ctx, b, q, env)
		if err != nil {
			return err
		}
		l = again
	}
	start := time.Now()
	got, size, err := countLines(ctx, l.url+logsPath(0, -1))
	if err != nil {
		return err
	}
	took := time.Since(start).Seconds()
	if got != lines {
		return fmt.Errorf("all that is kept has %d lines, want %d", got, lines)
	}
	r.figures.add("wide", storage+": all lines", seconds, took)
	r.figures.add("wide", storage+": all lines", mbPerSec, float64(size)/1e6/took)
	if storage == "redis" {
		peak, err := l.peak("host", "storage plugin")
		if err != nil {
			return err
		}
		r.figures.add("wide", storage+": peak of host + storage plugin", megabyte, peak)
	}
	peak, err := l.peak("host")
	r.figures.add("wide", storage+": peak of host", megabyte, peak)
	return err
}

// countLines reads an answer without keeping it.
func countLines(ctx context.Context, url string) (lines int, size int64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	buf := make([]byte, 256<<10)
	for {
		n, err := resp.Body.Read(buf)
		lines += bytes.Count(buf[:n], []byte("\n"))
		size += int64(n)
		switch {
		case err == io.EOF && resp.StatusCode == http.StatusOK:
			return lines, size, nil
		case err == io.EOF:
			return 0, 0, fmt.Errorf("GET %s: %s: %.200s", url, resp.Status, buf[:n])
		case err != nil:
			return 0, 0, fmt.Errorf("GET %s: after %d lines: %w", url, lines, err)
		}
	}
}
