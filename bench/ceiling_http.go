package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// playBareHandler measures how fast net/http can send the logger's answers: it asks the logger once
// for each answer, and then always writes the same bytes.
func playBareHandler(ctx context.Context, p part, ready func(any) error) error {
	answers := make(map[string][]byte)
	for app := range apps {
		for _, lines := range []int{100, 1000} {
			path := logsPath(app, lines)
			body, err := get(ctx, p.Logger+path)
			if err != nil {
				return err
			}
			answers[path] = body
		}
	}
	return serve(ctx, ready, func(w http.ResponseWriter, r *http.Request) {
		body, ok := answers[r.URL.RequestURI()]
		if !ok {
			http.NotFound(w, r)
			return
		}
		writeText(w, body)
	})
}

// playLRangeHandler copies the logger's lines into lists of its own, and then answers each request
// with the result of one LRANGE.
func playLRangeHandler(ctx context.Context, p part, ready func(any) error) error {
	client := redis.NewClient(&redis.Options{Addr: p.Redis})
	defer func() { _ = client.Close() }()
	for app := range apps {
		body, err := get(ctx, p.Logger+logsPath(app, keptLines))
		if err != nil {
			return err
		}
		var lines []any
		for line := range bytes.Lines(body) {
			lines = append(lines, bytes.TrimSuffix(line, []byte("\n")))
		}
		if err := client.RPush(ctx, "bench:{"+appName(app)+"}", lines...).Err(); err != nil {
			return err
		}
	}
	return serve(ctx, ready, func(w http.ResponseWriter, r *http.Request) {
		app := strings.TrimPrefix(r.URL.Path, "/logs/")
		n, err := strconv.Atoi(r.URL.Query().Get("log_lines"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		lines, err := client.LRange(r.Context(), "bench:{"+app+"}", -int64(n), -1).Result()
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		size := 0
		for _, line := range lines {
			size += len(line) + 1
		}
		body := make([]byte, 0, size)
		for _, line := range lines {
			body = append(append(body, line...), '\n')
		}
		writeText(w, body)
	})
}

func writeText(w http.ResponseWriter, body []byte) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // a client that has left needs no answer
}

// serve serves on a free loopback port until ctx ends. It passes ready the URL.
func serve(ctx context.Context, ready func(any) error, handler http.HandlerFunc) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if err := ready(fmt.Sprintf("http://%s", l.Addr())); err != nil {
		return errors.Join(err, l.Close())
	}
	return s.Serve(l)
}
