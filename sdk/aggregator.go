package sdk

import (
	"context"
	"sync"
	"time"
)

// Aggregator takes raw messages from a transport.
type Aggregator interface {
	// Run takes messages from the transport and hands them to deliver, in order, until ctx ends.
	// While the transport is away, Run keeps trying (and Check reports it). An error ends the
	// plugin's work, and the host starts it again.
	//
	// It acknowledges to its transport only messages whose receipt says that they
	// are stored, and gives back those whose receipt failed.
	//
	// When ctx ends, Run takes nothing new from the transport. It may still deliver
	// what it has already received, with a context that has not ended, until a
	// receipt fails with [ErrStopping] or deliver fails. It waits for the receipts
	// that it is owed (all resolve soon after the host's stop timeout), acknowledges
	// what is stored, gives back the rest, and returns nil.
	Run(ctx context.Context, deliver Deliver) error
}

// QueueLister is an [Aggregator] that can say how many messages its transport has for it.
type QueueLister interface {
	// Queues asks each queue of the transport, one at a time or all at once, and returns each once,
	// in any order. It may be called at any time, before Run and after it too, and by several
	// callers at once. It touches no message.
	//
	// It answers before ctx ends, and within a second: a queue that has not answered by then is
	// returned with a Reason, like one that cannot be asked. An error means that nothing is known
	// of any queue.
	Queues(ctx context.Context) ([]QueueInfo, error)
}

// QueueInfo tells how many messages one queue of a transport had at about the moment of the call,
// for all consumers that share it.
type QueueInfo struct {
	// Queue names the queue in the terms of the transport ("10.0.0.7:4150"), in one line. The name
	// is the same in every call.
	Queue string
	// Waiting counts messages that are still to be handed out.
	Waiting uint64
	// InFlight counts messages that some consumer has and has neither acknowledged nor given back.
	InFlight uint64
	// Deferred counts messages that were given back, and wait for their time to come again.
	Deferred uint64
	// Reason says in one line why the queue could not be asked; the counts then mean nothing. It is
	// empty if the queue answered.
	Reason string
}

// Deliver hands a batch of at most 65,536 messages and 64 MiB to the host. Batches are stored in
// the order of the calls, so an aggregator makes one call at a time. Deliver blocks while the host
// is full, and returns once the batch is queued, before it is stored. So the aggregator can gather
// the next batch meanwhile. If there is no error, there is a receipt.
//
// Messages and payloads are lent to the host until Deliver returns: the host may write to them, and
// copies what it keeps. Afterwards the aggregator may use their memory again.
type Deliver func(ctx context.Context, messages []Message) (*Receipt, error)

// Message holds one raw message of a transport. Only the host decodes it.
type Message struct {
	// ID is the transport's identity of the message: the same when it is delivered
	// again. Empty if there is none.
	ID string
	// Payload is the message as the transport carried it.
	Payload []byte
	// Published is when the transport took the message; zero if unknown.
	Published time.Time
	// Attempts counts deliveries, this one included; 0 if unknown.
	Attempts uint32
	// Attributes are whatever else the transport says; usually nil.
	Attributes map[string]string
}

// Receipt tells the outcome of one delivered batch.
type Receipt struct {
	done chan struct{}
	once sync.Once
	err  error
}

// NewReceipt makes an unresolved receipt. It is for hosts and tests.
func NewReceipt() *Receipt { return &Receipt{done: make(chan struct{})} }

// Resolve sets the outcome. Only the first call counts.
func (r *Receipt) Resolve(err error) {
	r.once.Do(func() {
		r.err = err
		close(r.done)
	})
}

// Done returns a channel that is closed once the outcome is known.
func (r *Receipt) Done() <-chan struct{} { return r.done }

// Err returns nil before Done is closed, and when every message of the batch is stored
// or rejected for good. [ErrStopping] means that the host stops and the messages
// go back to the transport.
func (r *Receipt) Err() error {
	select {
	case <-r.done:
		return r.err
	default:
		return nil
	}
}

// Wait waits for the outcome and returns it, or ctx's error.
func (r *Receipt) Wait(ctx context.Context) error {
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}
