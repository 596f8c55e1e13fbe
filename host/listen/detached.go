package listen

import (
	"context"
	"net"
	"strconv"
	"sync"
)

// Detached sends the rest of an answer whose connection was taken from the server after the header
// and maybe some of the body. [Detached.Flush] sends what was written. If the answer has chunks, it
// sends that as one chunk.
type Detached struct {
	net.Conn
	// Chunked is set if the answer has chunks.
	Chunked bool
	size    [18]byte    // of the chunk
	parts   net.Buffers // written, but not sent yet
	bytes   int         // of the parts
}

// mostUnsent bounds what is written but not sent.
const mostUnsent = 64 << 10

var newline = []byte("\r\n")

// Write keeps p until it is sent; p must not change any more. So data for many clients is not
// copied for each.
func (d *Detached) Write(p []byte) (int, error) {
	if len(p) == 0 { // an empty chunk would be the last
		return 0, nil
	}
	if len(d.parts) == 0 && d.Chunked {
		d.parts = append(d.parts, nil) // for the size
	}
	d.parts, d.bytes = append(d.parts, p), d.bytes+len(p)
	if d.bytes < mostUnsent {
		return len(p), nil
	}
	return len(p), d.Flush()
}

// Flush sends what was written, with one system call.
func (d *Detached) Flush() error {
	if d.bytes == 0 {
		return nil
	}
	if d.Chunked {
		d.parts[0] = append(strconv.AppendUint(d.size[:0], uint64(d.bytes), 16), newline...)
		d.parts = append(d.parts, newline)
	}
	parts := d.parts
	_, err := parts.WriteTo(d.Conn)
	clear(d.parts) // sent pages can be collected
	d.parts, d.bytes = d.parts[:0], 0
	return err
}

// Finish ends the answer.
func (d *Detached) Finish() {
	if d.Chunked {
		_, _ = d.Conn.Write([]byte("0\r\n\r\n")) // if the client left, nobody misses it
	}
}

// Group holds connections that were taken from a server, each with the function that serves it. The
// zero Group is empty.
type Group struct {
	mu      sync.Mutex
	stopped bool
	conns   map[net.Conn]struct{}
	running sync.WaitGroup
}

// Go runs the function in its own goroutine, and forgets the connection when the function returns.
// After Stop, it runs nothing and returns false.
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

// Stop waits until all functions have returned. When ctx ends, it closes the connections that are
// left.
func (g *Group) Stop(ctx context.Context) {
	g.mu.Lock()
	g.stopped = true
	g.mu.Unlock()
	defer context.AfterFunc(ctx, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		for c := range g.conns {
			_ = c.Close() // ends whatever reads or writes it
		}
	})()
	g.running.Wait()
}
