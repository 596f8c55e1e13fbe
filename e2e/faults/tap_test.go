package faults

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/deis/logger/e2e/harness"
)

// tap relays between the aggregator and nsqd, and records which lines nsqd delivered, and how
// often.
type tap struct {
	*relay
	// shift, if set, returns a changed time of publishing for each message, in nanoseconds.
	shift atomic.Pointer[func(int64) int64]
	// cutNext, if set, cuts all connections once when the next message has passed, so that it is in
	// flight then.
	cutNext atomic.Bool

	mu       sync.Mutex
	lines    map[lineID]*delivery
	messages map[messageID]lineID
}

// lineID identifies a numbered line of a numbered app.
type lineID struct{ app, number int }

type messageID [16]byte

// delivery holds what nsqd did with a line.
type delivery struct {
	times    int  // the number of deliveries through the tap
	attempts int  // nsqd's count of attempts in the last delivery
	finished bool // the aggregator has acknowledged it
}

// once reports whether nsqd delivered the line exactly once.
func (d delivery) once() bool { return d.times == 1 && d.attempts == 1 }

func newTap(t *testing.T, nsqd string) *tap {
	t.Helper()
	p := &tap{}
	p.forget()
	p.relay = newRelay(t, nsqd, p.pass)
	return p
}

// forget drops the record.
func (p *tap) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines, p.messages = map[lineID]*delivery{}, map[messageID]lineID{}
}

// deliveries returns a copy of the record.
func (p *tap) deliveries() map[lineID]delivery {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[lineID]delivery, len(p.lines))
	for id, d := range p.lines {
		out[id] = *d
	}
	return out
}

func (p *tap) pass(to, from net.Conn, toServer bool) {
	r, w := bufio.NewReaderSize(from, 64<<10), bufio.NewWriterSize(to, 64<<10)
	one := p.frame
	if toServer {
		if _, err := io.CopyN(to, r, 4); err != nil { // the version of the protocol
			return
		}
		one = p.command
	}
	for one(w, r) == nil {
		if r.Buffered() == 0 && w.Flush() != nil {
			return
		}
	}
	_ = w.Flush() // passes on what came before the end
}

// frame passes on one frame from nsqd: its length, its kind and its data. The data of a message is
// its time, its attempts, its id and its body.
func (p *tap) frame(w *bufio.Writer, r *bufio.Reader) error {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	size := int64(binary.BigEndian.Uint32(head[:])) - 4
	const message, messageHead = 2, 8 + 2 + 16
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	if binary.BigEndian.Uint32(head[4:]) != message || size < messageHead {
		_, err := io.CopyN(w, r, size)
		return err
	}
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return err
	}
	if shift := p.shift.Load(); shift != nil {
		at := int64(binary.BigEndian.Uint64(data))
		binary.BigEndian.PutUint64(data, uint64((*shift)(at)))
	}
	p.arrived(messageID(data[10:messageHead]), int(binary.BigEndian.Uint16(data[8:])), data[messageHead:])
	if _, err := w.Write(data); err != nil {
		return err
	}
	if p.cutNext.CompareAndSwap(true, false) {
		_ = w.Flush() // an error does not matter: the connection is to break
		p.cut()
	}
	return nil
}

// command passes on one command from the aggregator: a line, and for IDENTIFY a body too.
func (p *tap) command(w *bufio.Writer, r *bufio.Reader) error {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return err
	}
	if id, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("FIN ")); ok && len(id) == len(messageID{}) {
		p.finished(messageID(id))
	}
	if _, err := w.Write(line); err != nil {
		return err
	}
	if !bytes.HasPrefix(line, []byte("IDENTIFY")) {
		return nil
	}
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return err
	}
	if _, err := w.Write(size[:]); err != nil {
		return err
	}
	_, err = io.CopyN(w, r, int64(binary.BigEndian.Uint32(size[:])))
	return err
}

func (p *tap) arrived(id messageID, attempts int, body []byte) {
	line, ok := parseMessage(body)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.lines[line]
	if d == nil {
		d = &delivery{}
		p.lines[line] = d
	}
	d.attempts = attempts
	d.times++
	p.messages[id] = line
}

func (p *tap) finished(id messageID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if line, ok := p.messages[id]; ok && p.lines[line] != nil {
		p.lines[line].finished = true
	}
}

// parseMessage returns the app and number of a message that harness.Numbered made.
func parseMessage(body []byte) (lineID, bool) {
	var id lineID
	text, ok := strings.CutPrefix(string(body[:min(len(body), 512)]), `{"log":"number `)
	if !ok {
		return id, false
	}
	_, app, ok := strings.Cut(text, `"labels":{"app":"app-`)
	if !ok {
		return id, false
	}
	if _, err := fmt.Sscanf(text, "%d", &id.number); err != nil {
		return id, false
	}
	_, err := fmt.Sscanf(app, "%d", &id.app)
	return id, err == nil
}

// TestTapReadsAlong: the tap's record, on which every audit rests, is right.
func TestTapReadsAlong(t *testing.T) {
	queue := harness.NewQueue(t)
	p := newTap(t, queue.TCPAddr())
	l := harness.Start(t, harness.NSQEnv(p.addr()), harness.MemoryEnv())
	queue.Publish("logs", harness.Numbered(3, 1), harness.Numbered(4, 1), []byte("none"))
	l.Settled(3)
	l.Until("all are finished", func() bool { return queue.Drained("logs", "consume") })
	got := p.deliveries()
	first, second := got[lineID{1, 3}], got[lineID{1, 4}]
	if len(got) != 2 || !first.once() || !second.once() || !first.finished || !second.finished {
		t.Errorf("the record: %+v", got)
	}
}
