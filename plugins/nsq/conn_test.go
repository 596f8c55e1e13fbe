package nsq

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	gonsq "github.com/nsqio/go-nsq"

	"github.com/deis/logger/internal/metricstest"
	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/testwait"
)

// firstConnection reports whether the plugin still has its first connection.
func firstConnection(t *testing.T, a *aggregator) bool {
	t.Helper()
	got := metricstest.Of(t, a)
	return got["connections"] == 1 && got[`dials_total{result="ok"}`] == 1 && got[`dials_total{result="failed"}`] == 0
}

// connected waits for the plugin's first connection.
func connected(t *testing.T, a *aggregator) {
	t.Helper()
	testwait.Until(t, "connected", func() bool { return firstConnection(t, a) })
}

// inside returns the plugin's first connection itself: a test that sends nsqd what the plugin never
// would needs it.
func inside(t *testing.T, a *aggregator) *conn {
	t.Helper()
	connected(t, a)
	return a.pool.open()[0]
}

// quickHeartbeats makes the plugin ask for a heartbeat each second. No setting does: a test would
// have to wait for a minute.
func quickHeartbeats(a *aggregator) {
	a.pool.shake.heartbeat, a.pool.shake.silence = time.Second, 1500*time.Millisecond
}

func TestHeartbeatsKeepAnIdleConnection(t *testing.T) {
	t.Parallel()
	s := nsqtest.Start(t)
	a := open(t, s.TCPAddr(), nil)
	quickHeartbeats(a)
	start(t, a, &fakeHost{})
	connected(t, a)
	begin := time.Now()
	// nsqd closes a connection after two heartbeats without an answer. The plugin closes it after
	// one and a half intervals without a heartbeat.
	testwait.Until(t, "several heartbeats have passed", func() bool { return time.Since(begin) > 3500*time.Millisecond })
	if !firstConnection(t, a) {
		t.Errorf("the connection was lost: %v", metricstest.Of(t, a))
	}
}

func TestADeadPeerIsNoticed(t *testing.T) {
	t.Parallel()
	s := nsqtest.Start(t)
	p := nsqtest.NewProxy(t, s.TCPAddr())
	h := &fakeHost{}
	a := open(t, p.Addr(), shortTimeout)
	quickHeartbeats(a)
	start(t, a, h)
	connected(t, a)
	p.Freeze() // it neither breaks nor answers
	wantCheck(t, a, ": no heartbeat for 1.5s")
	p.Cut()
	p.Thaw()
	s.Publish(topic, numbered(0, 1, 0)...)
	testwait.Until(t, "another connection is used", func() bool { return h.count() == 1 })
}

func TestARefusedAnswerCostsNoConnection(t *testing.T) {
	s := nsqtest.Start(t)
	h := &fakeHost{}
	a := open(t, s.TCPAddr(), nil)
	start(t, a, h)
	c := inside(t, a)
	id := gonsq.MessageID([]byte("0123456789abcdef"))
	c.command(gonsq.Finish(id), gonsq.Requeue(id, 0), gonsq.Touch(id))
	s.Publish(topic, numbered(0, 1, 0)...)
	testwait.Until(t, "it is still used", func() bool { return h.count() == 1 })
	wantEmpty(t, s)
	if !firstConnection(t, a) {
		t.Errorf("the connection was lost: %v", metricstest.Of(t, a))
	}
}

func TestAnyOtherErrorCostsTheConnection(t *testing.T) {
	s := nsqtest.Start(t)
	h := &fakeHost{}
	a := open(t, s.TCPAddr(), nil)
	start(t, a, h)
	c := inside(t, a)
	c.command(gonsq.Ready(1_000_000))
	<-c.broken // Check says so only until the next connection, 50 ms later
	if got := fmt.Sprint(c.cause); !strings.HasPrefix(got, "refused: E_INVALID RDY count 1000000 out of range") {
		t.Errorf("lost with %s", got)
	}
	s.Publish(topic, numbered(0, 1, 0)...)
	testwait.Until(t, "another connection is used", func() bool { return h.count() == 1 })
}

// TestGarbageCostsTheConnection: after the subscription, the peer sends garbage.
func TestGarbageCostsTheConnection(t *testing.T) {
	ok := append(frameBytes(0, []byte(`{"max_rdy_count":10}`)), frameBytes(0, []byte("OK"))...)
	for name, c := range map[string]struct {
		garbage []byte
		want    string
	}{
		"a size":          {[]byte{255, 255, 255, 255}, "a frame of 4294967295 bytes: that is not NSQ's protocol"},
		"a kind":          {frameBytes(7, nil), "a frame of the unknown kind 7"},
		"a short message": {frameBytes(2, make([]byte, 25)), "a message of 25 bytes"},
		"an end":          {nil, "nsqd closed the connection"},
	} {
		t.Run(name, func(t *testing.T) {
			a := open(t, peerSaying(t, append(append([]byte(nil), ok...), c.garbage...)), nil)
			start(t, a, &fakeHost{})
			wantCheck(t, a, ": "+c.want)
		})
	}
}

// TestAnswersOfABatchAreOneWrite checks what throughput depends on. It looks inside: over TCP, a
// reader cannot tell one write from several.
func TestAnswersOfABatchAreOneWrite(t *testing.T) {
	near, far := net.Pipe()
	c := fakeConn()
	c.raw, c.stream, c.broken = near, stream{Writer: near}, make(chan struct{})
	f := newFlow(limits{handlers: 1, batchMessages: 100, batchBytes: 1 << 20, inFlight: 100, heldBytes: 1 << 20})
	arrive(t, f, c, 1, 100, 0)
	b, _ := taken(f)
	finish(f.settle(b, true))
	ended := make(chan struct{})
	go func() { defer close(ended); _ = c.write() }()
	got := make([]byte, 10_000) // a pipe passes on one write at a time
	n, err := far.Read(got)
	if err != nil || n != 100*len("FIN 0123456789abcdef\n") {
		t.Errorf("%d bytes in a write, %v", n, err)
	}
	close(c.broken)
	<-ended
	_, _ = near.Close(), far.Close()
}
