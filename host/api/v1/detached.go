package v1

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

// A tail that waits is most of its life a connection on which nothing happens. The
// server keeps its buffers, the request and the deep stack of its handler for each, tens
// of kilobytes. So once what was kept is sent, a tail leaves the server and lives on
// with what it needs.

// line is what a tail is written to.
type line interface {
	Write(p []byte) (int, error)
	Flush() error
	SetWriteDeadline(t time.Time) error
}

// served is the line of an answer that the server has.
type served struct {
	http.ResponseWriter
	*http.ResponseController
}

// detached is the line of an answer that left the server after its header and maybe some of
// its body. Each write is sent at once, as a chunk if the answer has chunks.
type detached struct {
	net.Conn
	chunked bool
	size    [18]byte // of a chunk
	parts   [3][]byte
}

var newline = []byte("\r\n")

// Write implements [line].
func (d *detached) Write(p []byte) (int, error) {
	if !d.chunked || len(p) == 0 { // a chunk of nothing would be the last
		return d.Conn.Write(p)
	}
	d.parts = [3][]byte{append(strconv.AppendUint(d.size[:0], uint64(len(p)), 16), newline...), p, newline}
	parts := net.Buffers(d.parts[:])
	_, err := parts.WriteTo(d.Conn) // one call of the system
	d.parts = [3][]byte{}           // a page that was sent may go
	return len(p), err
}

// Flush implements [line].
func (*detached) Flush() error { return nil }

var _, _ line = (*served)(nil), (*detached)(nil)

// finish ends the answer.
func (d *detached) finish() {
	if d.chunked {
		_, _ = d.Conn.Write([]byte("0\r\n\r\n")) // a client that left needs no end
	}
}

// tails are those that left the server.
type tails struct {
	mu      sync.Mutex
	stopped bool
	conns   map[net.Conn]struct{}
	running sync.WaitGroup
}

// add is false after the end.
func (t *tails) add(c net.Conn, run func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped {
		return false
	}
	if t.conns == nil {
		t.conns = make(map[net.Conn]struct{})
	}
	t.conns[c] = struct{}{}
	t.running.Go(run) // ends when its client left or its follower fails, at the latest in stop
	return true
}

func (t *tails) remove(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
}

// detach takes the tail's connection away from the server, if it can be, and runs it.
// What it is given of the request is not kept.
func (v *API) detach(w http.ResponseWriter, r *http.Request, t *tailing) bool {
	chunked := r.ProtoAtLeast(1, 1)
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false // not a connection of its own
	}
	t.out.line = &detached{Conn: conn, chunked: chunked}
	if !v.tails.add(conn, func() { v.attend(conn, t) }) {
		t.out.end("stopping")
		t.close(conn)
	}
	return true
}

// attend runs a tail that left the server.
func (v *API) attend(conn net.Conn, t *tailing) {
	defer v.tails.remove(conn)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	left := make(chan struct{})
	go func() { // ends with the connection
		defer close(left)
		defer cancel()
		var b [16]byte
		for { // nothing that comes is a request: the answer said that it closes
			if _, err := conn.Read(b[:]); err != nil {
				return
			}
		}
	}()
	defer func() { <-left }()
	defer t.close(conn)
	defer func() {
		if p := recover(); p != nil {
			v.opts.Logger.Error("panic in a tail", "app", t.out.app, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	t.run(ctx)
}

// close ends the tail and its connection.
func (t *tailing) close(conn net.Conn) {
	t.follower.Close()
	_ = conn.Close() // it failed already, or all is sent
}

// Stop waits for the tails to end, which they do once the hub stops, and cuts off those
// that are left when ctx ends.
func (v *API) Stop(ctx context.Context) {
	v.tails.mu.Lock()
	v.tails.stopped = true
	v.tails.mu.Unlock()
	defer context.AfterFunc(ctx, func() {
		v.tails.mu.Lock()
		defer v.tails.mu.Unlock()
		for c := range v.tails.conns {
			_ = c.Close() // so that whoever reads or writes it ends
		}
	})()
	v.tails.running.Wait()
}
