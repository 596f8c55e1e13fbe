package nsq

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	gonsq "github.com/nsqio/go-nsq"
)

const (
	// writeTimeout bounds how long a write may wait for nsqd to read.
	writeTimeout = 5 * time.Second

	// maxSpareOut is the size of the largest buffer of answers that is kept for later ones.
	maxSpareOut = 256 << 10

	// straggle bounds how long a last message may come after nsqd's good-bye.
	straggle = 10 * time.Millisecond
)

// conn holds one subscribed connection to nsqd. Two goroutines serve it: one reads, and hands over
// what arrives in order; the other writes everything that has been put into the buffer, at once. So
// the acknowledgements of a batch are one write. Throughput depends on that: with a write for each,
// both sides would work message by message.
type conn struct {
	addr     string
	maxReady int
	about    string        // of the handshake, for the log
	silence  time.Duration // after which nsqd counts as hung

	raw    net.Conn // for deadlines and the end
	frames frameReader
	stream stream
	flow   *flow
	events connEvents

	ready    int // RDY as last put into the buffer; the pool's readyMu has it
	inFlight int // messages held that are answered here; flow.mu has it

	outMu  sync.Mutex
	out    []byte
	ending bool          // nothing goes into the buffer any more
	wakeup chan struct{} // has a value when the buffer may have something

	lost     atomic.Bool   // what it had in flight will be delivered again
	broken   chan struct{} // closed once lost
	cause    error         // of the loss; read after broken
	loseOnce sync.Once

	closeWait     chan struct{} // closed by nsqd's answer to CLS
	closeWaitOnce sync.Once
	farewellOnce  sync.Once
	loops         sync.WaitGroup
	ended         chan struct{} // closed when both goroutines are done
}

// connEvents tells the pool what happens to a connection.
type connEvents interface {
	// filled is called when the flow wants no more messages.
	filled()
	// refused is called when nsqd does not accept an answer.
	refused(c *conn, answer string)
	// gone is called once, when the connection is over.
	gone(c *conn)
}

// stream reads and writes the connection's top layer. TLS and compression are below it.
type stream struct {
	io.Reader
	io.Writer
	flush func() error // may be nil
}

// serve starts the goroutines.
func (c *conn) serve() {
	c.loops.Add(2)
	go func() { // ends when the connection does
		defer c.loops.Done()
		c.lose(c.read())
	}()
	go func() { // ends with end or the loss
		defer c.loops.Done()
		if err := c.write(); err != nil {
			c.lose(err)
		}
	}()
	go func() { // ends after these
		c.loops.Wait()
		_ = c.raw.Close() // is closed already unless nsqd said good-bye
		c.events.gone(c)
		close(c.ended)
	}()
}

// read hands over what arrives until the connection ends.
func (c *conn) read() error {
	var arrived []message
	now := time.Now()
	hand := func() {
		if len(arrived) > 0 && c.flow.receive(c, arrived, now) {
			c.events.filled()
		}
		clear(arrived) // the bodies are not kept here
		arrived = arrived[:0]
	}
	for {
		for {
			f, ok, err := c.frames.next()
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			if f.kind == gonsq.FrameTypeMessage {
				m, ok := decodeMessage(f.data)
				if !ok {
					return fmt.Errorf("a message of %d bytes", len(f.data))
				}
				m.chunk = c.frames.lend()
				arrived = append(arrived, m)
				continue
			}
			hand() // what came before it
			if err := c.hear(f); err != nil {
				return err
			}
		}
		hand()
		if err := c.raw.SetReadDeadline(now.Add(c.silence)); err != nil {
			return err
		}
		if err := c.frames.fill(); err != nil {
			return c.unread(err)
		}
		now = time.Now()
	}
}

// unread explains a read that ended with nothing.
func (c *conn) unread(err error) error {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("no heartbeat for %s", c.silence)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errClosed
	}
	return err
}

var errClosed = errors.New("nsqd closed the connection")

// hear handles a frame that is no message.
func (c *conn) hear(f frame) error {
	switch {
	case f.kind == gonsq.FrameTypeResponse && bytes.Equal(f.data, []byte("_heartbeat_")):
		c.command(gonsq.Nop())
	case f.kind == gonsq.FrameTypeResponse && bytes.Equal(f.data, []byte("CLOSE_WAIT")):
		c.closeWaitOnce.Do(func() { close(c.closeWait) })
	case f.kind == gonsq.FrameTypeResponse:
	case f.kind != gonsq.FrameTypeError:
		return fmt.Errorf("a frame of the unknown kind %d", f.kind)
	default:
		switch answer := oneLine(f.data); errorCode(answer) {
		case "E_FIN_FAILED":
			c.flow.doubt()
			c.events.refused(c, answer)
		case "E_REQ_FAILED", "E_TOUCH_FAILED":
			// The answer was late: nsqd has taken the message back, and delivers it again.
			c.events.refused(c, answer)
		default:
			return &refusedError{answer: answer}
		}
	}
	return nil
}

