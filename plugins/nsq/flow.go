package nsq

import (
	"context"
	"slices"
	"sync"
	"time"

	gonsq "github.com/nsqio/go-nsq"

	"github.com/deis/logger/sdk"
)

// messageOverhead is about what a message takes on the wire to the host beside its
// body.
const messageOverhead = 40

// limits bound what a flow holds.
type limits struct {
	handlers      int // batches under way
	batchMessages int
	batchBytes    int // one larger message makes a batch of its own
	inFlight      int // messages held, of all connections
	heldBytes     int
}

// held is a message that nsqd waits to hear of.
type held struct {
	msg     *gonsq.Message
	size    int
	touched time.Time       // when nsqd last began to count its timeout, or just after
	lost    <-chan struct{} // closed when the connection that it came by is broken
}

// batch is a run of messages that goes to the host in one delivery.
type batch struct {
	held    []held
	receipt *sdk.Receipt // set once delivered
}

// messages are the batch as the host gets it. The bodies are the host's then, and
// no longer kept here.
func (b *batch) messages() []sdk.Message {
	ids := make([]byte, 0, len(b.held)*gonsq.MsgIDLength)
	for i := range b.held {
		ids = append(ids, b.held[i].msg.ID[:]...)
	}
	text := string(ids) // one allocation for all
	out := make([]sdk.Message, len(b.held))
	for i := range b.held {
		m := b.held[i].msg
		out[i] = sdk.Message{
			ID:        text[i*gonsq.MsgIDLength : (i+1)*gonsq.MsgIDLength],
			Payload:   m.Body,
			Published: time.Unix(0, m.Timestamp).UTC(),
			Attempts:  uint32(m.Attempts),
		}
		m.Body = nil
	}
	return out
}

// flow holds every message from its arrival until its outcome is known, in the
// order of arrival: first pending, then in a batch under way.
//
// Batches clock themselves. With nothing under way what is pending goes at once,
// be it one message; else it gathers until a batch is full or nothing is under
// way any more. No timer is involved.
type flow struct {
	limits
	wake chan struct{} // has a value once a batch may have become ready

	mu       sync.Mutex
	stopped  bool // nothing is taken any more
	draining bool // next ends once nothing is held
	pending  []held
	waiting  int // size of pending
	underWay []*batch
	messages int // held in all
	bytes    int // held in all
	paused   bool
	stored   storedIDs
	// again has the redeliveries of held messages, oldest first. Usually empty.
	again map[gonsq.MessageID][]*gonsq.Message
	// orphans are the held messages whose connection broke. Usually empty.
	orphans map[gonsq.MessageID]struct{}
}

func newFlow(l limits) *flow {
	return &flow{
		limits: l,
		wake:   make(chan struct{}, 1),
		stored: newStoredIDs(max(l.inFlight, syncEvery)),
		again:  map[gonsq.MessageID][]*gonsq.Message{},

		orphans: map[gonsq.MessageID]struct{}{},
	}
}

// receive takes a message that has arrived, and says what the caller has to do.
// Calls are in the order of arrival. The message's connection closes lost when it
// breaks, and then calls orphan.
func (f *flow) receive(m *gonsq.Message, lost <-chan struct{}) arrival {
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stopped {
		return arrivalRefused
	}
	stored, h := f.known(m)
	switch {
	case stored:
		return arrivalStored
	case h != nil:
		h.touched, h.lost = now, lost
		m.Body = nil
		f.again[m.ID] = append(f.again[m.ID], m)
		delete(f.orphans, m.ID)
		f.checkOrphan(h)
		return arrivalTaken
	}
	size := len(m.Body) + messageOverhead
	f.pending = append(f.pending, held{msg: m, size: size, touched: now, lost: lost})
	f.checkOrphan(&f.pending[len(f.pending)-1])
	f.waiting += size
	f.messages++
	f.bytes += size
	if f.ready() {
		f.signal()
	}
	if f.full() && !f.paused {
		return arrivalFilled
	}
	return arrivalTaken
}

// known says whether a message that arrives is stored already, or else which held one
// it is.
//
// nsqd delivers again what timed out, what a lost connection had, and what was in
// flight longer than its --max-msg-timeout. None of that makes it another message,
// and its attempts tell. They do not when nsqd was killed and reads its disk queue
// again; but then the connection broke, and what to look for has been put aside.
func (f *flow) known(m *gonsq.Message) (stored bool, h *held) {
	if m.Attempts != 1 {
		if f.stored.has(m.ID) {
			return true, nil
		}
		return false, f.find(m.ID)
	}
	if f.stored.inDoubt(m.ID) {
		return true, nil
	}
	if _, ok := f.orphans[m.ID]; ok {
		return false, f.find(m.ID)
	}
	return false, nil
}

// arrival is what becomes of a message that nsqd sent.
type arrival int

const (
	arrivalTaken   arrival = iota // answered when its outcome is known
	arrivalFilled                 // the same, and the connection is to be paused
	arrivalRefused                // to be given back: the flow has stopped
	arrivalStored                 // to be finished: it is stored, only its FIN got lost
)

// full says that nsqd should send no more. In number, nsqd itself sees to that, but
// only for messages of a living connection.
func (f *flow) full() bool {
	return f.bytes > f.heldBytes || f.messages > 2*f.inFlight
}

