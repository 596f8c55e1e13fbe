package nsq

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/nsqio/nsq/nsqd"

	"github.com/deis/logger/internal/nsqtest"
	"github.com/deis/logger/internal/testwait"
)

func TestShare(t *testing.T) {
	for _, c := range []struct {
		budget, turn int
		limit, want  []int
	}{
		{2000, 0, []int{2500}, []int{2000}},
		{2000, 0, []int{100}, []int{100}},
		{2000, 0, []int{2500, 2500}, []int{1000, 1000}},
		{2000, 0, []int{2500, 2500, 2500}, []int{666, 667, 667}},
		{2000, 0, []int{100, 2500, 2500}, []int{100, 950, 950}},
		{2000, 0, []int{100, 200, 2500}, []int{100, 200, 1700}},
		{2000, 0, []int{1, 1}, []int{1, 1}},
		{3, 0, []int{10, 10, 10}, []int{1, 1, 1}},
		{2, 0, []int{10, 10, 10}, []int{1, 1, 0}},
		{2, 1, []int{10, 10, 10}, []int{0, 1, 1}},
		{2, 2, []int{10, 10, 10}, []int{1, 0, 1}},
		{1, 7, []int{10, 10}, []int{0, 1}},
	} {
		got := make([]int, len(c.limit))
		share(got, c.budget, c.turn, c.limit)
		if !slices.Equal(got, c.want) {
			t.Errorf("%d for limits %d in turn %d: %d, want %d", c.budget, c.limit, c.turn, got, c.want)
		}
	}
}

func TestRestrain(t *testing.T) {
	for _, c := range []struct {
		budget              int
		rdy, inFlight, want []int
	}{
		{10, []int{5, 5}, []int{0, 0}, []int{5, 5}},
		{10, []int{5, 5}, []int{5, 5}, []int{5, 5}},
		{10, []int{5, 5}, []int{0, 10}, []int{0, 5}}, // the second connection has everything
		{10, []int{5, 5}, []int{2, 7}, []int{3, 5}},
		{1, []int{1, 0}, []int{0, 1}, []int{0, 0}},
	} {
		got := slices.Clone(c.rdy)
		restrain(got, c.budget, c.inFlight)
		if !slices.Equal(got, c.want) {
			t.Errorf("%d of %d with %d in flight: %d, want %d", c.rdy, c.budget, c.inFlight, got, c.want)
		}
	}
}

func TestSharesKeepTheirBounds(t *testing.T) {
	for range 2000 {
		n, budget := 1+rand.IntN(6), 1+rand.IntN(40)
		limit, inFlight, got := make([]int, n), make([]int, n), make([]int, n)
		var room, busy int
		for i := range n {
			limit[i], inFlight[i] = 1+rand.IntN(20), rand.IntN(20)
			room += limit[i]
			busy += inFlight[i]
		}
		share(got, budget, rand.IntN(9), limit)
		sum := 0
		for i := range got {
			sum += got[i]
			if got[i] > limit[i] || got[i] < 0 || got[i] == 0 && budget >= n {
				t.Fatalf("%d for limits %d: %d", budget, limit, got)
			}
		}
		if sum != min(budget, room) {
			t.Fatalf("%d for limits %d: %d", budget, limit, got)
		}
		restrain(got, budget, inFlight)
		sum = 0
		for i := range got {
			sum += max(got[i], inFlight[i])
		}
		if sum > max(budget, busy) || slices.Min(got) < 0 {
			t.Fatalf("%d with %d in flight: %d", budget, inFlight, got)
		}
	}
}

// cluster returns several nsqd, and the environment in which the plugin consumes from all of them.
func cluster(t *testing.T, n int, tune ...func(*nsqd.Options)) (all []*nsqtest.Server, env map[string]string) {
	t.Helper()
	addrs := ""
	for i := range n {
		s := nsqtest.Start(t, append([]func(*nsqd.Options){func(o *nsqd.Options) { o.ID = int64(i) }}, tune...)...)
		s.CreateChannel(topic, channel)
		all = append(all, s)
		addrs += "," + s.TCPAddr()
	}
	return all, map[string]string{"NSQ_NSQD_ADDRS": addrs[1:]}
}

// rdy returns the RDY that the only consumer sent to nsqd.
func rdy(s *nsqtest.Server) int64 {
	if clients := s.Channel(topic, channel).Clients; len(clients) == 1 {
		return clients[0].Ready
	}
	return -1
}

