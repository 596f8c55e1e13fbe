package nsq

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	gonsq "github.com/nsqio/go-nsq"
)

// minRetry and maxRetry bound the wait between two attempts to connect, which
// doubles from one to the next.
const (
	minRetry = 100 * time.Millisecond
	maxRetry = 3 * time.Second
)

// The first reasons that check gives.
var (
	errNotStarted = errors.New("waiting for the host, which takes messages once storage is ready")
	errConnecting = errors.New("connecting")
)

// link keeps one connection to nsqd. It stands on go-nsq's Conn and not on its
// Consumer, which tells nobody when and why it has no connection, does not connect
// again before the last message of a lost connection is answered, and leaves
// goroutines asleep behind it.
type link struct {
	addr, topic, channel string
	inFlight             int
	config               *gonsq.Config
	logger               hclog.Logger
	outages, refusals    limiter

	mu       sync.Mutex
	current  *session // nil while there is no connection
	reason   error    // why there is none
	sessions map[*session]struct{}

	readyMu  sync.Mutex // orders what is written with what it was derived from
	stopping bool
}

func newLink(s Settings, logger hclog.Logger) *link {
	config := gonsq.NewConfig()
	config.UserAgent = "logger-aggregator-nsq"
	config.MsgTimeout = s.MessageTimeout
	// The least that nsqd takes: it is what a lone line waits. The size is the most
	// that it takes.
	config.OutputBufferTimeout = 25 * time.Millisecond
	config.OutputBufferSize = 64 << 10
	// Two heartbeats that stay away mean that nsqd is hung or out of reach.
	config.HeartbeatInterval = 5 * time.Second
	config.ReadTimeout = 12 * time.Second
	config.WriteTimeout = time.Second
	config.DialTimeout = 2 * time.Second
	return &link{
		addr: s.addr(), topic: s.Topic, channel: s.Channel, inFlight: s.MaxInFlight,
		config: config, logger: logger,
		outages:  limiter{every: logInterval},
		refusals: limiter{every: logInterval},
		reason:   errNotStarted,
		sessions: map[*session]struct{}{},
	}
}

// check is nil while there is a connection, else says why there is none.
func (l *link) check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.current != nil {
		return nil
	}
	if errors.Is(l.reason, errNotStarted) {
		return l.reason // nsqd has no part in it
	}
	return fmt.Errorf("not connected to nsqd at %s: %w", l.addr, l.reason)
}

// run connects, and connects again whenever the connection is lost, until ctx
// ends. Then it tells nsqd to send no more and leaves the connection open: answers
// still flow, until close.
func (l *link) run(ctx context.Context, f *flow) {
	l.readyMu.Lock()
	l.stopping = false
	l.readyMu.Unlock()
	l.down(errConnecting)
	wait := minRetry
	for ctx.Err() == nil {
		s, err := l.connect(ctx, f)
		if err == nil {
			since := time.Now()
			l.up(s)
			l.regulate(f)
			select {
			case <-ctx.Done():
				l.pause(f)
				return
			case <-s.lost:
				err = s.reason()
			}
			if time.Since(since) > maxRetry {
				wait = minRetry
			}
		}
		if ctx.Err() != nil {
			break
		}
		l.down(err)
		if n, ok := l.outages.allow(time.Now()); ok {
			l.logger.Warn("no connection to nsqd: trying again", "address", l.addr, "error", err, "lines_left_out", n)
		}
		t := time.NewTimer(wait/2 + rand.N(wait/2)) //nolint:gosec // spreads reconnects, no secret
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
		wait = min(2*wait, maxRetry)
	}
	l.pause(f)
}

func (l *link) up(s *session) {
	l.mu.Lock()
	l.current = s
	l.mu.Unlock()
	l.logger.Info("connected to nsqd", "address", l.addr, "topic", l.topic, "channel", l.channel,
		"max_in_flight", min(l.inFlight, s.maxReady))
}

func (l *link) down(reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current, l.reason = nil, reason
}

// connect makes a session that is subscribed. go-nsq's own part cannot be called
// off: when ctx ends, its goroutine is left to its time-outs.
func (l *link) connect(ctx context.Context, f *flow) (*session, error) {
	s := newSession(l, f)
	connected := make(chan error)
	go func() { // ends with the dial and the handshake, at the latest after ReadTimeout
		err := s.open()
		select {
		case connected <- err:
		case <-ctx.Done():
			s.abandon()
		}
	}()
	var err error
	select {
	case err = <-connected:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if err == nil {
		select {
		case <-s.subscribed:
			return s, nil
		case <-s.lost:
			err = s.reason()
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	s.abandon()
	return nil, err
}

// regulate tells nsqd how many messages may be in flight now, if that has changed.
func (l *link) regulate(f *flow) {
	l.readyMu.Lock()
	defer l.readyMu.Unlock()
	l.mu.Lock()
	s := l.current
	l.mu.Unlock()
	if s == nil {
		return
	}
	ready := 0
	if f.open() && !l.stopping {
		ready = min(l.inFlight, s.maxReady)
	}
	if ready == s.ready {
		return
	}
	s.ready = ready
	_ = s.conn.WriteCommand(gonsq.Ready(ready)) // a failure shows as the loss of the session
}

// pause makes nsqd send no more.
func (l *link) pause(f *flow) {
	l.readyMu.Lock()
	l.stopping = true
	l.readyMu.Unlock()
	l.regulate(f)
}

// farewell waits until nsqd, which has been told to send no more, has heard that and
// read all answers, and until what it sent before has arrived; at most timeout. What
// has arrived can still be answered, until close.
func (l *link) farewell(timeout time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for _, s := range l.open() {
		s.farewell(ctx)
	}
}

// close ends all connections once every message is answered. An nsqd that does not
// say good-bye within timeout is left without.
func (l *link) close(timeout time.Duration) {
	l.down(errNotStarted)
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	for _, s := range l.open() {
		s.close(ctx)
	}
}

// open are the sessions that have not ended, in no order.
func (l *link) open() []*session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Keys(l.sessions))
}

func (l *link) forget(s *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sessions, s)
}
