package aggregatortest

import (
	"sync"
	"testing"
	"testing/synctest"

	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/plugintest"
)

// moving implements a transport whose messages move while they are counted. Two counts of three are
// wrong: one is as much too low as the other is too high.
type moving struct {
	*queue

	mu    sync.Mutex
	looks int
}

func (m *moving) Outstanding() (int, error) {
	m.mu.Lock()
	m.looks++
	look := m.looks
	m.mu.Unlock()
	n, err := m.queue.Outstanding()
	if look > 60 { // the messages have come to rest
		return n, err
	}
	return max(0, n+look%3-1), err
}

// TestCountsOffForAMoment: every check that counts passes, although the first counts are wrong.
func TestCountsOffForAMoment(t *testing.T) {
	allPass(t, func(plugintest.T) (Transport, func() sdk.Aggregator) {
		q := newQueue()
		return &moving{queue: q}, func() sdk.Aggregator { return &reference{queue: q} }
	})
}

// counted returns one number after the other, and the last one for ever.
type counted struct {
	mu   sync.Mutex
	next []int
}

func (*counted) Publish(...[]byte) error { return nil }

func (c *counted) Outstanding() (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.next[0]
	if len(c.next) > 1 {
		c.next = c.next[1:]
	}
	return n, nil
}

// TestLooks: a count that is wrong for an instant is repeated. A count that stays wrong is found,
// even if some counts err in the other direction or are right by chance.
func TestLooks(t *testing.T) {
	const moves = 600 // more than fit into the time that moving messages get
	for _, tc := range []struct {
		name         string
		next         []int
		rests, keeps bool // 5
	}{
		{"right", []int{5}, true, true},
		{"one too few for an instant", []int{4, 5}, false, true},
		{"one too many for an instant", []int{5, 6, 5}, false, true},
		{"off and on", []int{4, 5, 6, 5, 5, 4, 5}, false, true},
		{"one acknowledged", []int{4}, false, false},
		{"one acknowledged, others move", repeat(moves, 4, 3, 5, 5, 4), false, false},
		{"right at first", []int{5, 5, 5, 4}, false, true}, // the next count will tell
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				look := func() *subject {
					return &subject{T: plugintest.T(t), transport: &counted{next: tc.next}}
				}
				if got := look().rests(5); got != tc.rests {
					t.Errorf("rests: %t", got)
				}
				if got := look().keeps(5); got != tc.keeps {
					t.Errorf("keeps: %t", got)
				}
			})
		})
	}
}

func repeat(times int, numbers ...int) (all []int) {
	for len(all) < times {
		all = append(all, numbers...)
	}
	return append(all, 4)
}
