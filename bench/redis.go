package main

import (
	"context"
	"net"
	"os/exec"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// redisServer runs a redis-server that persists nothing.
type redisServer struct {
	*process
	addr string
}

func (r *rig) startRedis(ctx context.Context) (*redisServer, error) {
	dir, err := r.folder()
	if err != nil {
		return nil, err
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	s := &redisServer{addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	cmd := exec.Command("redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(port), //nolint:noctx // its end is in its caller's order
		"--dir", dir, "--save", "", "--appendonly", "no", "--daemonize", "no")
	if s.process, err = launch(cmd); err != nil {
		return nil, err
	}
	client := redis.NewClient(&redis.Options{Addr: s.addr, MaxRetries: -1})
	defer func() { _ = client.Close() }()
	err = poll(ctx, "redis-server answers", 2*time.Millisecond, 15*time.Second, func() (bool, error) {
		if err := s.ended(); err != nil {
			return false, err
		}
		return client.Ping(ctx).Err() == nil, nil
	})
	if err != nil {
		s.kill()
		return nil, err
	}
	return s, nil
}

// freePort returns a port that was free a moment ago.
func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}
