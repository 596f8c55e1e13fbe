package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

// settings declares the environment variables that the plugin gets. It gets no others.
type settings struct {
	Addr       string        `env:"HTTP_LISTEN_ADDR" default:"127.0.0.1:8089" doc:"address to take messages at"`
	Token      string        `env:"HTTP_TOKEN" secret:"true" doc:"if set, what requests must carry as 'Authorization: Bearer TOKEN'"`
	MaxBody    sdk.Bytes     `env:"HTTP_MAX_BODY_BYTES" default:"4MiB" min:"1" max:"1073741824" doc:"largest body of a request"`
	MaxPending sdk.Bytes     `env:"HTTP_MAX_PENDING_BYTES" default:"64MiB" min:"1" doc:"most bytes of requests that are not answered yet; more get 503"`
	Timeout    time.Duration `env:"HTTP_TIMEOUT_SECONDS" default:"30" min:"1" max:"3600" doc:"longest that a request may take to send, and then to be stored"`
}

// aggregator implements sdk.Aggregator. Its transport is whoever posts: the answer is the
// acknowledgement, and a client that gets none, or a 503, has its messages back.
type aggregator struct {
	settings
	logger hclog.Logger
	intake *intake

	mu   sync.Mutex
	away error // why it does not listen
}

var (
	_ sdk.Aggregator = (*aggregator)(nil)
	_ sdk.Checker    = (*aggregator)(nil)
)

func open(_ context.Context, set settings, host sdk.Host) (sdk.Aggregator, error) {
	if _, _, err := net.SplitHostPort(set.Addr); err != nil {
		return nil, sdk.Refusef("HTTP_LISTEN_ADDR=%.100q: want HOST:PORT", set.Addr)
	}
	a := &aggregator{settings: set, logger: host.Logger, away: errors.New("not listening yet")}
	if a.logger == nil {
		a.logger = hclog.NewNullLogger()
	}
	a.intake = &intake{settings: set, free: int64(set.MaxPending), requests: make(chan *request)}
	return a, nil
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

// stopMargin is how long answers may take to leave on a stop.
const stopMargin = 500 * time.Millisecond

// Run listens, and hands over what is posted, until ctx ends. Then it takes no connection
// more, refuses what it has not handed over, and waits for the answers of the rest.
func (a *aggregator) Run(ctx context.Context, deliver sdk.Deliver) error {
	listener, err := a.listen(ctx)
	if err != nil {
		return nil // stopped before it could
	}
	defer a.setAway(errors.New("stopped"))
	server := &http.Server{
		Handler: a.intake.routes(ctx), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: a.Timeout,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10, ErrorLog: a.logger.StandardLogger(nil),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }() // ends with Shutdown
	a.setAway(nil)
	a.logger.Info("listening", "addr", listener.Addr().String())
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var handing sync.WaitGroup
	handing.Go(func() { a.intake.hand(ctx, deliver) })
	select {
	case <-ctx.Done():
	case err = <-failed:
		err = fmt.Errorf("serve %s: %w", a.Addr, err)
		stop()
	}
	handing.Wait()
	// The answers are known. Who is still sending has handed over nothing, and is cut off.
	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopMargin)
	defer cancel()
	if server.Shutdown(bound) != nil {
		_ = server.Close()
	}
	return err
}

// listen tries until it has the address: whoever has it may go.
func (a *aggregator) listen(ctx context.Context) (net.Listener, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.Addr)
		if err == nil {
			return listener, nil
		}
		a.setAway(fmt.Errorf("HTTP_LISTEN_ADDR=%s: %w", a.Addr, err))
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}
