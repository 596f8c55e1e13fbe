package nsq

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	gonsq "github.com/nsqio/go-nsq"
)

// defaultMaxReady is nsqd's limit of RDY where it does not tell its own.
const defaultMaxReady = 2500

// session is one connection to nsqd. It lives until each of its messages is
// answered, which may be long after it was lost. It is the delegate of go-nsq's
// Conn, which calls OnMessage from one goroutine, in the order of the wire.
type session struct {
	link *link
	flow *flow
	conn *gonsq.Conn

	maxReady int
	ready    int // RDY as last written; readyMu has it

	subscribed chan struct{} // closed by nsqd's answer to SUB
	closeWait  chan struct{} // closed by nsqd's answer to CLS
	lost       chan struct{} // closed by the first I/O error
	closed     chan struct{} // closed when go-nsq has let go of the connection

	subscribeOnce, closeWaitOnce, loseOnce, farewellOnce sync.Once

	mu      sync.Mutex
	refusal string // what nsqd said against us before it accepted us
	cause   error  // of the loss
}

var _ gonsq.ConnDelegate = (*session)(nil)

func newSession(l *link, f *flow) *session {
	s := &session{
		link: l, flow: f,
		maxReady:   defaultMaxReady,
		subscribed: make(chan struct{}),
		closeWait:  make(chan struct{}),
		lost:       make(chan struct{}),
		closed:     make(chan struct{}),
	}
	s.conn = gonsq.NewConn(l.addr, l.config, s)
	lowest := gonsq.LogLevelInfo
	if l.logger.IsTrace() {
		lowest = gonsq.LogLevelDebug // two lines a message
	}
	s.conn.SetLoggerLevel(lowest)
	for level, log := range map[gonsq.LogLevel]lineLogger{
		gonsq.LogLevelDebug: func(line string) { l.logger.Trace("go-nsq", "line", line) },
		gonsq.LogLevelInfo:  func(line string) { l.logger.Debug("go-nsq", "line", line) },
		// What matters of these, link and session report themselves, and with measure.
		gonsq.LogLevelWarning: func(line string) { l.logger.Debug("go-nsq", "line", line) },
		gonsq.LogLevelError:   func(line string) { l.logger.Debug("go-nsq", "line", line) },
	} {
		s.conn.SetLoggerForLevel(log, level, "%s")
	}
	return s
}

// open dials, shakes hands and asks for the channel.
func (s *session) open() error {
	resp, err := s.conn.Connect()
	if err != nil {
		return err
	}
	s.link.mu.Lock()
	s.link.sessions[s] = struct{}{}
	s.link.mu.Unlock()
	if resp != nil && resp.MaxRdyCount > 0 {
		s.maxReady = int(min(resp.MaxRdyCount, math.MaxInt32))
	}
	return s.conn.WriteCommand(gonsq.Subscribe(s.link.topic, s.link.channel))
}

// abandon ends a session that got no message. nsqd is not asked.
func (s *session) abandon() { _ = s.conn.Close() }

// farewell tells nsqd that this is the end, and waits until it has heard: then it has
// read all answers up to here, and what it sent has arrived. Answers may still follow.
// It asks once: an nsqd that does not answer in time is not waited for again.
func (s *session) farewell(ctx context.Context) {
	s.farewellOnce.Do(func() {
		select {
		case <-s.lost:
			return
		case <-s.closed:
			return
		default:
		}
		if s.conn.WriteCommand(gonsq.StartClose()) != nil {
			return
		}
		select {
		case <-s.closeWait:
		case <-s.lost:
			return
		case <-ctx.Done():
			return
		}
		// The message that nsqd was about to send comes behind its answer.
		linger := time.NewTimer(straggle)
		defer linger.Stop()
		select {
		case <-linger.C:
		case <-s.lost:
		}
	})
}

// close ends a session whose messages are all answered.
func (s *session) close(ctx context.Context) {
	s.farewell(ctx)
	_ = s.conn.Close()
	select {
	case <-s.closed:
	case <-ctx.Done():
	}
}

// lose marks the session as lost, with the first cause.
func (s *session) lose(cause error) {
	s.loseOnce.Do(func() {
		s.mu.Lock()
		s.cause = cause
		s.mu.Unlock()
		close(s.lost)
		s.flow.orphan()
	})
}

// reason says why the session was lost.
func (s *session) reason() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refusal != "" {
		return fmt.Errorf("refused: %s", s.refusal)
	}
	return fmt.Errorf("connection lost: %w", s.cause)
}

// OnMessage hands a message over.
func (s *session) OnMessage(_ *gonsq.Conn, m *gonsq.Message) {
	switch s.flow.receive(m, s.lost) {
	case arrivalTaken:
	case arrivalFilled:
		s.link.regulate(s.flow)
	case arrivalRefused:
		m.RequeueWithoutBackoff(0)
	case arrivalStored:
		m.Finish()
	}
}

// OnResponse hears nsqd agree to SUB, and later to CLS.
func (s *session) OnResponse(_ *gonsq.Conn, data []byte) {
	if bytes.Equal(data, []byte("CLOSE_WAIT")) {
		s.closeWaitOnce.Do(func() { close(s.closeWait) })
		return
	}
	s.subscribeOnce.Do(func() { close(s.subscribed) })
}

// OnError hears nsqd refuse something. What it refuses before it accepted the
// subscription costs the connection; later, it is the answer to a message that it
// no longer waits for, often one of thousands.
func (s *session) OnError(_ *gonsq.Conn, data []byte) {
	select {
	case <-s.subscribed:
		s.flow.doubt() // it may have been a FIN
		if n, ok := s.link.refusals.allow(time.Now()); ok {
			s.link.logger.Warn("refused by nsqd", "answer", string(data), "lines_left_out", n)
		}
	default:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.refusal = string(data)
	}
}

// OnIOError hears that the connection is broken.
func (s *session) OnIOError(_ *gonsq.Conn, err error) {
	s.lose(err)
	_ = s.conn.Close()
}

// OnClose hears that every message is answered and go-nsq's goroutines are done.
func (s *session) OnClose(*gonsq.Conn) {
	s.lose(errClosed)
	s.link.forget(s)
	close(s.closed)
}

var errClosed = errors.New("closed")

// The rest of the delegate has nothing to do here: go-nsq's own back-off, which
// these drive, would let one bad batch hold up all others.

// OnMessageFinished does nothing.
func (s *session) OnMessageFinished(*gonsq.Conn, *gonsq.Message) {}

// OnMessageRequeued does nothing.
func (s *session) OnMessageRequeued(*gonsq.Conn, *gonsq.Message) {}

// OnBackoff does nothing.
func (s *session) OnBackoff(*gonsq.Conn) {}

// OnContinue does nothing.
func (s *session) OnContinue(*gonsq.Conn) {}

// OnResume does nothing.
func (s *session) OnResume(*gonsq.Conn) {}

// OnHeartbeat does nothing: go-nsq answers it.
func (s *session) OnHeartbeat(*gonsq.Conn) {}
