package nsq

import (
	"context"
	"slices"
	"sync"
	"time"

	gonsq "github.com/nsqio/go-nsq"

	"github.com/deis/logger/sdk"
)

// messageOverhead is about how many bytes a message takes on the wire to the host beside its body.
const messageOverhead = 40

// limits bound what a flow holds.
type limits struct {
	handlers      int // batches under way
	batchMessages int
	batchBytes    int // one larger message makes a batch of its own
	inFlight      int // messages held, of all connections
	heldBytes     int
}

// held records a message for which nsqd waits for an answer.
type held struct {
	message
	// conn is the last connection that delivered the message: the answer goes there. Latest is the
	// number of attempts that nsqd counted then.
	conn    *conn
	latest  uint16
	size    int
	touched time.Time // when nsqd last began to count its timeout, or just after
}

// batch holds messages that go to the host in one delivery.
type batch struct {
	held    []held
	size    int
	lent    []sdk.Message // to the host
	receipt *sdk.Receipt  // set once delivered
}

// messages returns the batch as the host gets it. They are valid until they are given back. It does
// not read conn and latest, which may change.
func (b *batch) messages() []sdk.Message {
	ids := make([]byte, 0, len(b.held)*gonsq.MsgIDLength)
	for i := range b.held {
		ids = append(ids, b.held[i].id[:]...)
	}
	text := string(ids) // one allocation for all
	b.lent = slices.Grow(b.lent[:0], len(b.held))
	for i := range b.held {
		h := &b.held[i]
		b.lent = append(b.lent, sdk.Message{
			ID:        text[i*gonsq.MsgIDLength : (i+1)*gonsq.MsgIDLength],
			Payload:   h.body,
			Published: time.Unix(0, h.published).UTC(),
			Attempts:  uint32(h.attempts),
		})
	}
	return b.lent
}

// giveBack gives the memory of the bodies back once the host has taken or refused the messages.
// Nobody needs the bodies any more, and their chunks are read into again.
func (b *batch) giveBack() {
	clear(b.lent)
	for i := 0; i < len(b.held); {
		c, first := b.held[i].chunk, i
		for ; i < len(b.held) && b.held[i].chunk == c; i++ {
			b.held[i].body, b.held[i].chunk = nil, nil
		}
		if c != nil {
			c.giveBack(i - first)
		}
	}
}

// flow holds every message from its arrival until its outcome is known, in the
// order of arrival: first pending, then in a batch under way.
//
// Batches clock themselves, without a timer. While nothing is under way, pending messages go at
// once, even a single one. Otherwise they gather until a batch is full or nothing is under way any
// more.
type flow struct {
	limits
	wake chan struct{} // has a value once a batch may have become ready

	mu       sync.Mutex
	stopped  bool     // nothing is taken any more
	draining bool     // next ends once nothing is held
	pending  []*batch // all but the last are full
	underWay []*batch
	spare    []*batch // empty, to be used again
	messages int      // held in all
	bytes    int      // held in all
	paused   bool
	stored   storedIDs
	// orphans are the held messages whose connection broke. Usually empty.
	orphans map[messageKey]struct{}
}

func newFlow(l limits) *flow {
	return &flow{
		limits:  l,
		wake:    make(chan struct{}, 1),
		stored:  newStoredIDs(max(l.inFlight, syncEvery)),
		orphans: map[messageKey]struct{}{},
	}
}

// receive takes messages that a connection brought, in the order of arrival. It holds them, or
// answers them at once. Filled says whether nsqd has to be told to pause. A connection that breaks
// calls orphan.
func (f *flow) receive(c *conn, messages []message, now time.Time) (filled bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.lost.Load() {
		return false // nsqd delivers them again
	}
	for i := range messages {
		m := &messages[i]
		if f.stopped {
			c.requeue(&m.id)
			continue
		}
		stored, h := f.known(m)
		switch {
		case stored: // only its FIN got lost
			c.finish(&m.id)
		case h != nil:
			// nsqd waits for an answer to its last delivery, on that connection.
			h.conn.inFlight--
			c.inFlight++
			h.conn, h.latest, h.touched = c, m.attempts, now
			delete(f.orphans, h.messageKey)
		default:
			f.hold(c, m, now)
		}
	}
	if f.ready() {
		f.signal()
	}
	return f.full() && !f.paused
}

// hold adds a new message after all others.
func (f *flow) hold(c *conn, m *message, now time.Time) {
	size := len(m.body) + messageOverhead
	var b *batch
	if n := len(f.pending); n > 0 {
		b = f.pending[n-1]
	}
	if b == nil || len(b.held) >= f.batchMessages || b.size+size > f.batchBytes {
		b = f.newBatch()
		f.pending = append(f.pending, b)
	}
	b.held = append(b.held, held{message: *m, conn: c, latest: m.attempts, size: size, touched: now})
	b.size += size
	c.inFlight++
	f.messages++
	f.bytes += size
}

// maxSpare bounds the empty batches that are kept, and maxSpareMessages the size of each.
const (
	maxSpare         = 4
	maxSpareMessages = 2 * maxBatchMessages
)

func (f *flow) newBatch() *batch {
	n := len(f.spare)
	if n == 0 {
		return &batch{}
	}
	b := f.spare[n-1]
	f.spare = f.spare[:n-1]
	return b
}

