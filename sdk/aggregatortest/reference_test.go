package aggregatortest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deis/logger/sdk"
)

// fault names one way to break the contract; the empty one keeps it.
type fault string

// movesMessages names behaviour that is no fault: the contract wants counts of roughly the moment
// of the call. A moving message is counted nowhere every other time.
const movesMessages = "moves messages"

// queue holds a transport in memory.
type queue struct {
	mu      sync.Mutex
	last    int
	waiting []*queued
	flying  map[*queued]bool
	broken  bool
	changed chan struct{} // closed and replaced at each change
}

type queued struct {
	id       string
	payload  []byte
	attempts uint32
}

func newQueue() *queue { return &queue{flying: map[*queued]bool{}, changed: make(chan struct{})} }

func (q *queue) change() {
	close(q.changed)
	q.changed = make(chan struct{})
}

func (q *queue) Publish(payloads ...[]byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, p := range payloads {
		q.last++
		q.waiting = append(q.waiting, &queued{id: fmt.Sprint(q.last), payload: bytes.Clone(p)})
	}
	q.change()
	return nil
}

func (q *queue) Outstanding() (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.waiting) + len(q.flying), nil
}

func (q *queue) Break() error { return q.setBroken(true) }
func (q *queue) Mend() error  { return q.setBroken(false) }

func (q *queue) setBroken(broken bool) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.broken = broken
	q.change()
	return nil
}

// take waits for messages, and returns at most most of them. It returns none if ctx ended, or with
// an error.
func (q *queue) take(ctx context.Context, most int, away error) ([]*queued, error) {
	for {
		q.mu.Lock()
		changed := q.changed
		switch {
		case ctx.Err() != nil:
			q.mu.Unlock()
			return nil, nil
		case q.broken && away != nil:
			q.mu.Unlock()
			return nil, away
		case !q.broken && len(q.waiting) > 0:
			taken := slices.Clone(q.waiting[:min(most, len(q.waiting))])
			q.waiting = slices.Delete(q.waiting, 0, len(taken))
			for _, m := range taken {
				m.attempts++
				q.flying[m] = true
			}
			q.mu.Unlock()
			return taken, nil
		}
		q.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-changed:
		}
	}
}

// settle ends the flight of the messages.
func (q *queue) settle(messages []*queued, stored bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var back []*queued
	for _, m := range messages {
		if q.flying[m] && (!stored || q.broken) {
			back = append(back, m)
		}
		delete(q.flying, m)
	}
	q.waiting = append(back, q.waiting...)
	q.change()
}

// reference consumes a queue in the plainest way.
type reference struct {
	fault fault
	queue *queue
	over  <-chan struct{} // closed at the end of the test, when even faulty calls that never end have to end

	mu  sync.Mutex
	all []*queued // taken but not settled

	asked atomic.Uint64 // by calls of Queues
}

var (
	_ sdk.Aggregator = (*reference)(nil)
	_ sdk.Checker    = (*reference)(nil)

	_ sdk.QueueLister = (*reference)(nil)
)

func (r *reference) Check(ctx context.Context) error {
	if r.fault == "hangs in checks" {
		<-ctx.Done()
		time.Sleep(2 * time.Second)
	}
	r.queue.mu.Lock()
	defer r.queue.mu.Unlock()
	if r.fault == "never ready" || r.queue.broken && r.fault != "always ready" {
		return errors.New("the queue is away")
	}
	return nil
}

func (r *reference) Queues(context.Context) ([]sdk.QueueInfo, error) {
	r.queue.mu.Lock()
	q := sdk.QueueInfo{Queue: "memory", Waiting: uint64(len(r.queue.waiting)), InFlight: uint64(len(r.queue.flying))}
	r.queue.mu.Unlock()
	switch r.fault {
	case "tells of no queues":
		return nil, sdk.ErrUnsupported
	case movesMessages:
		if q.InFlight > 0 && r.asked.Add(1)%2 == 0 {
			q.InFlight--
		}
	case "counts what waits alone", "counts what waits alone, and begins late":
		q.InFlight = 0
	case "cannot ask its queue":
		q.Reason = "no idea"
	case "tells a queue twice":
		return []sdk.QueueInfo{q, {Queue: q.Queue}}, nil
	case "a queue without a name":
		q.Queue = ""
	case "hangs in queues":
		time.Sleep(3 * time.Second)
	}
	return []sdk.QueueInfo{q}, nil
}