// write sends what is in the buffer until end or the loss.
func (c *conn) write() error {
	var spare []byte
	for {
		select {
		case <-c.wakeup:
		case <-c.broken:
			return nil
		}
		c.outMu.Lock()
		out, ending := c.out, c.ending
		c.out = spare[:0]
		c.outMu.Unlock()
		if len(out) > 0 {
			if err := c.flushOut(out); err != nil {
				return err
			}
		}
		if spare = out; cap(spare) > maxSpareOut {
			spare = nil
		}
		if ending {
			return c.closeWrite()
		}
	}
}

func (c *conn) flushOut(out []byte) error {
	if err := c.raw.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	if _, err := c.stream.Write(out); err != nil {
		return err
	}
	if c.stream.flush != nil {
		return c.stream.flush()
	}
	return nil
}

// closeWrite tells nsqd that nothing follows. When nsqd has read everything before that, it closes
// the connection.
func (c *conn) closeWrite() error {
	if half, ok := c.raw.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return c.raw.Close()
}

// wake makes the writer look at the buffer.
func (c *conn) wake() {
	select {
	case c.wakeup <- struct{}{}:
	default:
	}
}

// command puts rare commands into the buffer, to go in one write.
func (c *conn) command(commands ...*gonsq.Command) {
	var b bytes.Buffer
	for _, cmd := range commands {
		_, _ = cmd.WriteTo(&b) // a buffer takes anything
	}
	c.outMu.Lock()
	c.out = append(c.out, b.Bytes()...)
	c.outMu.Unlock()
	c.wake()
}

// finish and requeue answer a single message. The functions of the same names answer many.

func (c *conn) finish(id *gonsq.MessageID) {
	c.outMu.Lock()
	c.out = appendFinish(c.out, id)
	c.outMu.Unlock()
	c.wake()
}

func (c *conn) requeue(id *gonsq.MessageID) {
	c.outMu.Lock()
	c.out = appendRequeue(c.out, id, 0)
	c.outMu.Unlock()
	c.wake()
}

// answer puts an answer to each message into the buffer of its connection. It skips messages of a
// lost connection: nsqd delivers them again.
func answer(all []held, add func(b []byte, h *held) []byte) {
	for i := 0; i < len(all); {
		c, lost := all[i].conn, all[i].conn.lost.Load()
		c.outMu.Lock()
		for ; i < len(all) && all[i].conn == c; i++ {
			if !lost {
				c.out = add(c.out, &all[i])
			}
		}
		c.outMu.Unlock()
		c.wake()
	}
}

// lose ends the connection. The first cause counts.
func (c *conn) lose(cause error) {
	c.loseOnce.Do(func() {
		c.cause = cause
		c.lost.Store(true)
		close(c.broken)
		_ = c.raw.Close() // broken is what it is
		c.flow.orphan()
	})
}

// farewell tells nsqd to send no more, and waits for its reply: then nsqd has read all answers so
// far, and everything it sent has arrived. Answers may still follow. It asks once: if nsqd does not
// reply in time, it does not wait for it again.
func (c *conn) farewell(ctx context.Context) {
	c.farewellOnce.Do(func() {
		// CLS would suffice, but nsqd looks at its RDY more often.
		c.command(gonsq.Ready(0), gonsq.StartClose())
		select {
		case <-c.closeWait:
		case <-c.broken:
			return
		case <-ctx.Done():
			return
		}
		// A message that nsqd was about to send comes after its reply.
		linger := time.NewTimer(straggle)
		defer linger.Stop()
		select {
		case <-linger.C:
		case <-c.broken:
		}
	})
}

// close sends what is left, ends the connection, and returns when that is done. It waits for nsqd
// to close the connection, at most until ctx ends.
func (c *conn) close(ctx context.Context) {
	c.outMu.Lock()
	c.ending = true
	c.outMu.Unlock()
	c.wake()
	select {
	case <-c.ended:
	case <-ctx.Done():
		c.lose(ctx.Err())
		<-c.ended
	}
}
