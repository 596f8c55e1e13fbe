package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

// aggregator implements sdk.Aggregator. Its transport is whoever sends, so it is no
// sdk.QueueLister: what waits is with the senders.
type aggregator struct {
	settings
	addrs  []address
	logger hclog.Logger

	mu   sync.Mutex
	away error // why it does not listen
}

// address holds one entry of SYSLOG_LISTEN.
type address struct{ network, hostPort string }

var (
	_ sdk.Aggregator = (*aggregator)(nil)
	_ sdk.Checker    = (*aggregator)(nil)
)

func open(_ context.Context, set settings, host sdk.Host) (sdk.Aggregator, error) {
	addrs, err := parseListen(set.Listen)
	switch {
	case err != nil:
		return nil, err
	case set.App == "" || appName(set.App) != set.App:
		return nil, sdk.Refusef("SYSLOG_DEFAULT_APP=%.100q: want letters, digits, -, _ and .", set.App)
	}
	logger := host.Logger
	if logger == nil {
		logger = hclog.NewNullLogger()
	}
	return &aggregator{settings: set, addrs: addrs, logger: logger, away: errors.New("not listening yet")}, nil
}

func parseListen(list string) (addrs []address, err error) {
	for _, entry := range strings.Split(list, ",") {
		network, hostPort, _ := strings.Cut(strings.TrimSpace(entry), "://")
		if _, _, err := net.SplitHostPort(hostPort); err != nil || network != "udp" && network != "tcp" {
			return nil, sdk.Refusef("SYSLOG_LISTEN: %.100q: want udp://HOST:PORT or tcp://HOST:PORT", entry)
		}
		addrs = append(addrs, address{network, hostPort})
	}
	return addrs, nil
}

// Check says why it does not listen, if it does not.
func (a *aggregator) Check(context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.away
}

func (a *aggregator) setAway(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.away = err
}

// sockets holds all sockets at which the plugin listens.
type sockets struct {
	udp []net.PacketConn
	tcp []net.Listener
}

func (s *sockets) close() {
	for _, c := range s.udp {
		_ = c.Close()
	}
	for _, l := range s.tcp {
		_ = l.Close()
	}
}

// Run listens, and delivers what is sent, until ctx ends. Then it takes nothing more, delivers
// what it has, and tells its TCP senders by the way it closes their connections what is stored.
func (a *aggregator) Run(ctx context.Context, deliver sdk.Deliver) error {
	socks, err := a.listen(ctx)
	if err != nil {
		return nil // stopped before it could
	}
	defer a.setAway(errors.New("stopped"))
	a.setAway(nil)
	in := newIntake(a.settings, a.logger)
	running, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	context.AfterFunc(running, func() {
		socks.close()
		in.endReads()
	})
	var reading sync.WaitGroup
	for _, c := range socks.udp {
		reading.Go(func() { stop(in.readUDP(running, c)) })
	}
	for _, l := range socks.tcp {
		reading.Go(func() { stop(in.accept(running, l)) })
	}
	in.serving.Go(func() { in.deliverAll(running, deliver) })
	reading.Wait()
	in.end() // what was read is queued
	in.serving.Wait()
	in.lost.end()
	in.refused.end()
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(running) // why a socket failed
}

// listen tries until it has all addresses: whoever has one may go.
func (a *aggregator) listen(ctx context.Context) (*sockets, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		socks, err := a.tryListen(ctx)
		if err == nil {
			return socks, nil
		}
		a.setAway(err)
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (a *aggregator) tryListen(ctx context.Context) (_ *sockets, err error) {
	socks := &sockets{}
	var config net.ListenConfig
	for _, addr := range a.addrs {
		if addr.network == "udp" {
			var c net.PacketConn
			if c, err = config.ListenPacket(ctx, "udp", addr.hostPort); err == nil {
				socks.udp = append(socks.udp, c)
				a.logger.Info("listening", "addr", "udp://"+c.LocalAddr().String())
			}
		} else {
			var l net.Listener
			if l, err = config.Listen(ctx, "tcp", addr.hostPort); err == nil {
				socks.tcp = append(socks.tcp, l)
				a.logger.Info("listening", "addr", "tcp://"+l.Addr().String())
			}
		}
		if err != nil {
			socks.close()
			return nil, fmt.Errorf("SYSLOG_LISTEN: %s://%s: %w", addr.network, addr.hostPort, err)
		}
	}
	return socks, nil
}