func (r *reference) Run(ctx context.Context, deliver sdk.Deliver) error {
	if r.fault == "counts what waits alone, and begins late" {
		time.Sleep(time.Second)
	}
	var owed sync.WaitGroup
	if r.fault != "does not wait for receipts" {
		defer owed.Wait()
	}
	taking := ctx
	if r.fault == "takes more after the stop" {
		var cancel context.CancelFunc
		taking, cancel = context.WithCancel(context.WithoutCancel(ctx))
		defer context.AfterFunc(ctx, func() { time.AfterFunc(time.Second, cancel) })()
	}
	var away error
	if r.fault == "gives up when away" {
		away = errors.New("the queue is away")
	}
	if r.fault == "delivers nothing" {
		<-ctx.Done()
		return nil
	}
	for {
		messages, err := r.queue.take(taking, 64, away)
		if err != nil {
			return err
		}
		if messages == nil {
			break
		}
		if r.fault == "reversed batches" {
			slices.Reverse(messages)
		}
		batch := make([]sdk.Message, len(messages))
		for i, m := range messages {
			batch[i] = sdk.Message{ID: m.id, Payload: bytes.Clone(m.payload), Attempts: m.attempts}
			r.spoil(&batch[i], m)
		}
		if r.fault == "acknowledges at once" {
			r.queue.settle(messages, true)
		}
		if r.fault == "overlaps" {
			owed.Go(func() { _ = r.deliver(ctx, deliver, batch, messages, &owed) })
			continue
		}
		if err := r.deliver(ctx, deliver, batch, messages, &owed); err != nil && ctx.Err() == nil {
			return err
		}
	}
	switch r.fault {
	case "ends with an error":
		return ctx.Err()
	case "never ends":
		<-r.over
	}
	return nil
}

func (r *reference) spoil(message *sdk.Message, m *queued) {
	switch r.fault {
	case "trims payloads":
		message.Payload = bytes.TrimSpace(message.Payload)
	case "as text":
		message.Payload = bytes.ToValidUTF8(message.Payload, []byte("?"))
	case "rewrites JSON":
		var b bytes.Buffer
		if json.Compact(&b, message.Payload) == nil {
			message.Payload = b.Bytes()
		}
	case "decodes JSON":
		var record map[string]any
		if json.Unmarshal(message.Payload, &record) == nil {
			message.Payload, _ = json.Marshal(record)
		}
	case "the first line alone":
		message.Payload, _, _ = bytes.Cut(message.Payload, []byte("\n"))
	case "one id for all":
		message.ID = "id"
	case "published in seconds":
		message.Published = time.Unix(0, time.Now().Unix())
	case "published in milliseconds":
		message.Published = time.Unix(0, time.Now().UnixMilli())
	case "keeps the payload":
		message.Payload = m.payload
	case "new id each time":
		message.ID = fmt.Sprint(m.id, "-", m.attempts)
	case "always the first attempt":
		message.Attempts = 1
	}
}

// pauseBeforeReturn keeps a failed message back before it can come again. Without a pause, the
// messages would keep coming, and the clock of a bubble, which moves only while all goroutines
// wait, would stand still for ever.
const pauseBeforeReturn = time.Millisecond

// deliver hands over one batch and settles its messages by the outcome.
func (r *reference) deliver(ctx context.Context, deliver sdk.Deliver, batch []sdk.Message, messages []*queued, owed *sync.WaitGroup) error {
	delivering := context.WithoutCancel(ctx)
	if r.fault == "drops when blocked" {
		var cancel context.CancelFunc
		delivering, cancel = context.WithTimeout(delivering, 100*time.Millisecond)
		defer cancel()
	}
	if r.fault == "overwrites what it delivers" {
		time.AfterFunc(time.Millisecond/2, func() { clear(batch[0].Payload) })
	}
	receipt, err := deliver(delivering, batch)
	if err != nil {
		if r.fault == "drops when blocked" && ctx.Err() == nil {
			r.queue.settle(messages, true)
			return nil
		}
		time.Sleep(pauseBeforeReturn)
		r.queue.settle(messages, r.fault == "loses what deliver refuses")
		if errors.Is(err, sdk.ErrStopping) {
			return err
		}
		return nil
	}
	r.mu.Lock()
	r.all = append(r.all, messages...)
	r.mu.Unlock()
	owed.Go(func() {
		<-receipt.Done()
		failed := receipt.Err() != nil
		if failed {
			time.Sleep(pauseBeforeReturn)
		}
		switch {
		case r.fault == "acknowledges what failed":
			r.queue.settle(messages, true)
		case r.fault == "forgets what failed" && failed && ctx.Err() == nil:
		case r.fault == "acknowledges on stop" && ctx.Err() != nil:
			r.queue.settle(messages, true)
		case r.fault == "never acknowledges":
		case r.fault == "acknowledges all when one is stored" && !failed:
			r.mu.Lock()
			all := r.all
			r.all = nil
			r.mu.Unlock()
			r.queue.settle(all, true)
		default:
			r.queue.settle(messages, !failed)
		}
	})
	return nil
}
