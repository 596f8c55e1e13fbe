package aggregatortest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/deis/logger/sdk"
)

// host takes what an aggregator delivers, and checks that the rules of the call are kept.
type host struct {
	mu       sync.Mutex
	batches  []*batch
	inside   int           // calls of deliver under way
	wrong    []string      // rules that were broken
	held     bool          // receipts stay open
	stopping bool          // all is refused
	gate     chan struct{} // if set, deliver waits until it closes
	slow     time.Duration // deliver takes so long

	// refuse, if set, returns deliver's error for a batch; outcome, if set, that of the receipt of
	// a batch that is not held. Both are called with the number of the batch, from 0.
	refuse, outcome func(n int) error

	// text, if set, returns the text that was published, from the payload that is delivered for it.
	text func(payload []byte) ([]byte, error)
}

// batch holds what one call delivered.
type batch struct {
	messages []sdk.Message // without payloads, which were lent
	lent     [][]byte      // the payloads as they were when they came
	payloads [][]byte      // what was published, from each of those
	receipt  *sdk.Receipt
}

func (h *host) deliver(ctx context.Context, messages []sdk.Message) (*sdk.Receipt, error) {
	h.mu.Lock()
	if h.inside++; h.inside > 1 {
		h.wrong = append(h.wrong, "calls of deliver overlap: nobody knows their order")
	}
	gate, slow := h.gate, h.slow
	h.mu.Unlock()
	b, unread := newBatch(messages, h.text)
	defer func() {
		changed := slices.Concat(unread, b.changed(messages))
		for i := range messages {
			clear(messages[i].Payload) // it is the host's until it returns
		}
		h.mu.Lock()
		h.wrong = append(h.wrong, changed...)
		h.inside--
		h.mu.Unlock()
	}()
	time.Sleep(slow)
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case h.stopping:
		return nil, fmt.Errorf("the host stops: %w", sdk.ErrStopping)
	case len(messages) == 0:
		h.wrong = append(h.wrong, "a batch without messages was delivered")
	}
	n := len(h.batches)
	if h.refuse != nil {
		if err := h.refuse(n); err != nil {
			h.batches = append(h.batches, &batch{receipt: b.receipt}) // nothing was taken
			return nil, err
		}
	}
	h.batches = append(h.batches, b)
	switch {
	case h.held:
	case h.outcome != nil:
		b.receipt.Resolve(h.outcome(n))
	default:
		b.receipt.Resolve(nil)
	}
	return b.receipt, nil
}

// newBatch copies what a host gets. Wrong has the payloads that text cannot read.
func newBatch(messages []sdk.Message, text func([]byte) ([]byte, error)) (b *batch, wrong []string) {
	b = &batch{messages: slices.Clone(messages), receipt: sdk.NewReceipt()}
	for i := range b.messages {
		payload := bytes.Clone(messages[i].Payload)
		b.lent = append(b.lent, payload)
		b.messages[i].Payload = nil
		if text != nil {
			published, err := text(payload)
			if err != nil {
				wrong = append(wrong, fmt.Sprintf("the text of %.100q: %v", payload, err))
			}
			payload = published
		}
		b.payloads = append(b.payloads, payload)
	}
	return b, wrong
}

// changed returns which of the messages have another payload now.
func (b *batch) changed(messages []sdk.Message) (wrong []string) {
	for i, m := range messages {
		if !bytes.Equal(m.Payload, b.lent[i]) {
			wrong = append(wrong, fmt.Sprintf("message %d of a batch was changed while the host took it: %.40q became %.40q", i, b.lent[i], m.Payload))
		}
	}
	return wrong
}

// holding makes a host whose receipts stay open.
func holding() *host { return &host{held: true} }

// release resolves all receipts so far, and those to come, as stored.
func (h *host) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held = false
	h.outcome = nil
	for _, b := range h.batches {
		b.receipt.Resolve(nil)
	}
}

// stop does what a host does when its stop timeout is over.
func (h *host) stop() {
	h.mu.Lock()
	h.stopping = true
	gate := h.gate
	h.gate = nil
	batches := slices.Clone(h.batches)
	h.mu.Unlock()
	if gate != nil {
		close(gate)
	}
	for _, b := range batches {
		b.receipt.Resolve(fmt.Errorf("the host stops: %w", sdk.ErrStopping))
	}
}

// block makes deliver wait until open.
func (h *host) block() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gate = make(chan struct{})
}

func (h *host) open() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.gate)
	h.gate = nil
}

// all returns the batches so far.
func (h *host) all() []*batch {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.batches)
}

// payloads returns the payloads of all messages so far, as they were when they came.
func (h *host) payloads() (all [][]byte) {
	for _, b := range h.all() {
		all = append(all, b.payloads...)
	}
	return all
}

// count returns how many messages came so far, repeated ones too.
func (h *host) count() int { return len(h.payloads()) }

// times returns how often a payload came.
func (h *host) times(payload []byte) (n int) {
	for _, p := range h.payloads() {
		if bytes.Equal(p, payload) {
			n++
		}
	}
	return n
}

// problems returns the rules that were broken.
func (h *host) problems() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.wrong[:min(len(h.wrong), 3)])
}
