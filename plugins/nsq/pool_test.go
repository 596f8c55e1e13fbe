package nsq

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nsqio/nsq/nsqd"

	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

func TestWaitsForAnNSQDThatIsNotThereYet(t *testing.T) {
	s := nsqtest.Start(t)
	s.CreateChannel(topic, channel)
	s.Publish(topic, numbered(0, 10, 0)...)
	s.Stop()
	h := &fakeHost{}
	a := open(t, s.TCPAddr(), nil)
	if err := a.Check(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "waiting for the host") {
		t.Errorf("Check before Run: %v", err)
	}
	start(t, a, h)
	testwait.Until(t, "Check names the cause", func() bool {
		err := a.Check(t.Context())
		var dial *net.OpError
		return errors.As(err, &dial) && strings.HasPrefix(err.Error(), "not connected to nsqd at "+s.TCPAddr()+": ")
	})
	s.Restart()
	testwait.Until(t, "all delivered", func() bool { return h.count() == 10 })
	testwait.Until(t, "Check is content", func() bool { return a.Check(t.Context()) == nil })
	wantEmpty(t, s)
	wantOnceInOrder(t, h, 10)
}

func TestSurvivesARestartOfNSQD(t *testing.T) {
	const n = 5000
	s := nsqtest.Start(t, inMemory)
	s.CreateChannel(topic, channel)
	h := &fakeHost{}
	a := open(t, s.TCPAddr(), nil)
	start(t, a, h)
	s.Publish(topic, numbered(0, n, 200)...)
	testwait.Until(t, "in mid-stream", func() bool { return h.count() > 100 })
	h.hold()
	s.Stop()
	testwait.Until(t, "Check sees it", func() bool { return a.Check(t.Context()) != nil })
	s.Restart()
	testwait.Until(t, "Check sees it", func() bool { return a.Check(t.Context()) == nil })
	h.release(nil)
	wantEmpty(t, s)
	seen := make([]int, n)
	for _, m := range h.messages() {
		seen[number(t, m)]++
	}
	for i, times := range seen {
		if times != 1 {
			t.Fatalf("message %d was delivered %d times", i, times)
		}
	}
}

func TestConnectsAgainWhileOldMessagesWait(t *testing.T) {
	s := nsqtest.Start(t)
	p := nsqtest.NewProxy(t, s.TCPAddr())
	h := &fakeHost{}
	h.hold()
	a := open(t, p.Addr(), nil)
	start(t, a, h)
	s.Publish(topic, numbered(0, 1, 0)...)
	testwait.Until(t, "delivered", func() bool { return h.count() == 1 })
	current := func() *conn {
		a.pool.mu.Lock()
		defer a.pool.mu.Unlock()
		return a.pool.peers[p.Addr()].conn
	}
	first := current()
	p.Cut()
	testwait.Until(t, "another connection", func() bool { now := current(); return now != nil && now != first })
	s.Publish(topic, numbered(1, 1, 0)...)
	testwait.Until(t, "the new connection is used", inFlight(s, 2))
	h.release(nil)
	testwait.Until(t, "both delivered", func() bool { return h.count() == 2 })
}

func TestCheckSaysWhatNSQDRefused(t *testing.T) {
	s := nsqtest.Start(t, func(o *nsqd.Options) { o.MaxChannelConsumers = 1 })
	first := open(t, s.TCPAddr(), nil)
	start(t, first, &fakeHost{})
	testwait.Until(t, "the first is connected", func() bool { return first.Check(t.Context()) == nil })
	second := open(t, s.TCPAddr(), nil)
	start(t, second, &fakeHost{})
	testwait.Until(t, "the second says why not", func() bool {
		err := second.Check(t.Context())
		return err != nil && strings.Contains(err.Error(), "E_SUB_FAILED")
	})
}

func TestStopFinishesWhatResolves(t *testing.T) {
	s := nsqtest.Start(t)
	h, stop := startHeld(t, s, open(t, s.TCPAddr(), nil))
	h.deliveries()[0].receipt.Resolve(nil) // at the last moment
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	// Run takes leave of nsqd, so nsqd has received everything when Run returns.
	if c := s.Channel(topic, channel); !c.Empty() || c.Requeued != 0 {
		t.Errorf("after the stop: %+v", c)
	}
}

func TestStopGivesBackWhatDoesNotResolve(t *testing.T) {
	s := nsqtest.Start(t)
	_, stop := startHeld(t, s, open(t, s.TCPAddr(), nil))
	s.Publish(topic, numbered(1, 99, 0)...)
	testwait.Until(t, "all are with the plugin", inFlight(s, 100))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	c := s.Channel(topic, channel)
	if c.Depth != 100 || c.InFlight != 0 || c.Deferred != 0 {
		t.Errorf("after the stop %d wait, %d are in flight, %d deferred: want 100, 0, 0",
			c.Depth, c.InFlight, c.Deferred)
	}
	next := &fakeHost{}
	start(t, open(t, s.TCPAddr(), nil), next)
	testwait.Until(t, "another consumer has them", func() bool { return next.count() == 100 })
}

func TestRunsAgainAfterAStop(t *testing.T) {
	s := nsqtest.Start(t)
	a := open(t, s.TCPAddr(), nil)
	for i := range 3 {
		h := &fakeHost{}
		stop := start(t, a, h)
		s.Publish(topic, numbered(i, 1, 0)...)
		testwait.Until(t, "delivered", func() bool { return h.count() == 1 })
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if err := a.Check(t.Context()); err == nil {
			t.Error("Check is content with no connection")
		}
	}
	wantEmpty(t, s)
}

