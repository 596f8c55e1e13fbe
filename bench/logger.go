package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// storages lists the storages that everything is measured with.
var storages = []string{"memory", "redis"}

// backend holds what a storage needs: for redis, a server of its own.
type backend struct {
	storage string
	redis   *redisServer // nil for the memory storage
}

func (r *rig) startBackend(ctx context.Context, storage string) (*backend, error) {
	b := &backend{storage: storage}
	var err error
	if storage == "redis" {
		b.redis, err = r.startRedis(ctx)
	}
	return b, err
}

func (b *backend) stop() {
	if b.redis != nil {
		b.redis.kill()
	}
}

// settings returns the environment of a logger, or of its parts in one process. Apart from
// addresses, all settings have their defaults.
func settings(storage, nsqd, redis string) map[string]string {
	env := map[string]string{"STORAGE_ADAPTER": storage, "NSQ_TOPIC": topic, "NSQ_CHANNEL": channel}
	at := func(host, port, addr string) {
		if h, p, err := net.SplitHostPort(addr); err == nil {
			env[host], env[port] = h, p
		}
	}
	at("DEIS_NSQD_SERVICE_HOST", "DEIS_NSQD_SERVICE_PORT_TRANSPORT", nsqd)
	at("DEIS_LOGGER_REDIS_SERVICE_HOST", "DEIS_LOGGER_REDIS_SERVICE_PORT", redis)
	return env
}

// logger runs `logger serve` with its plugins.
type logger struct {
	*process
	url     string
	began   time.Time // when the process was started
	plugins map[string]int
}

// launchLogger starts the logger and returns once it tells its address. The settings in more
// replace the defaults.
func (r *rig) launchLogger(ctx context.Context, b *backend, q *queue, more ...map[string]string) (*logger, error) {
	runDir, err := r.runDir()
	if err != nil {
		return nil, err
	}
	redisAddr := ""
	if b.redis != nil {
		redisAddr = b.redis.addr
	}
	env := settings(b.storage, q.TCP, redisAddr)
	maps.Copy(env, map[string]string{
		"LOGGER_LISTEN_ADDR": "127.0.0.1:0", "LOGGER_LOG_FORMAT": "json", "LOGGER_RUN_DIR": runDir,
	})
	for _, m := range more {
		maps.Copy(env, m)
	}
	cmd := exec.Command(filepath.Join(r.binaries, "logger")) //nolint:noctx // its end is in its caller's order
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = write
	l := &logger{began: time.Now()}
	l.process, err = launch(cmd)
	_ = write.Close()
	if err != nil {
		_ = read.Close()
		return nil, err
	}
	serving := make(chan string, 1)
	go l.readLog(read, serving) // ends with the logger and its plugins
	select {
	case addr := <-serving:
		l.url = "http://" + addr
		return l, nil
	case <-l.exited:
		return nil, fmt.Errorf("logger: %w", l.ended())
	case <-time.After(20 * time.Second):
		err = fmt.Errorf("logger does not serve: %s", l.tail)
	case <-ctx.Done():
		err = ctx.Err()
	}
	l.stop()
	return nil, err
}

func (l *logger) readLog(log io.ReadCloser, serving chan<- string) {
	defer func() { _ = log.Close() }()
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		_, _ = l.tail.Write(append(bytes.Clone(lines.Bytes()), '\n'))
		var line struct {
			Message string `json:"@message"`
			Addr    string `json:"addr"`
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "serving" {
			select {
			case serving <- line.Addr:
			default:
			}
		}
	}
	_, _ = io.Copy(io.Discard, log)
}

// startLogger starts the logger and returns once it is ready and consumes q.
func (r *rig) startLogger(ctx context.Context, b *backend, q *queue, more ...map[string]string) (_ *logger, err error) {
	l, err := r.launchLogger(ctx, b, q, more...)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.stop()
		}
	}()
	if err := l.waitReady(ctx, 5*time.Millisecond); err != nil {
		return nil, err
	}
	return l, q.waitConsumer(ctx)
}

// startAll starts a backend, a queue for so many messages and a logger for both. The returned
// function stops them.
func (r *rig) startAll(ctx context.Context, storage string, messages int, more ...map[string]string) (l *logger, q *queue, stop func(), err error) {
	var stops []func()
	stop = func() {
		for _, f := range slices.Backward(stops) {
			f()
		}
	}
	defer func() {
		if err != nil {
			stop()
		}
	}()
	b, err := r.startBackend(ctx, storage)
	if err != nil {
		return nil, nil, nil, err
	}
	stops = append(stops, b.stop)
	if q, err = r.startQueue(ctx, messages); err != nil {
		return nil, nil, nil, err
	}
	stops = append(stops, q.stop)
	if l, err = r.startLogger(ctx, b, q, more...); err != nil {
		return nil, nil, nil, err
	}
	stops = append(stops, l.stop)
	return l, q, stop, nil
}

// waitConsumer returns once the channel has a consumer.
func (q *queue) waitConsumer(ctx context.Context) error {
	return poll(ctx, "nsqd has a consumer", 5*time.Millisecond, 20*time.Second, func() (bool, error) {
		c, err := q.counts(ctx)
		return c.Clients > 0, err
	})
}

// waitReady returns once /readyz answers 200, which also tells the plugins' processes.
func (l *logger) waitReady(ctx context.Context, every time.Duration) error {
	return poll(ctx, "logger is ready", every, 20*time.Second, func() (bool, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url+"/readyz", http.NoBody)
		if err != nil {
			return false, err
		}
		var readiness struct {
			Plugins []struct {
				Kind string `json:"kind"`
				PID  int    `json:"pid"`
			} `json:"plugins"`
		}
		if err := do(req, &readiness); err != nil {
			return false, l.ended()
		}
		l.plugins = make(map[string]int)
		for _, p := range readiness.Plugins {
			l.plugins[p.Kind] = p.PID
		}
		if l.plugins["storage"] == 0 || l.plugins["aggregator"] == 0 {
			return false, fmt.Errorf("/readyz names the plugins' processes %v", l.plugins)
		}
		return true, nil
	})
}

// metrics returns the samples of /metrics, each summed over its labels.
func (l *logger) metrics(ctx context.Context) (map[string]float64, error) {
	body, err := get(ctx, l.url+"/metrics")
	if err != nil {
		return nil, err
	}
	return parseMetrics(string(body)), nil
}

func parseMetrics(text string) map[string]float64 {
	out := make(map[string]float64)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		end := strings.LastIndexByte(line, ' ') // labels may have spaces
		if end < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		if value, err := strconv.ParseFloat(line[end+1:], 64); err == nil {
			name, _, _ := strings.Cut(line[:end], "{")
			out[name] += value
		}
	}
	return out
}

// pids returns the logger's processes, by name.
func (l *logger) pids() map[string]int {
	return map[string]int{"host": l.pid(), "nsq plugin": l.plugins["aggregator"], "storage plugin": l.plugins["storage"]}
}

// peak returns the peak memory of the processes with these names, summed, in megabytes.
func (l *logger) peak(names ...string) (sum float64, err error) {
	for _, name := range names {
		bytes, err := status(l.pids()[name], "VmHWM")
		if err != nil {
			return 0, err
		}
		sum += bytes / 1e6
	}
	return sum, nil
}

func get(ctx context.Context, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %.200s", url, resp.Status, body)
	}
	return body, err
}
