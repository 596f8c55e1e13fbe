package faults

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nsqio/nsq/nsqd"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/redistest"
)

const (
	// longestRound bounds the time between two audits.
	longestRound = 20 * time.Second
	// longestPause bounds the time between two faults.
	longestPause = 800 * time.Millisecond
)

// TestSoak: whatever faults come, and in whatever order, no line is lost, doubled or out of order.
// Faults are drawn at random, in rounds. A round ends with an audit, balanced books, a sample of
// the processes' resources, and the deletion of all logs. In a long soak the host is not ended in
// the second half, nor the plugins in the last quarter: so it shows if their memory grows.
func TestSoak(t *testing.T) {
	seed := *soakSeed
	if seed == 0 {
		seed = time.Now().UnixNano()
	}
	for stream, name := range []string{"memory", "redis"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Logf("go test ./e2e/faults -run TestSoak/%s -soak %s -seed %d", name, *soakTime, seed)
			newSoak(t, name, rand.New(rand.NewPCG(uint64(seed), uint64(stream)))).run(*soakTime)
		})
	}
}

// soak runs a rig with faults that are drawn at random.
type soak struct {
	*rig
	memory bool
	rng    *rand.Rand
	redis  *redistest.Server // nil with the memory storage
	cut    *cutter           // nil with the memory storage
	faults []fault
	worst  part // the greatest part that faults may end now
	ended  bool // a host has ended in this round
	began  time.Time
	// strange belongs to the publisher's goroutine.
	strange *rand.Rand
}

func newSoak(t *testing.T, storage string, rng *rand.Rand) *soak {
	t.Helper()
	s := &soak{memory: storage == "memory", rng: rng, strange: rand.New(rand.NewPCG(rng.Uint64(), 0)), faults: common}
	env := harness.MemoryEnv()
	if !s.memory {
		s.redis = durableRedis(t)
		s.cut = newCutter(t, s.redis.Addr)
		env = harness.RedisEnv(s.cut.addr())
		s.faults = append(append([]fault(nil), common...), ofRedis...)
	}
	s.rig = newRigTuned(t, func(o *nsqd.Options) { o.MaxMsgSize = 1 << 24 }, env)
	return s
}

func (s *soak) run(total time.Duration) {
	s.t.Helper()
	s.start()
	s.asker = startAsker(s.t, s.logger.URL, apps, askEvery)
	s.began = time.Now()
	used := newResources(s.t)
	counts := map[string]int{}
	from := 0
	for rounds := 1; time.Since(s.began) < total && !s.t.Failed(); rounds++ {
		s.worst = worstAt(time.Since(s.began), total)
		s.publish(from, s.oddities)
		end := min(total/2, longestRound)
		s.round(time.Now().Add(end), counts)
		s.t.Logf("%s: round %d", time.Since(s.began).Round(time.Millisecond), rounds)
		s.finish()
		from = int(s.pub.next.Load())
		s.clear()
		used.take(s.rig)
	}
	used.flat()
	s.t.Logf("faults: %v", counts)
}

func worstAt(now, total time.Duration) part {
	switch {
	case total < 3*longestRound || now < total/2:
		return host
	case now < total*3/4:
		return plugins
	}
	return connections
}

// round draws faults until its time is up. Each has undone its damage when the next one begins.
func (s *soak) round(until time.Time, counts map[string]int) {
	s.t.Helper()
	for time.Now().Before(until) && !s.t.Failed() {
		f := s.draw(s.faults)
		s.t.Logf("%s: %s", time.Since(s.began).Round(time.Millisecond), f.name)
		counts[f.name]++
		f.do(s)
		s.goOn(s.upTo(longestPause))
	}
}

func (s *soak) draw(from []fault) fault {
	var faults []fault // each fault as often as its weight says
	for _, f := range from {
		for n := f.weight; n > 0 && f.ends <= s.worst; n-- {
			faults = append(faults, f)
		}
	}
	return faults[s.rng.IntN(len(faults))]
}

func (s *soak) upTo(d time.Duration) time.Duration { return time.Duration(s.rng.Int64N(int64(d))) }

// meanwhile lets a fault last for a random time. In half of the cases, another fault happens during
// it.
func (s *soak) meanwhile(longest time.Duration) {
	d := s.upTo(longest)
	if s.rng.IntN(2) == 0 {
		f := s.draw(common)
		s.t.Logf("%s: … and %s", time.Since(s.began).Round(time.Millisecond), f.name)
		f.do(s)
	}
	s.goOn(d)
}

// oddities returns now and then malformed or large messages, to publish beside good ones.
func (s *soak) oddities(int) (out [][]byte) {
	switch s.strange.IntN(100) {
	case 0:
		out = append(out, bytes.Repeat([]byte("["), 1+s.strange.IntN(1<<20)))
	case 1:
		out = append(out, harness.Message("large", strings.Repeat("x", s.strange.IntN(1<<21))+"\n"))
	case 2, 3, 4, 5:
		for range s.strange.IntN(100) {
			out = append(out, []byte("malformed"))
		}
	}
	return out
}

// clear deletes all logs, so that the next round begins without any.
func (s *soak) clear() {
	s.t.Helper()
	s.asker.without(func() {
		for _, app := range append(appNames(), "large", "probe") {
			if status, _, body := s.logger.Do(http.MethodDelete, "/logs/"+app); status != http.StatusOK {
				s.t.Errorf("delete %s: %d %s", app, status, body)
			}
			if status := s.logger.Status("/logs/" + app); status != http.StatusNoContent {
				s.t.Errorf("%s after its delete: %d", app, status)
			}
		}
		s.asker.forget()
		s.asker.expect(false)
		s.asker.allowRepeats(false)
	})
	s.tap.forget()
	s.repeats, s.ended, s.givenUp = false, false, nil
}

func appNames() []string {
	names := make([]string, apps)
	for app := range names {
		names[app] = fmt.Sprintf("app-%d", app)
	}
	return names
}
