package listen

import (
	"context"
	"net"
	"strconv"
	"sync"
)

// Detached is the rest of an answer whose connection was taken from the server after the header
// and maybe some of the body. Each write is sent at once, as a chunk if the answer has chunks.
type Detached struct {
	net.Conn
	// Chunked says that the answer has chunks.
	Chunked bool
	size    [18]byte // of a chunk
	parts   [3][]byte
}

var newline = []byte("\r\n")

// Write implements [net.Conn].
func (d *Detached) Write(p []byte) (int, error) {
	if !d.Chunked || len(p) == 0 { // a chunk of nothing would be the last
		return d.Conn.Write(p)
	}
	d.parts = [3][]byte{append(strconv.AppendUint(d.size[:0], uint64(len(p)), 16), newline...), p, newline}
	parts := net.Buffers(d.parts[:])
	_, err := parts.WriteTo(d.Conn) // one call of the system
	d.parts = [3][]byte{}           // a page that was sent may go
	return len(p), err
}

// Flush does nothing: all is sent.
func (*Detached) Flush() error { return nil }

// Finish ends the answer.
func (d *Detached) Finish() {
	if d.Chunked {
		_, _ = d.Conn.Write([]byte("0\r\n\r\n")) // a client that left needs no end
	}
}

// Group is the connections that were taken from a server, each with what runs on it. The zero
// Group is empty.
type Group struct {
	mu      sync.Mutex
	stopped bool
	conns   map[net.Conn]struct{}
	running sync.WaitGroup
}

// Go runs the function in a goroutine of its own, and forgets the connection when it returns. It
// is false after Stop, and then runs nothing.
func (g *Group) Go(c net.Conn, run func()) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return false
	}
	if g.conns == nil {
		g.conns = make(map[net.Conn]struct{})
	}
	g.conns[c] = struct{}{}
	g.running.Go(func() { // ends with its connection, at the latest in Stop
		defer g.remove(c)
		run()
	})
	return true
}

func (g *Group) remove(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
}

// Len returns how many connections there are.
func (g *Group) Len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.conns)
}

// Stop waits for all to return, and closes the connections that are left when ctx ends.
func (g *Group) Stop(ctx context.Context) {
	g.mu.Lock()
	g.stopped = true
	g.mu.Unlock()
	defer context.AfterFunc(ctx, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		for c := range g.conns {
			_ = c.Close() // so that whatever reads or writes it ends
		}
	})()
	g.running.Wait()
}
