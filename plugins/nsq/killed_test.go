package nsq

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nsqio/nsq/nsqd"

	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/testwait"
)

// TestKilledNSQDDoesNotDouble has an nsqd that was killed: of what it delivered, it only knows what
// it had on disk.
func TestKilledNSQDDoesNotDouble(t *testing.T) {
	t.Parallel()
	const n, held = 300, 100
	dir := t.TempDir()
	s := nsqtest.Start(t, func(o *nsqd.Options) {
		o.DataPath = dir
		o.MemQueueSize = 0
		o.SyncEvery = 1
	})
	s.CreateChannel(topic, channel)
	s.Publish(topic, numbered(0, n, 0)...)
	// The first line of a queue's metadata is its number of messages.
	onDisk := func(queue string, depth int) func() bool {
		return func() bool {
			meta, err := os.ReadFile(filepath.Join(dir, queue+".diskqueue.meta.dat"))
			return err == nil && strings.HasPrefix(string(meta), fmt.Sprintf("%d\n", depth))
		}
	}
	testwait.Until(t, "all are in the channel's queue on disk", onDisk(topic+":"+channel, n))
	testwait.Until(t, "none is in the topic's", onDisk(topic, 0))
	before := filepath.Join(t.TempDir(), "before")
	if err := os.CopyFS(before, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}

	h := &fakeHost{}
	h.hold()
	a := open(t, s.TCPAddr(), map[string]string{"NSQ_MAX_IN_FLIGHT": fmt.Sprint(held)})
	start(t, a, h)
	testwait.Until(t, "delivered", func() bool { return h.count() > 0 })
	h.deliveries()[0].receipt.Resolve(nil)
	testwait.Until(t, "some are stored, and some held", func() bool {
		return len(h.deliveries()) == 2 && s.Channel(topic, channel).InFlight == held
	})
	s.Stop()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(dir, os.DirFS(before)); err != nil {
		t.Fatal(err)
	}
	s.Restart()
	testwait.Until(t, "they come again", func() bool { return s.Channel(topic, channel).InFlight == held })
	h.release(nil)
	wantEmpty(t, s)
	wantOnceInOrder(t, h, n)
	for _, m := range h.messages() {
		if m.Attempts != 1 {
			t.Fatalf("attempt %d: this nsqd remembers its deliveries", m.Attempts)
		}
	}
}

// TestSurvivesKillOfNSQD kills nsqd while messages flow, again and again. Messages that nsqd had on
// disk are consumed. Those that it delivered without recording that come again, and are recognised.
//
// Messages that nsqd has read from disk and recorded as read, but not delivered, are lost; no
// consumer can help that. So where nsqd seldom records, the test kills it at once. Where it often
// does, the test waits until everything that nsqd has read has arrived.
func TestSurvivesKillOfNSQD(t *testing.T) {
	t.Run("at once", func(t *testing.T) { killedNSQD(t, syncEvery, func(*aggregator) bool { return true }) })
	t.Run("that writes down", func(t *testing.T) {
		killedNSQD(t, 100, func(a *aggregator) bool { return heldBy(a) == killedInFlight })
	})
}

// heldBy returns how many messages the aggregator holds from living connections. It looks inside:
// nsqd counts a message before it has arrived.
func heldBy(a *aggregator) (n int) {
	conns := a.pool.open()
	a.pool.mu.Lock()
	f := a.pool.flow
	a.pool.mu.Unlock()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range conns {
		if !c.lost.Load() {
			n += c.inFlight
		}
	}
	return n
}

const killedInFlight = 500

func killedNSQD(t *testing.T, every int64, arrived func(*aggregator) bool) {
	const n, kills = 6000, 3
	s := nsqtest.Start(t, func(o *nsqd.Options) {
		o.MemQueueSize = 0
		o.SyncEvery, o.SyncTimeout = every, time.Minute
	})
	s.CreateChannel(topic, channel)
	s.Publish(topic, numbered(0, n, 0)...)
	testwait.Until(t, "all are in the channel", func() bool { return s.Channel(topic, channel).Depth == n })
	s.Restart() // all messages are on disk, and in the channel
	h := &fakeHost{}
	h.hold()
	a := open(t, s.TCPAddr(), map[string]string{"NSQ_MAX_IN_FLIGHT": fmt.Sprint(killedInFlight)})
	start(t, a, h)
	before := 0
	for k := range kills {
		testwait.Until(t, "in mid-stream", func() bool { return h.count() > before && heldBy(a) > 0 })
		for i, d := range h.deliveries() {
			if i%2 == k%2 || i < len(h.deliveries())-1 {
				d.receipt.Resolve(nil)
			}
		}
		testwait.Until(t, "what nsqd has read is here", func() bool { return arrived(a) })
		s.Kill()
		testwait.Until(t, "Check sees it", func() bool { return a.Check(t.Context()) != nil })
		h.release(nil)
		h.hold() // otherwise all the rest may be consumed before the next round
		before = h.count()
		s.Restart()
		testwait.Until(t, "it is consumed again", func() bool { return a.Check(t.Context()) == nil })
	}
	h.release(nil)
	testwait.Until(t, "all delivered", func() bool {
		seen := map[int]bool{}
		for _, m := range h.messages() {
			seen[number(t, m)] = true
		}
		return len(seen) == n
	})
	wantEmpty(t, s)
	times := map[int]int{}
	for _, m := range h.messages() {
		times[number(t, m)]++
	}
	for k, v := range times {
		if v != 1 {
			t.Fatalf("message %d was delivered %d times", k, v)
		}
	}
}
