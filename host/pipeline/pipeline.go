package pipeline

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/deis/logger/sdk"
)

// Storage has the calls of a storage that the pipeline needs.
type Storage interface {
	// Append and Read are as in [sdk.Storage].
	Append(ctx context.Context, batch sdk.Batch) error
	Read(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error)
	// Wait returns once the storage can be called, or with ctx's error.
	Wait(ctx context.Context) error
	// Ready reports whether storage says that it can do its work now.
	Ready() bool
}

// Options configure a [Pipeline].
type Options struct {
	Storage Storage
	Logger  hclog.Logger
	// Registry gets the pipeline's metrics.
	Registry prometheus.Registerer
	// MaxLineBytes is the longest line that is kept whole.
	MaxLineBytes int
	// Selection says which records are lines of which app. It must be compiled.
	Selection *Selection
	// AppendTimeout bounds one try of one append.
	AppendTimeout time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

const (
	// batchEntries and batchBytes bound a batch: what waits beyond them is for the next. A large
	// batch costs a storage much less per entry. So the bounds are beyond what an aggregator has in
	// flight of ordinary lines: nothing that waits is left out. They are also as much as gRPC has
	// buffers for (1 MiB).
	batchEntries = 4096
	batchBytes   = 1 << 20
	// queueBytes bounds what waits here. A delivery beyond it blocks, so that messages stay in the
	// transport.
	queueBytes = 8 << 20
	// entryOverhead is the number of bytes that an entry counts for in these bounds beside its
	// message, unless its labels are longer together.
	entryOverhead = 128
	// deliveryOverhead is the number of bytes that a delivery counts for beside its entries. It has
	// no entries if all records were rejected.
	deliveryOverhead = 256
	// firstRetry and slowestRetry bound the pause between tries of an append.
	firstRetry   = 10 * time.Millisecond
	slowestRetry = time.Second
)

// Pipeline takes delivered messages to storage. [Pipeline.Deliver] is the [sdk.Deliver] of an
// aggregator; [Pipeline.Run] appends.
type Pipeline struct {
	opts     Options
	books    *books
	writer   string
	sequence uint64      // of the last batch; only Run uses this and spare
	spare    []sdk.Entry // memory for the next batch

	// arrival guards the decoder and the ids that were seen.
	arrival sync.Mutex
	decoder decoder
	seen    *recentIDs

	halt chan struct{} // closed by Stop
	once sync.Once

	mu      sync.Mutex
	queue   []delivery
	bytes   int           // of the queue
	stopped bool          // no delivery is taken any more
	arrived chan struct{} // has a value while the queue is not empty
	drained chan struct{} // closed when the queue shrinks; nil while nobody waits for it
}

// delivery holds one delivered batch of messages, decoded.
type delivery struct {
	entries []appEntry
	bytes   int
	receipt *sdk.Receipt
}

type appEntry struct {
	app   string
	entry sdk.Entry
	mark  idMark // by which the message is remembered
	// again says that the transport delivered the message before, to whichever consumer, and that
	// the entry has the message's publish time, by which dropStored finds it.
	again bool
}

// size returns how many bytes the entry counts for in the bounds.
func (e *appEntry) size() int {
	x := &e.entry
	labels := len(e.app) + len(x.Process) + len(x.Release) + len(x.Pod) + len(x.Container) + len(x.Stream) + len(x.Host)
	return max(entryOverhead, labels) + len(x.Message)
}

// New makes a pipeline; nothing runs yet.
func New(opts Options) *Pipeline {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	p := &Pipeline{
		opts:    opts,
		decoder: decoder{maxLine: opts.MaxLineBytes, selection: opts.Selection, containers: new(containers)},
		writer:  rand.Text(),
		seen:    newRecentIDs(),
		halt:    make(chan struct{}),
		arrived: make(chan struct{}, 1),
	}
	p.books = newBooks(opts.Registry, opts.Logger)
	return p
}

// Deliver implements [sdk.Deliver]. It decodes the messages, rejects those that
// cannot be used, and gives the others their place in the order.
func (p *Pipeline) Deliver(ctx context.Context, messages []sdk.Message) (*sdk.Receipt, error) {
	arrival := p.opts.Now().Round(0)
	p.books.arrive(messages, arrival)
	d := p.decode(messages, arrival)
	if err := p.enqueue(ctx, d); err != nil {
		// They go back to the transport: when they come again they are not known.
		p.arrival.Lock()
		for i := range d.entries {
			p.seen.forget(d.entries[i].mark)
		}
		p.arrival.Unlock()
		return nil, err
	}
	return d.receipt, nil
}

// entriesPool keeps the memory of deliveries that are stored: without it, a quarter of the host's
// work would be collecting garbage.
var entriesPool sync.Pool

func spareEntries(n int) []appEntry {
	if e, _ := entriesPool.Get().(*[]appEntry); e != nil && cap(*e) >= n {
		return (*e)[:0]
	}
	return make([]appEntry, 0, n)
}

func keepSpare(entries []appEntry) {
	if cap(entries) <= batchEntries { // not a rare large one
		clear(entries)
		entriesPool.Put(&entries)
	}
}

// decode makes a delivery of the messages. It keeps nothing of them.
func (p *Pipeline) decode(messages []sdk.Message, arrival time.Time) delivery {
	d := delivery{receipt: sdk.NewReceipt(), entries: spareEntries(len(messages)), bytes: deliveryOverhead}
	p.arrival.Lock()
	defer p.arrival.Unlock()
	p.decoder.arrival = arrival
	var latest []byte // the last record that became an entry
	for i := range messages {
		m := &messages[i]
		mark, fresh := p.seen.add(m)
		if !fresh {
			p.books.duplicate()
			continue
		}
		p.decoder.decode(m, func(app string, e *sdk.Entry, err error) {
			if err != nil {
				p.books.rejectRecord(err, m, p.decoder.start)
				return
			}
			latest = m.Payload[p.decoder.start:]
			d.entries = append(d.entries, appEntry{
				app: app, entry: *e, mark: mark, again: m.Attempts > 1 && e.Published.Equal(m.Published),
			})
			d.bytes += d.entries[len(d.entries)-1].size()
		})
	}
	p.books.see(&p.decoder.forms, latest)
	p.decoder.forms = recordForms{}
	return d
}

// enqueue adds a delivery to the queue, and blocks while that is full. An empty queue takes
// anything.
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
		if p.drained == nil {
			p.drained = make(chan struct{})
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

// Stop ends Run from outside its context. So an aggregator whose time to finish is up gets its
// receipts resolved while it still listens. Stop does not wait.
func (p *Pipeline) Stop() { p.once.Do(func() { close(p.halt) }) }

// Run appends what is delivered until ctx ends, or Stop is called. Receipts of what is not stored
// by then are resolved with [sdk.ErrStopping], so that the messages go back to the transport. Of an
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
			if err := p.dropStored(ctx, taken); err != nil {
				return nil // ctx ended: stop resolves the receipts
			}
			var err error
			if taken, err = p.store(ctx, taken); err != nil {
				return nil
			}
			p.remove(taken)
			for i := range taken {
				taken[i].receipt.Resolve(nil)
				keepSpare(taken[i].entries)
			}
		}
	}
}

