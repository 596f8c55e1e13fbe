package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sync/semaphore"

	"github.com/deis/logger/sdk"
)

// intake has what was read and is not delivered yet.
type intake struct {
	settings
	logger hclog.Logger
	room   *semaphore.Weighted // bytes of payloads that may still be queued
	queue  chan line           // closed by end

	lost    tally // lines by UDP
	refused tally // connections

	serving sync.WaitGroup // connections that are not closed yet
	mu      sync.Mutex
	conns   map[*conn]bool
	ended   bool // no connection is read any more
}

// line holds a payload, and the connection that it came by; nil for UDP.
type line struct {
	payload []byte
	from    *conn
}

const (
	// maxQueued is how many lines may be queued, and at most in a batch.
	maxQueued = 1 << 16
	// batchBytes is when a batch is large enough.
	batchBytes = 1 << 20
	// maxUnstored is how many batches may be delivered and not stored.
	maxUnstored = 64
)

func newIntake(set settings, logger hclog.Logger) *intake {
	return &intake{
		settings: set, logger: logger, conns: map[*conn]bool{}, queue: make(chan line, maxQueued),
		room:    semaphore.NewWeighted(int64(set.MaxPending)),
		lost:    tally{logger: logger, what: "lines that came by UDP are lost"},
		refused: tally{logger: logger, what: "connections are reset, since there are SYSLOG_MAX_CONNECTIONS"},
	}
}

// cost returns what a line takes of the room. One that is larger than all of it takes all of it.
func (in *intake) cost(l line) int64 { return min(int64(len(l.payload)), int64(in.MaxPending)) }

// offer queues a line if there is room.
func (in *intake) offer(l line) bool {
	if !in.room.TryAcquire(in.cost(l)) {
		return false
	}
	select {
	case in.queue <- l:
		return true
	default:
		in.room.Release(in.cost(l))
		return false
	}
}

// put queues a line, and waits for room until ctx ends.
func (in *intake) put(ctx context.Context, l line) error {
	if in.offer(l) {
		return nil
	}
	if err := in.room.Acquire(ctx, in.cost(l)); err != nil {
		return err
	}
	select {
	case in.queue <- l:
		return nil
	case <-ctx.Done():
		in.room.Release(in.cost(l))
		return ctx.Err()
	}
}

// errSlow is why a line by UDP is lost that finds no room.
var errSlow = errors.New("the logger takes no more: SYSLOG_MAX_PENDING_BYTES wait for it")

// end says that nothing more is queued.
func (in *intake) end() { close(in.queue) }

// readUDP takes a message from each datagram until ctx ends. Nobody can make a sender by UDP wait.
func (in *intake) readUDP(ctx context.Context, c net.PacketConn) error {
	datagram := make([]byte, 1<<16)
	for {
		n, _, err := c.ReadFrom(datagram)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read udp://%s: %w", c.LocalAddr(), err)
		}
		message := trimEnd(datagram[:min(n, int(in.MaxMessage))])
		if len(message) > 0 && !in.offer(line{payload: toRecord(message, in.App)}) {
			in.lost.add(1, errSlow)
		}
	}
}

// batch holds what one call delivers.
type batch struct {
	messages []sdk.Message
	lines    map[*conn]int // how many lines came by which connection
	bytes    int64
}

// gather waits for a line, and takes what is queued behind it. It returns nil after the end.
func (in *intake) gather() *batch {
	l, ok := <-in.queue
	if !ok {
		return nil
	}
	b := &batch{lines: map[*conn]int{}}
	for {
		b.messages = append(b.messages, sdk.Message{Payload: l.payload}) // syslog has no ids
		b.lines[l.from]++
		b.bytes += in.cost(l)
		if b.bytes >= batchBytes || len(b.messages) == maxQueued {
			return b
		}
		select {
		case l, ok = <-in.queue:
			if !ok {
				return b
			}
		default:
			return b
		}
	}
}

// delivered holds a batch that the host has, and its receipt.
type delivered struct {
	*batch
	receipt *sdk.Receipt
}

// deliverAll delivers what is queued until the end, one batch after the other, and waits until all
// of it is stored or refused.
func (in *intake) deliverAll(ctx context.Context, deliver sdk.Deliver) {
	unstored := make(chan delivered, maxUnstored)
	var settling sync.WaitGroup
	settling.Go(func() {
		for d := range unstored { // in the order in which the host stores
			<-d.receipt.Done()
			in.settle(d.batch, d.receipt.Err())
		}
	})
	// What was read may still be delivered when ctx ends; the host says until when.
	delivering := context.WithoutCancel(ctx)
	var refused error
	for b := in.gather(); b != nil; b = in.gather() {
		if refused == nil || ctx.Err() == nil {
			var receipt *sdk.Receipt
			if receipt, refused = deliver(delivering, b.messages); refused == nil {
				unstored <- delivered{b, receipt}
			}
		}
		in.room.Release(b.bytes)
		if refused != nil {
			in.settle(b, refused)
		}
	}
	close(unstored)
	settling.Wait()
}

// settle tells the senders of a batch what became of it.
func (in *intake) settle(b *batch, err error) {
	for c, n := range b.lines {
		switch {
		case c != nil:
			c.settle(n, err)
		case err != nil:
			in.lost.add(n, err)
		}
	}
}