func TestSeveralNSQDShareWhatMayBeInFlight(t *testing.T) {
	const n = 300
	all, env := cluster(t, 3)
	env["NSQ_MAX_IN_FLIGHT"] = "30"
	for i, s := range all {
		s.Publish(topic, numbered(1000*i, n, 0)...)
	}
	h := &fakeHost{}
	h.hold()
	a := open(t, "", env)
	start(t, a, h)
	total := func() (sum int) {
		for _, s := range all {
			sum += s.Channel(topic, channel).InFlight
		}
		return sum
	}
	// They connect one after the other. Meanwhile, messages for the first connection are under way.
	testwait.Until(t, "all that may be is in flight", func() bool { return total() >= 30 })
	h.release(nil)
	for _, s := range all {
		wantEmpty(t, s)
		testwait.Until(t, "each has its share", func() bool { return rdy(s) == 10 })
	}
	h.hold()
	for i, s := range all {
		s.Publish(topic, numbered(1000*i+n, n, 0)...)
	}
	for _, s := range all {
		testwait.Until(t, "its share is in flight", inFlight(s, 10))
	}
	h.release(nil)
	for _, s := range all {
		wantEmpty(t, s)
	}
	perServer := map[int][]int{}
	for _, m := range h.messages() {
		k := number(t, m)
		perServer[k/1000] = append(perServer[k/1000], k%1000)
	}
	for i := range all {
		if got := perServer[i]; len(got) != 2*n || !slices.IsSorted(got) {
			t.Errorf("of nsqd %d came %d messages, in order: %t", i, len(got), slices.IsSorted(got))
		}
	}
	all[0].Stop()
	testwait.Until(t, "the others have its share", func() bool { return rdy(all[1]) == 15 && rdy(all[2]) == 15 })
	want := "1 of 3 nsqd is away: not connected to nsqd at " + all[0].TCPAddr() + ": "
	testwait.Until(t, "Check names the one that is away", func() bool {
		err := a.Check(t.Context())
		return err != nil && len(err.Error()) > len(want) && err.Error()[:len(want)] == want
	})
	all[0].Restart()
	testwait.Until(t, "Check is content", func() bool { return a.Check(t.Context()) == nil })
}

func TestFewerMessagesInFlightThanNSQD(t *testing.T) {
	for _, budget := range []int{1, 2} {
		t.Run(fmt.Sprint(budget), func(t *testing.T) {
			all, env := cluster(t, 4)
			env["NSQ_MAX_IN_FLIGHT"] = fmt.Sprint(budget)
			h := &fakeHost{}
			a := open(t, "", env)
			a.pool.rotation /= 20 // no setting does; the test would take 20 times as long
			start(t, a, h)
			for i, s := range all {
				s.Publish(topic, numbered(10*i, 5, 0)...)
			}
			for _, s := range all {
				wantEmpty(t, s)
			}
			if h.count() != 20 {
				t.Errorf("%d messages, want 20", h.count())
			}
			for _, d := range h.deliveries() {
				// While the connections redistribute the budget, an nsqd may still send according
				// to its old share.
				if len(d.messages) > 2*budget {
					t.Errorf("%d messages in flight", len(d.messages))
				}
			}
		})
	}
}

// TestTurnsBeginAndEnd: connections take turns while there are more of them than messages may be in
// flight, and only then, again and again.
func TestTurnsBeginAndEnd(t *testing.T) {
	t.Parallel()
	all, env := cluster(t, 3)
	env["NSQ_MAX_IN_FLIGHT"] = "2"
	h := &fakeHost{}
	a := open(t, "", env)
	a.pool.rotation /= 20
	start(t, a, h)
	turn := func() int { // nsqd has the same RDY whether turns have ended or begin and end for nothing
		a.pool.readyMu.Lock()
		defer a.pool.readyMu.Unlock()
		return a.pool.turn
	}
	for round := range 2 {
		testwait.Until(t, "three are connected", func() bool { return rdy(all[0]) >= 0 && rdy(all[1]) >= 0 && rdy(all[2]) >= 0 })
		for i, s := range all {
			testwait.Until(t, fmt.Sprintf("nsqd %d passes its turn on", i), func() bool { return rdy(s) == 0 })
			testwait.Until(t, fmt.Sprintf("nsqd %d has its turn", i), func() bool { return rdy(s) == 1 })
		}
		all[0].Stop()
		testwait.Until(t, "two have one message each", func() bool { return rdy(all[1]) == 1 && rdy(all[2]) == 1 })
		last, since := -1, time.Now()
		testwait.Until(t, "their turns end", func() bool {
			if n := turn(); n != last {
				last, since = n, time.Now()
			}
			return time.Since(since) > 20*a.pool.rotation
		})
		all[0].Restart()
		for i, s := range all {
			s.Publish(topic, numbered(100*round+10*i, 5, 0)...)
		}
		testwait.Until(t, "all are delivered", func() bool { return h.count() >= 15*(round+1) })
		for _, s := range all {
			wantEmpty(t, s)
		}
	}
	if got := h.count(); got != 30 {
		t.Errorf("%d messages, want 30", got)
	}
}