// next returns the deliveries of the next batch, from the head of the queue. They stay in the queue
// until they are stored, so that the bounds count them.
func (p *Pipeline) next() []delivery { return p.nextAfter(0) }

// nextAfter returns the deliveries of a batch that begins behind the first n of the queue.
func (p *Pipeline) nextAfter(n int) []delivery {
	p.mu.Lock()
	defer p.mu.Unlock()
	last, entries, size := n, 0, 0
	for _, d := range p.queue[n:] {
		if last > n && (entries+len(d.entries) > batchEntries || size+d.bytes > batchBytes) {
			break
		}
		last, entries, size = last+1, entries+len(d.entries), size+d.bytes
	}
	return slices.Clone(p.queue[n:last])
}

// remove removes the taken deliveries from the head of the queue.
func (p *Pipeline) remove(taken []delivery) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range taken {
		p.bytes -= taken[i].bytes
	}
	left := copy(p.queue, p.queue[len(taken):])
	clear(p.queue[left:])
	p.queue = p.queue[:left]
	p.wakeBlocked()
}

// wakeBlocked makes deliveries that wait for room look again.
func (p *Pipeline) wakeBlocked() {
	if p.drained != nil {
		close(p.drained)
		p.drained = nil
	}
}

func (p *Pipeline) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	for _, d := range p.queue {
		d.receipt.Resolve(fmt.Errorf("not stored: %w", sdk.ErrStopping))
	}
	p.wakeBlocked()
}