func TestStopDoesNotWaitForAHungNSQD(t *testing.T) {
	// Far more than a stop may take, and less than a connection's timeouts: this tells a bounded
	// stop from one that waits for nsqd.
	const tooLong = 5 * time.Second
	s := nsqtest.Start(t)
	s.Publish(topic, numbered(0, 100, 0)...)
	stopping := func(t *testing.T, a *aggregator, h *fakeHost, ready func() bool, hang func()) {
		h.hold()
		stop := start(t, a, h)
		testwait.Until(t, "ready for the stop", ready)
		hang()
		begin := time.Now()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > tooLong {
			t.Errorf("the stop took %s", took)
		}
	}
	t.Run("while connected", func(t *testing.T) {
		p, h := nsqtest.NewProxy(t, s.TCPAddr()), &fakeHost{}
		stopping(t, open(t, p.Addr(), nil), h, func() bool { return h.count() > 0 }, p.Freeze)
	})
	t.Run("while connecting", func(t *testing.T) {
		p, h := nsqtest.NewProxy(t, s.TCPAddr()), &fakeHost{}
		p.Freeze()
		a := open(t, p.Addr(), nil)
		stopping(t, a, h, func() bool { return errors.Is(a.Check(t.Context()), errConnecting) }, func() {})
	})
}

func TestSettings(t *testing.T) {
	t.Run("topic and channel", func(t *testing.T) {
		s := nsqtest.Start(t)
		h := &fakeHost{}
		start(t, open(t, s.TCPAddr(), map[string]string{"NSQ_TOPIC": "other", "NSQ_CHANNEL": "mine"}), h)
		s.Publish(topic, []byte("not this"))
		s.Publish("other", []byte("this"))
		testwait.Until(t, "delivered", func() bool { return h.count() == 1 })
		if got := string(h.messages()[0].Payload); got != "this" {
			t.Errorf("got %q", got)
		}
		if n := s.Channel("other", "mine").Messages; n != 1 {
			t.Errorf("the channel saw %d messages, want 1", n)
		}
	})
	for name, c := range map[string]struct{ set, limit, want int }{
		"max in flight":                    {set: 7, limit: 2500, want: 7},
		"max in flight above nsqd's limit": {set: 5000, limit: 100, want: 100},
	} {
		t.Run(name, func(t *testing.T) {
			s := nsqtest.Start(t, func(o *nsqd.Options) { o.MaxRdyCount = int64(c.limit) })
			h := &fakeHost{}
			h.hold()
			start(t, open(t, s.TCPAddr(), map[string]string{"NSQ_MAX_IN_FLIGHT": fmt.Sprint(c.set)}), h)
			s.Publish(topic, numbered(0, 200, 0)...)
			testwait.Until(t, "as many as may be are in flight", inFlight(s, c.want))
			testwait.Until(t, "all others wait", func() bool { // once they have left the topic
				stats := s.Channel(topic, channel)
				return stats.InFlight == c.want && stats.Depth == int64(200-c.want)
			})
			h.release(nil)
			testwait.Until(t, "all delivered", func() bool { return h.count() == 200 })
			wantOnceInOrder(t, h, 200)
		})
	}
	t.Run("names", func(t *testing.T) {
		for _, s := range []Settings{
			{Topic: "a b", Channel: "c"},
			{Topic: "", Channel: "c"},
			{Topic: strings.Repeat("x", 65), Channel: "c"},
			{Topic: "t", Channel: "c/d"},
		} {
			_, err := Open(t.Context(), s, sdk.Host{})
			if !errors.Is(err, sdk.ErrInvalid) {
				t.Fatalf("topic %q, channel %q: %v", s.Topic, s.Channel, err)
			}
			if text := err.Error(); !strings.HasPrefix(text, "NSQ_") || !strings.HasSuffix(text, "#ephemeral or not") {
				t.Errorf("topic %q, channel %q: the text is %q", s.Topic, s.Channel, text)
			}
		}
	})
	t.Run("handler count", func(t *testing.T) {
		for set, ok := range map[string]bool{"0": false, "1": true, "10000": true, "10001": false} {
			_, err := sdk.LoadSettings[Settings](func(name string) (string, bool) {
				if name == "NSQ_HANDLER_COUNT" {
					return set, true
				}
				return "", false
			})
			if (err == nil) != ok {
				t.Errorf("%s: %v", set, err)
			}
		}
	})
	t.Run("defaults", func(t *testing.T) {
		got, err := sdk.LoadSettings[Settings](func(string) (string, bool) { return "", false })
		if err != nil {
			t.Fatal(err)
		}
		want := Settings{
			Port: 4150, HTTP: 4151, Topic: "logs", Channel: "consume", Handlers: 30, MaxInFlight: 2500,
			MessageTimeout: 10 * time.Second, Compression: "none",
		}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if nsqds, lookupds, err := got.addrs(); err != nil || len(lookupds) != 0 || !slices.Equal(nsqds, []address{{"localhost:4150", "localhost:4151"}}) {
			t.Errorf("addresses %+v and %s, %v", nsqds, lookupds, err)
		}
	})
}