// find looks for a held message. It walks all, which redeliveries are rare enough
// for; an index would cost every message.
func (f *flow) find(id gonsq.MessageID) *held {
	same := func(h held) bool { return h.msg.ID == id }
	for _, b := range f.underWay {
		if i := slices.IndexFunc(b.held, same); i >= 0 {
			return &b.held[i]
		}
	}
	if i := slices.IndexFunc(f.pending, same); i >= 0 {
		return &f.pending[i]
	}
	return nil
}

// ready says whether a batch can go.
func (f *flow) ready() bool {
	switch {
	case f.stopped, len(f.pending) == 0, len(f.underWay) >= f.handlers:
		return false
	case len(f.underWay) == 0:
		return true
	}
	return len(f.pending) >= f.batchMessages || f.waiting >= f.batchBytes
}

func (f *flow) signal() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// next waits for the next batch, which counts as under way from then on. It is nil
// when ctx has ended, and after drain once nothing is held. One goroutine calls it.
func (f *flow) next(ctx context.Context) *batch {
	for ctx.Err() == nil {
		if b := f.take(); b != nil {
			return b
		}
		if f.drained() {
			return nil
		}
		select {
		case <-f.wake:
		case <-ctx.Done():
		}
	}
	return nil
}

func (f *flow) take() *batch {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.ready() {
		return nil
	}
	n, size := 0, 0
	for n < min(len(f.pending), f.batchMessages) {
		if size += f.pending[n].size; n > 0 && size > f.batchBytes {
			size -= f.pending[n].size
			break
		}
		n++
	}
	b := &batch{held: slices.Clone(f.pending[:n])}
	f.pending = slices.Delete(f.pending, 0, n) // moves what is left, and frees the rest
	f.waiting -= size
	f.underWay = append(f.underWay, b)
	return b
}

// settle lets go of a batch whose outcome is known, and returns all messages to
// answer nsqd with.
func (f *flow) settle(b *batch, stored bool) []*gonsq.Message {
	out := make([]*gonsq.Message, len(b.held))
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range b.held {
		h := &b.held[i]
		out[i] = h.msg
		f.bytes -= h.size
		delete(f.orphans, h.msg.ID)
		if !stored {
			continue
		}
		f.stored.add(h.msg.ID)
		select {
		case <-h.lost: // its FIN goes nowhere
			f.stored.doubt()
		default:
		}
	}
	f.messages -= len(b.held)
	if len(f.again) > 0 {
		for i := range b.held {
			id := b.held[i].msg.ID
			out = append(out, f.again[id]...)
			delete(f.again, id)
		}
	}
	if i := slices.Index(f.underWay, b); i >= 0 {
		f.underWay = slices.Delete(f.underWay, i, i+1)
	}
	if f.draining || f.ready() {
		f.signal()
	}
	return out
}

// due are the messages that nsqd last heard of age ago or earlier. They count as
// touched from now on.
func (f *flow) due(now time.Time, age time.Duration) []*gonsq.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []*gonsq.Message
	collect := func(all []held) {
		for i := range all {
			h := &all[i]
			if now.Sub(h.touched) < age {
				continue
			}
			h.touched = now
			m := h.msg
			if again := f.again[m.ID]; len(again) > 0 {
				m = again[len(again)-1] // the connection that has it now
			}
			out = append(out, m)
		}
	}
	for _, b := range f.underWay {
		collect(b.held)
	}
	collect(f.pending)
	return out
}

// open says whether nsqd may send more. Once it may not, that lasts until there is
// room to speak of.
func (f *flow) open() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.full():
		f.paused = true
	case f.bytes <= f.heldBytes/2 && f.messages <= f.inFlight:
		f.paused = false
	}
	return !f.stopped && !f.paused
}

// doubt is called when FINs may have got lost.
func (f *flow) doubt() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stored.doubt()
}

// orphan is called when a connection has closed its lost: FINs may have got lost with
// it, and nsqd will deliver again what is held of it.
func (f *flow) orphan() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stored.doubt()
	for _, b := range f.underWay {
		for i := range b.held {
			f.checkOrphan(&b.held[i])
		}
	}
	for i := range f.pending {
		f.checkOrphan(&f.pending[i])
	}
}

// checkOrphan puts a held message among the orphans if its connection is broken.
func (f *flow) checkOrphan(h *held) {
	select {
	case <-h.lost:
		f.orphans[h.msg.ID] = struct{}{}
	default:
	}
}

// drain makes next end once nothing is held.
func (f *flow) drain() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.draining = true
	f.signal()
}

func (f *flow) drained() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.draining && f.messages == 0
}

// stop takes nothing more, and returns what was pending: it goes back to nsqd.
// Batches under way stay until they are settled.
func (f *flow) stop() []*gonsq.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	var out []*gonsq.Message
	for i := range f.pending {
		m := f.pending[i].msg
		out = append(out, m)
		out = append(out, f.again[m.ID]...)
		delete(f.again, m.ID)
		delete(f.orphans, m.ID)
		f.bytes -= f.pending[i].size
	}
	f.messages -= len(f.pending)
	f.pending, f.waiting = nil, 0
	return out
}
