package pipeline

import "sync"

// recentIDs remembers the transport ids of the newest messages, so that one that
// the transport delivers again is not stored again: its acknowledgement got lost,
// or it is still on its way here. The second copy's receipt resolves after the
// first one's, since deliveries are stored in order.
//
// It holds between one and two generations of generation ids.
type recentIDs struct {
	mu            sync.Mutex
	current, last map[string]struct{}
}

// generation is how many ids one generation holds. So a message is recognised if
// fewer than this many others came since.
const generation = 1 << 16

func newRecentIDs() *recentIDs {
	return &recentIDs{current: make(map[string]struct{}, generation)}
}

// add remembers the id and says whether it is new. A first attempt is new without a
// look; an empty id is always new.
func (r *recentIDs) add(id string, attempts uint32) bool {
	if id == "" {
		return true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if attempts != 1 {
		_, now := r.current[id]
		_, before := r.last[id]
		if now || before {
			return false
		}
	}
	if len(r.current) >= generation {
		r.last, r.current = r.current, r.last
		clear(r.current)
		if r.current == nil {
			r.current = make(map[string]struct{}, generation)
		}
	}
	r.current[id] = struct{}{}
	return true
}

// forget undoes add for messages that were not taken after all.
func (r *recentIDs) forget(ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		delete(r.current, id)
		delete(r.last, id)
	}
}