// recycle takes back a batch that was settled and answered.
func (f *flow) recycle(b *batch) {
	if cap(b.held) > maxSpareMessages {
		return
	}
	clear(b.held) // what it points to is not kept
	*b = batch{held: b.held[:0], lent: b.lent[:0]}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.spare) < maxSpare {
		f.spare = append(f.spare, b)
	}
}

// known returns whether a message that arrives is stored already, or else the held message that it
// is, if any.
//
// nsqd delivers again what timed out, what a lost connection had, and what was in flight longer
// than its --max-msg-timeout. It is still the same message, and its attempts show that it came
// before. They do not if nsqd was killed and reads its disk queue again. But then the connection
// broke, and the messages to look for have been put aside.
func (f *flow) known(m *message) (stored bool, h *held) {
	if m.attempts != 1 {
		if f.stored.has(m.messageKey) {
			return true, nil
		}
		return false, f.find(m.messageKey)
	}
	if f.stored.inDoubt(m.messageKey) {
		return true, nil
	}
	if _, ok := f.orphans[m.messageKey]; ok {
		return false, f.find(m.messageKey)
	}
	return false, nil
}

// full reports whether nsqd should send no more. Nsqd itself bounds the number of messages, but
// only those of living connections.
func (f *flow) full() bool {
	return f.bytes > f.heldBytes || f.messages > 2*f.inFlight
}

// find looks for a held message. It walks over all: redeliveries are rare, and an index would cost
// time for every message.
func (f *flow) find(key messageKey) *held {
	for _, all := range [][]*batch{f.underWay, f.pending} {
		for _, b := range all {
			for i := range b.held {
				if b.held[i].messageKey == key {
					return &b.held[i]
				}
			}
		}
	}
	return nil
}

// ready reports whether a batch can go.
func (f *flow) ready() bool {
	switch {
	case f.stopped, len(f.pending) == 0, len(f.underWay) >= f.handlers:
		return false
	case len(f.underWay) == 0, len(f.pending) > 1:
		return true
	}
	return len(f.pending[0].held) >= f.batchMessages || f.pending[0].size >= f.batchBytes
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
	b := f.pending[0]
	f.pending = slices.Delete(f.pending, 0, 1)
	f.underWay = append(f.underWay, b)
	return b
}

// settle releases a batch whose outcome is known, and returns the messages to answer. The slice is
// the batch's.
func (f *flow) settle(b *batch, stored bool) []held {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range b.held {
		if stored {
			f.stored.add(b.held[i].messageKey)
		}
	}
	for i := range b.held {
		if h := &b.held[i]; stored && h.conn.lost.Load() { // its FIN goes nowhere
			f.stored.doubt()
			break
		}
	}
	f.letGo(b)
	if i := slices.Index(f.underWay, b); i >= 0 {
		f.underWay = slices.Delete(f.underWay, i, i+1)
	}
	if f.draining || f.ready() {
		f.signal()
	}
	return b.held
}

// letGo subtracts a batch from what is held.
func (f *flow) letGo(b *batch) {
	for i := range b.held {
		h := &b.held[i]
		h.conn.inFlight--
		if len(f.orphans) > 0 {
			delete(f.orphans, h.messageKey)
		}
	}
	f.bytes -= b.size
	f.messages -= len(b.held)
}

// due returns the messages that were last touched at least age ago. They count as touched now.
func (f *flow) due(now time.Time, age time.Duration) []held {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []held
	for _, all := range [][]*batch{f.underWay, f.pending} {
		for _, b := range all {
			for i := range b.held {
				h := &b.held[i]
				if now.Sub(h.touched) < age {
					continue
				}
				h.touched = now
				out = append(out, held{message: message{messageKey: h.messageKey}, conn: h.conn, latest: h.latest})
			}
		}
	}
	return out
}

// open reports whether nsqd may send more. Once it may not, that lasts until there is considerable
// room. It also reads how many messages each connection has in flight.
func (f *flow) open(of []*conn, inFlight []int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, c := range of {
		inFlight[i] = c.inFlight
	}
	switch {
	case f.full():
		f.paused = true
	case f.bytes <= f.heldBytes/2 && f.messages <= f.inFlight:
		f.paused = false
	}
	return !f.stopped && !f.paused
}

// doubt notes that FINs may have got lost.
func (f *flow) doubt() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stored.doubt()
}

// orphan notes that a connection is lost: FINs may have got lost with it, and
// nsqd will deliver again what is held of it.
func (f *flow) orphan() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stored.doubt()
	for _, all := range [][]*batch{f.underWay, f.pending} {
		for _, b := range all {
			for i := range b.held {
				if h := &b.held[i]; h.conn.lost.Load() {
					f.orphans[h.messageKey] = struct{}{}
				}
			}
		}
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

// stop makes the flow take nothing more. It returns everything held, oldest first, to go back to
// nsqd. Batches that are under way then will not be settled.
func (f *flow) stop() []held {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = true
	var out []held
	for _, b := range slices.Concat(f.underWay, f.pending) {
		for i := range b.held {
			h := &b.held[i]
			// Leave out the body: someone may still be delivering it.
			out = append(out, held{message: message{messageKey: h.messageKey}, conn: h.conn, latest: h.latest})
		}
		f.letGo(b)
	}
	f.underWay, f.pending = nil, nil
	return out
}
