package nsq

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

// pool keeps a connection to each nsqd, and shares out among them how many messages may be in
// flight. It uses go-nsq's protocol and not its Consumer. That one writes each answer alone, does
// not say when and why it has no connection, and does not connect again before the last message of
// a lost connection is answered.
type pool struct {
	shake    handshake
	nsqds    []address
	lookup   *lookup // nil without nsqlookupd
	budget   int     // messages in flight, of all connections
	rotation time.Duration
	logger   hclog.Logger
	refusals limiter
	measured *measured

	running sync.WaitGroup // the peers

	mu      sync.Mutex
	started bool
	flow    *flow
	peers   map[string]*peer
	conns   map[*conn]struct{} // all that have not ended

	readyMu  sync.Mutex // orders what is written with what it was derived from
	stopping bool
	turn     int // whose turn it is while there are fewer messages than connections
	ready    readyState
	scarce   chan struct{} // has a value when there may be fewer messages than connections
}

func newPool(s *Settings, logger hclog.Logger) (*pool, error) {
	nsqds, lookupds, err := s.addrs()
	if err != nil {
		return nil, err
	}
	secure, err := sdk.ClientTLS{
		Prefix: "NSQ_TLS", On: s.TLS, CAFile: s.TLSCAFile, CertFile: s.TLSCertFile, KeyFile: s.TLSKeyFile, SkipVerify: s.TLSSkipVerify,
	}.Config()
	if err != nil {
		return nil, err
	}
	hostname, err := os.Hostname()
	if err != nil {
		hostname = userAgent // it is for people who look at nsqd
	}
	p := &pool{
		shake: handshake{
			topic: s.Topic, channel: s.Channel, hostname: hostname,
			messageTimeout: s.MessageTimeout, heartbeat: heartbeat, silence: maxSilence, tls: secure, secret: s.AuthSecret, compression: s.Compression,
		},
		nsqds:    nsqds,
		budget:   s.MaxInFlight,
		rotation: rotateEvery,
		logger:   logger,
		refusals: limiter{every: logInterval},
		measured: newMeasured(),
		peers:    map[string]*peer{},
		conns:    map[*conn]struct{}{},
		scarce:   make(chan struct{}, 1),
	}
	if len(lookupds) > 0 {
		p.lookup = newLookup(lookupds, s.Topic, logger)
	}
	return p, nil
}

var _ connEvents = (*pool)(nil)

// run keeps the connections until ctx ends. Then it tells every nsqd to send no more, and returns
// when they have replied, or after the timeout. The connections stay open until close.
func (p *pool) run(ctx context.Context, f *flow, timeout time.Duration) {
	p.readyMu.Lock()
	p.stopping = false
	p.readyMu.Unlock()
	p.mu.Lock()
	p.flow, p.started = f, true
	p.mu.Unlock()

	p.update(ctx, nil)
	var parts sync.WaitGroup
	if p.lookup != nil {
		parts.Go(func() {
			p.lookup.run(ctx, func(found []address) { p.update(ctx, found) })
		})
	}
	parts.Go(func() { p.rotate(ctx) })
	<-ctx.Done()
	p.readyMu.Lock()
	p.stopping = true
	p.readyMu.Unlock()
	parts.Wait()
	p.running.Wait()
	p.each(timeout, (*conn).farewell)
}

// close ends all connections, with all answers sent.
func (p *pool) close(timeout time.Duration) {
	p.each(timeout, (*conn).close)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.started, p.flow = false, nil
	clear(p.peers)
}

// each calls do for every connection, side by side.
func (p *pool) each(timeout time.Duration, do func(*conn, context.Context)) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	var all sync.WaitGroup
	for _, c := range p.open() {
		all.Go(func() { do(c, ctx) })
	}
	all.Wait()
}

// open returns the connections that have not ended, in no order.
func (p *pool) open() []*conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Collect(maps.Keys(p.conns))
}

