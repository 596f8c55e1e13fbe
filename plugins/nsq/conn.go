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
	// writeTimeout is how long nsqd may read nothing.
	writeTimeout = 5 * time.Second

	// maxSpareOut is the largest buffer of answers that is kept for the next ones.
	maxSpareOut = 256 << 10

	// straggle is how long a message may take behind nsqd's good-bye.
	straggle = 10 * time.Millisecond
)

// conn is one subscribed connection to nsqd. Two goroutines serve it: one reads and
// hands over what arrives, in order; one writes what others have put into its buffer,
// as much at once as there is. So the acknowledgements of a batch are one write, on
// which throughput depends: nsqd reads them one by one otherwise, and so do we send.
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
	ending bool          // nothing comes into the buffer any more
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

// connEvents is what a connection tells the pool.
type connEvents interface {
	// filled is called when the flow wants no more.
	filled()
	// refused is called for an answer that nsqd does not accept.
	refused(c *conn, answer string)
	// gone is called once when all is over.
	gone(c *conn)
}

// stream is the connection's top layer: TLS and compression are below it.
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

// unread says more of a read that ended in nothing.
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

// hear takes what is no message.
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
			// It was late: nsqd has taken the message back, and delivers it again.
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

// closeWrite tells nsqd that nothing follows. It reads all before that, and then
// closes the connection, which is how we know.
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

// finish and requeue answer a single message. Many are answered by the functions of
// the same names.

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

// answer puts an answer to each message into the buffer of its connection. Nothing
// is left there for a connection that is lost: nsqd delivers those again.
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

// lose ends the connection, with the first cause.
func (c *conn) lose(cause error) {
	c.loseOnce.Do(func() {
		c.cause = cause
		c.lost.Store(true)
		close(c.broken)
		_ = c.raw.Close() // broken is what it is
		c.flow.orphan()
	})
}

// farewell tells nsqd that no more is wanted, and waits until it has heard: then it
// has read all answers up to here, and what it sent has arrived. Answers may still
// follow. It asks once: an nsqd that does not answer in time is not waited for again.
func (c *conn) farewell(ctx context.Context) {
	c.farewellOnce.Do(func() {
		// The one includes the other, but nsqd looks at its RDY more often.
		c.command(gonsq.Ready(0), gonsq.StartClose())
		select {
		case <-c.closeWait:
		case <-c.broken:
			return
		case <-ctx.Done():
			return
		}
		// The message that nsqd was about to send comes behind its answer.
		linger := time.NewTimer(straggle)
		defer linger.Stop()
		select {
		case <-linger.C:
		case <-c.broken:
		}
	})
}

// close sends what is left and ends the connection, and returns when that is done: an
// nsqd that does not close it before ctx ends is left without.
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
