package pipeline

import (
	"sync"

	"github.com/deis/logger/sdk"
)

// recentIDs remembers the newest messages, so that one that the transport delivers
// again is not stored again: its acknowledgement got lost, or it is still on its way
// here. The second copy's receipt resolves after the first one's, since deliveries
// are stored in order.
//
// The transport's count of attempts is no help: a queue that crashed counts from one
// again. It holds between one and two generations of generation ids.
type recentIDs struct {
	mu            sync.Mutex
	current, last map[messageID]struct{}
}

// messageID tells messages apart. Two queues may give the same id to two messages,
// but hardly in the same nanosecond.
type messageID struct {
	id        string
	published int64 // nanoseconds since the Unix epoch
}

func idOf(m *sdk.Message) messageID { return messageID{m.ID, m.Published.UnixNano()} }

// generation is how many ids one generation holds. So a message is recognised if
// fewer than this many others came since.
const generation = 1 << 16

func newRecentIDs() *recentIDs {
	return &recentIDs{current: make(map[messageID]struct{}, generation)}
}

// add remembers the message and says whether it is new. One without an id is always
// new.
func (r *recentIDs) add(m messageID) bool {
	if m.id == "" {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	_, now := r.current[m]
	_, before := r.last[m]
	if now || before {
		return false
	}
	if len(r.current) >= generation {
		r.last, r.current = r.current, r.last
		clear(r.current)
		if r.current == nil {
			r.current = make(map[messageID]struct{}, generation)
		}
	}
	r.current[m] = struct{}{}
	return true
}

// forget undoes add for messages that were not taken after all.
func (r *recentIDs) forget(messages []messageID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range messages {
		delete(r.current, m)
		delete(r.last, m)
	}
}
