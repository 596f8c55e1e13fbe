package pipeline

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/deis/logger/sdk"
)

// Storage is what the pipeline needs of a storage.
type Storage interface {
	// Append is as in [sdk.Storage].
	Append(ctx context.Context, batch sdk.Batch) error
	// Wait returns once the storage can be called, or with ctx's error.
	Wait(ctx context.Context) error
}

// Options configure a [Pipeline].
type Options struct {
	Storage Storage
	Logger  hclog.Logger
	// Registry gets the pipeline's metrics.
	Registry prometheus.Registerer
	// MaxLineBytes is the longest line that is kept whole.
	MaxLineBytes int
	// AppendTimeout bounds one try of one append.
	AppendTimeout time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

const (
	// batchEntries and batchBytes end a batch: what waits beyond them is the next.
	batchEntries = 4096
	batchBytes   = 256 << 10
	// queueBytes bounds what waits here; a delivery beyond it blocks, and so the
	// messages stay in the transport.
	queueBytes = 8 << 20
	// entryOverhead is what an entry without text counts for in these bounds.
	entryOverhead = 128
	// firstRetry and slowestRetry bound the pause between tries of an append.
	firstRetry   = 10 * time.Millisecond
	slowestRetry = time.Second
)

// Pipeline takes delivered messages to storage. Its [Pipeline.Deliver] is the
// [sdk.Deliver] of an aggregator; [Pipeline.Run] appends.
type Pipeline struct {
	opts    Options
	decoder decoder
	books   *books
	writer  string
	// sequence numbers batches; only Run touches it.
	sequence uint64
	seen     *recentIDs

	halt chan struct{} // closed by Stop
	once sync.Once

	mu      sync.Mutex
	queue   []delivery
	bytes   int           // of the queue
	stopped bool          // no delivery is taken any more
	arrived chan struct{} // has one token while the queue is not empty
	drained chan struct{} // closed and replaced when the queue shrinks
}

// delivery is one delivered batch of messages, decoded.
type delivery struct {
	entries []appEntry
	bytes   int
	receipt *sdk.Receipt
}

type appEntry struct {
	app   string
	entry sdk.Entry
}

// New makes a pipeline; nothing runs yet.
func New(opts Options) *Pipeline {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	p := &Pipeline{
		opts:    opts,
		decoder: decoder{maxLine: opts.MaxLineBytes, now: opts.Now},
		writer:  rand.Text(),
		seen:    newRecentIDs(),
		halt:    make(chan struct{}),
		arrived: make(chan struct{}, 1),
		drained: make(chan struct{}),
	}
	p.books = newBooks(opts.Registry, opts.Logger)
	return p
}

// Deliver implements [sdk.Deliver]. It decodes the messages, rejects those that
// cannot be used, and gives the others their place in the order.
func (p *Pipeline) Deliver(ctx context.Context, messages []sdk.Message) (*sdk.Receipt, error) {
	d := delivery{receipt: sdk.NewReceipt(), entries: make([]appEntry, 0, len(messages))}
	fresh := make([]messageID, 0, len(messages))
	for i := range messages {
		m := &messages[i]
		if !p.seen.add(idOf(m)) {
			p.books.duplicate()
			continue
		}
		var entry sdk.Entry
		app, err := p.decoder.decode(m, &entry)
		if r := (*rejection)(nil); errors.As(err, &r) {
			p.books.reject(r, m)
			continue
		}
		fresh = append(fresh, idOf(m))
		d.entries = append(d.entries, appEntry{app, entry})
		d.bytes += entryOverhead + len(entry.Message)
	}
	if err := p.enqueue(ctx, d); err != nil {
		// They go back to the transport: when they come again they are not known.
		p.seen.forget(fresh)
		return nil, err
	}
	return d.receipt, nil
}

// enqueue blocks while the queue is full. An empty queue takes anything.
func (p *Pipeline) enqueue(ctx context.Context, d delivery) error {
	for {
		p.mu.Lock()
		switch {
		case p.stopped:
			p.mu.Unlock()
			return sdk.ErrStopping
		case p.bytes == 0 || p.bytes+d.bytes <= queueBytes:
			p.queue = append(p.queue, d)
			p.bytes += d.bytes
			p.books.take(len(d.entries)) // before anyone can store them
			p.mu.Unlock()
			select {
			case p.arrived <- struct{}{}:
			default:
			}
			return nil
		}
		drained := p.drained
		p.mu.Unlock()
		select {
		case <-drained:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Stop ends Run from outside its context: an aggregator whose time to finish is up
// gets its receipts resolved while it still listens. It does not wait.
func (p *Pipeline) Stop() { p.once.Do(func() { close(p.halt) }) }

// Run appends what is delivered until ctx ends, or Stop. What is not stored by then
// is resolved with [sdk.ErrStopping], so that it goes back to the transport; of the
// append that is under way then, the outcome is unknown.
func (p *Pipeline) Run(ctx context.Context) error {
	defer p.stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { // ends with Run at the latest
		select {
		case <-p.halt:
			cancel()
		case <-ctx.Done():
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.arrived:
		}
		for taken := p.next(); len(taken) > 0; taken = p.next() {
			if err := p.store(ctx, taken); err != nil {
				return nil // ctx ended: stop resolves the receipts
			}
			p.remove(len(taken))
			for _, d := range taken {
				d.receipt.Resolve(nil)
			}
		}
	}
}

// next is the head of the queue that makes up the next batch. It stays in the queue
// until it is stored, so that the bounds count it.
func (p *Pipeline) next() []delivery {
	p.mu.Lock()
	defer p.mu.Unlock()
	n, entries, size := 0, 0, 0
	for _, d := range p.queue {
		if n > 0 && (entries+len(d.entries) > batchEntries || size+d.bytes > batchBytes) {
			break
		}
		n, entries, size = n+1, entries+len(d.entries), size+d.bytes
	}
	return p.queue[:n:n]
}

func (p *Pipeline) remove(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range p.queue[:n] {
		p.bytes -= d.bytes
	}
	p.queue = append([]delivery(nil), p.queue[n:]...)
	close(p.drained)
	p.drained = make(chan struct{})
}

func (p *Pipeline) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	for _, d := range p.queue {
		d.receipt.Resolve(fmt.Errorf("not stored: %w", sdk.ErrStopping))
	}
	close(p.drained)
	p.drained = make(chan struct{})
}

// store appends the entries of the deliveries as one batch. Its only error is the
// end of ctx.
func (p *Pipeline) store(ctx context.Context, taken []delivery) error {
	n := 0
	for _, d := range taken {
		n += len(d.entries)
	}
	entries := make([]appEntry, 0, n)
	for _, d := range taken {
		entries = append(entries, d.entries...)
	}
	return p.storeEntries(ctx, entries)
}
