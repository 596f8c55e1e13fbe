package v1

import (
	"testing"
	"time"
)

// TestHeartbeatsTogether: whenever tails begin, their heartbeats come at a few common moments, and
// none is late.
func TestHeartbeatsTogether(t *testing.T) {
	const every = 15 * time.Second
	begin := time.Unix(1_700_000_000, 123_456_789)
	moments := map[int64]bool{}
	for i := range 1000 {
		now := begin.Add(time.Duration(i) * every / 1000)
		for range 3 {
			wait := untilBeat(now, every)
			if wait > every || wait < every-every/beatSteps {
				t.Fatalf("a heartbeat after %s, want %s at most", wait, every)
			}
			now = now.Add(wait)
		}
		moments[now.UnixNano()] = true
	}
	if n := len(moments); n > beatSteps+1 {
		t.Errorf("heartbeats of tails that begin within %s are at %d moments, want %d", every, n, beatSteps+1)
	}
	if untilBeat(begin, 1) != 1 {
		t.Error("heartbeats must not be due at once for ever")
	}
}