// update sets the nsqd to connect to: those of the settings, and those that are found. The address
// of an nsqd's HTTP side is the one that nsqlookupd told last, even if it does not know the nsqd
// any more. An nsqd that is no longer found keeps its connection: it may have messages, and
// nsqlookupd may err.
func (p *pool) update(ctx context.Context, found []address) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	all := slices.Concat(p.nsqds, found)
	for addr, old := range p.peers {
		if old.wanted = slices.ContainsFunc(all, func(a address) bool { return a.tcp == addr }); !old.wanted && old.conn == nil {
			old.cancel()
			delete(p.peers, addr)
		}
	}
	for _, addr := range all {
		if p.peers[addr.tcp] == nil {
			p.add(ctx, addr)
		}
	}
	for _, addr := range found {
		known := p.peers[addr.tcp]
		known.http = cmp.Or(addr.http, known.http)
	}
}

// add makes a peer, which connects. The caller holds p.mu.
func (p *pool) add(ctx context.Context, addr address) {
	ctx, cancel := context.WithCancel(ctx)
	one := &peer{
		addr: addr.tcp, http: addr.http, pool: p, wanted: true, reason: errConnecting, cancel: cancel,
		outages: limiter{every: logInterval},
	}
	p.peers[addr.tcp] = one
	f := p.flow
	p.running.Go(func() { // ends with ctx, or when it is not wanted any more
		defer cancel()
		one.run(ctx, f)
	})
}

// up starts a connection, unless the peer has been given up meanwhile.
func (p *pool) up(ctx context.Context, of *peer, c *conn) bool {
	p.mu.Lock()
	if ctx.Err() != nil {
		p.mu.Unlock()
		return false
	}
	of.conn = c
	p.conns[c] = struct{}{}
	n := len(p.conns)
	c.serve()
	p.mu.Unlock()
	p.logger.Info("connected to nsqd", "address", c.addr, "nsqd", c.about, "topic", p.shake.topic,
		"channel", p.shake.channel, "max_in_flight", min(p.budget, c.maxReady), "connections", n)
	p.regulate()
	return true
}

// down notes why a peer has no connection, and returns whether it is to have another.
func (p *pool) down(of *peer, reason error) bool {
	defer p.regulate() // the others may have its share
	p.mu.Lock()
	defer p.mu.Unlock()
	of.conn, of.reason = nil, reason
	if !of.wanted && p.peers[of.addr] == of {
		delete(p.peers, of.addr)
	}
	return of.wanted
}

// filled implements connEvents.
func (p *pool) filled() { p.regulate() }

// refused implements connEvents.
func (p *pool) refused(c *conn, answer string) {
	p.measured.refusals.Inc()
	if n, ok := p.refusals.allow(time.Now()); ok {
		p.logger.Warn("refused by nsqd", "address", c.addr, "answer", answer, "lines_left_out", n)
	}
}

// gone implements connEvents.
func (p *pool) gone(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// check returns nil while there is a connection to every nsqd, or else says in one line why one is
// missing.
func (p *pool) check() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case !p.started:
		return errNotStarted // nsqd has no part in it
	case len(p.peers) == 0 && p.lookup == nil:
		return errConnecting // run has just begun, or ends
	case len(p.peers) == 0:
		return fmt.Errorf("no nsqd is known for the topic %s: %w", p.shake.topic, p.lookup.reason())
	}
	var away []*peer
	for _, one := range p.peers {
		if one.conn == nil {
			away = append(away, one)
		}
	}
	if len(away) == 0 {
		return nil
	}
	slices.SortFunc(away, func(a, b *peer) int { return strings.Compare(a.addr, b.addr) })
	err := fmt.Errorf("not connected to nsqd at %s: %w", away[0].addr, away[0].reason)
	switch {
	case len(p.peers) == 1:
		return err
	case len(away) == 1:
		return fmt.Errorf("1 of %d nsqd is away: %w", len(p.peers), err)
	}
	return fmt.Errorf("%d of %d nsqd are away: the first is %w", len(away), len(p.peers), err)
}

func sortByAddr(conns []*conn) {
	slices.SortFunc(conns, func(a, b *conn) int { return strings.Compare(a.addr, b.addr) })
}
