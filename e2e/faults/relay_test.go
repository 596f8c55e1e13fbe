package faults

import (
	"context"
	"net"
	"sync"
	"testing"
)

// relay stands between a client and its server. All that they send passes through it.
type relay struct {
	target   string
	listener net.Listener
	// copy passes on what one side sends, until that fails.
	copy func(to, from net.Conn, toServer bool)
	wg   sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

// newRelay starts a relay to target, which runs until the end of the test.
func newRelay(t *testing.T, target string, way func(to, from net.Conn, toServer bool)) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{target: target, listener: listener, copy: way, conns: map[net.Conn]struct{}{}}
	r.wg.Go(r.accept)
	t.Cleanup(r.close)
	return r
}

func (r *relay) addr() string { return r.listener.Addr().String() }

// cut closes the connections that are open now, on both sides.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.conns {
		_ = c.Close() // an error does not matter: the connection is to break
	}
}

func (r *relay) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	_ = r.listener.Close() // ends accept
	r.cut()
	r.wg.Wait()
}

func (r *relay) accept() {
	for {
		client, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.wg.Go(func() { r.serve(client) })
	}
}

func (r *relay) serve(client net.Conn) {
	if !r.keep(client) {
		return
	}
	defer r.drop(client)
	server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", r.target)
	if err != nil {
		return // closes the client's connection, which is the nearest to a refusal
	}
	if !r.keep(server) {
		return
	}
	defer r.drop(server)
	var both sync.WaitGroup
	way := func(to, from net.Conn, toServer bool) {
		defer func() { _, _ = to.Close(), from.Close() }()
		r.copy(to, from, toServer)
	}
	both.Go(func() { way(server, client, true) })
	both.Go(func() { way(client, server, false) })
	both.Wait()
}

func (r *relay) keep(c net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		_ = c.Close()
		return false
	}
	r.conns[c] = struct{}{}
	return true
}

func (r *relay) drop(c net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
	_ = c.Close()
}
