package nsq

import (
	"testing"
	"time"

	"github.com/nsqio/nsq/nsqd"

	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/testwait"
)

// shortTimeout is the least timeout that nsqd accepts.
var shortTimeout = map[string]string{"NSQ_MSG_TIMEOUT_SECONDS": "1"}

func TestTouchKeepsWhatWaits(t *testing.T) {
	t.Parallel()
	s := nsqtest.Start(t)
	h := &fakeHost{}
	h.hold()
	// Not the least timeout: on a busy machine, a touch may be delayed for some time.
	start(t, open(t, s.TCPAddr(), map[string]string{"NSQ_MSG_TIMEOUT_SECONDS": "4"}), h)
	begin := time.Now()
	s.Publish(topic, numbered(0, 1, 0)...)
	testwait.Until(t, "the first is delivered", func() bool { return h.count() == 1 })
	s.Publish(topic, numbered(1, 1, 0)...) // stays pending
	testwait.Until(t, "three timeouts are over", func() bool { return time.Since(begin) > 13*time.Second })
	if c := s.Channel(topic, channel); c.TimedOut != 0 || c.InFlight != 2 {
		t.Errorf("timed out %d, in flight %d: want 0 and 2", c.TimedOut, c.InFlight)
	}
	h.release(nil)
	wantEmpty(t, s)
	wantOnceInOrder(t, h, 2)
}

func TestMaxMessageTimeoutDoesNotDouble(t *testing.T) {
	t.Parallel()
	s := nsqtest.Start(t, func(o *nsqd.Options) { o.MaxMsgTimeout = 1200 * time.Millisecond })
	h, _ := startHeld(t, s, open(t, s.TCPAddr(), shortTimeout))
	s.Publish(topic, numbered(1, 1, 0)...)
	// Touches cannot help here: nsqd delivers both again and again.
	testwait.Until(t, "nsqd ran out of patience", func() bool { return s.Channel(topic, channel).TimedOut >= 4 })
	h.release(nil)
	wantEmpty(t, s)
	wantOnceInOrder(t, h, 2)
}

// startHeldBehindProxy does what startHeld does, with a proxy between the plugin and nsqd.
func startHeldBehindProxy(t *testing.T) (*nsqtest.Server, *nsqtest.Proxy, *fakeHost) {
	t.Helper()
	s := nsqtest.Start(t)
	p := nsqtest.NewProxy(t, s.TCPAddr())
	h, _ := startHeld(t, s, open(t, p.Addr(), shortTimeout))
	return s, p, h
}

func TestLostConnectionDoesNotDouble(t *testing.T) {
	t.Parallel()
	s, p, h := startHeldBehindProxy(t)
	s.Publish(topic, numbered(1, 3, 0)...)
	testwait.Until(t, "all are with the plugin", inFlight(s, 4))
	p.Cut()
	// nsqd waits for its timeout, and then sends the messages over the new connection.
	testwait.Until(t, "timed out and delivered again", func() bool {
		c := s.Channel(topic, channel)
		return c.TimedOut >= 4 && c.InFlight == 4
	})
	h.release(nil)
	wantEmpty(t, s)
	wantOnceInOrder(t, h, 4)
}

func TestLostFinishDoesNotDouble(t *testing.T) {
	t.Parallel()
	s, p, h := startHeldBehindProxy(t)
	p.Freeze()
	h.release(nil) // the FIN gets no further than the proxy
	testwait.Until(t, "timed out", func() bool { return s.Channel(topic, channel).TimedOut >= 1 })
	p.Cut()
	p.Thaw()
	wantEmpty(t, s)
	wantOnceInOrder(t, h, 1)
}

func TestShortTimeoutFreesWhatADeadConsumerHad(t *testing.T) {
	t.Parallel()
	s := nsqtest.Start(t)
	p := nsqtest.NewProxy(t, s.TCPAddr())
	dead := &fakeHost{}
	dead.hold()
	start(t, open(t, p.Addr(), shortTimeout), dead)
	s.Publish(topic, numbered(0, 10, 0)...)
	testwait.Until(t, "all are with the first consumer", inFlight(s, 10))
	p.Freeze() // no touch and no heartbeat gets through any more
	h := &fakeHost{}
	// By default, the plugin would wait ten times as long, and nsqd sixty times.
	start(t, open(t, s.TCPAddr(), nil), h)
	testwait.Until(t, "all are with the second consumer", func() bool { return h.count() == 10 })
	wantEmpty(t, s)
	p.Cut()
}
