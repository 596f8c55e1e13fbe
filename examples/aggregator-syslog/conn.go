package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// conn is a TCP connection. Syslog has no acknowledgements, but TCP has two ways to close: a sender
// that ends its side, and then reads the end of ours, knows that all of its lines are stored. One
// that reads a reset knows that some may not be, and sends again.
type conn struct {
	*net.TCPConn
	owed   sync.WaitGroup        // lines that are neither stored nor refused
	failed atomic.Pointer[error] // why a line is not stored
}

// settle tells the connection that so many of its lines are stored, or why not.
func (c *conn) settle(n int, err error) {
	if err != nil {
		c.failed.Store(&err)
		_ = c.SetReadDeadline(time.Now()) // it takes nothing more
	}
	c.owed.Add(-n)
}

// accept serves the connections of a listener until ctx ends, and then waits for their readers.
func (in *intake) accept(ctx context.Context, l net.Listener) error {
	var reading sync.WaitGroup
	defer reading.Wait()
	for {
		accepted, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = accepted.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept at tcp://%s: %w", l.Addr(), err)
		}
		c := &conn{TCPConn: accepted.(*net.TCPConn)}
		_ = c.SetLinger(0) // a reset, also by the kernel when this process is killed
		if !in.add(c) {
			_ = c.Close()
			in.refused.add(1, nil)
			continue
		}
		reading.Add(1)
		in.serving.Go(func() { in.serve(ctx, c, reading.Done) })
	}
}

// add makes the connection one of those that are served, unless there are too many.
func (in *intake) add(c *conn) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.conns) >= in.MaxConns || in.ended {
		return false
	}
	in.conns[c] = true
	return true
}

// endReads ends the reads of all connections. What they have buffered they still queue.
func (in *intake) endReads() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.ended = true
	for c := range in.conns {
		_ = c.SetReadDeadline(time.Now())
	}
}

// serve queues the connection's lines, says that it has read, and closes it when all of them are
// stored or refused.
func (in *intake) serve(ctx context.Context, c *conn, hasRead func()) {
	err := in.readTCP(ctx, c)
	hasRead()
	c.owed.Wait()
	if failed := c.failed.Load(); failed != nil {
		err = *failed
	}
	if err == nil {
		_ = c.SetLinger(-1) // an end, and no reset
	} else {
		in.logger.Warn("a connection is reset: not all of its lines are stored", "from", c.RemoteAddr().String(), "error", err)
	}
	_ = c.Close()
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.conns, c)
}

// readTCP queues one message after the other. It returns nil if nothing that it read is left.
func (in *intake) readTCP(ctx context.Context, c *conn) error {
	r := bufio.NewReader(c)
	for {
		message, err := readMessage(r, int(in.MaxMessage))
		switch {
		case errors.Is(err, io.EOF) && !errors.Is(err, errCut):
			return nil
		case err != nil && ctx.Err() != nil && !errors.Is(err, errCut):
			return nil // stopped, between two messages
		case err != nil:
			return err
		case len(message) == 0:
			continue
		}
		if c.failed.Load() != nil {
			return errCut
		}
		c.owed.Add(1)
		if err := in.put(ctx, line{toRecord(message, in.App), c}); err != nil {
			c.owed.Done()
			return err
		}
	}
}
