package pipeline

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"math/rand/v2"

	"github.com/deis/logger/sdk"
)

// recentIDs remembers the newest messages, so that one that the transport delivers
// again is not stored again: its acknowledgement got lost, or it is still on its way
// here. The second copy's receipt resolves after the first one's, since deliveries
// are stored in order.
//
// The transport's count of attempts is no help: a queue that crashed counts from one
// again.
//
// It takes 2.5 MiB and never more: a ring of the newest ids, and a hash table that finds
// them in it. Neither has pointers. It is for one caller at a time.
type recentIDs struct {
	ring *[window]messageID // number n is at n % window
	// table has, at its hash or, if that is taken, after it, the hash of each id in the
	// high half and 1 + its place in the ring in the low half; 0 is free. So the ring
	// is looked at for the right id only. It is half full at most.
	table *[places]uint64
	// next is the number of the next message. It starts at window, as if as many
	// had been forgotten.
	next uint64
	keys [3]uint64 // of the hash; no sender can choose ids that share one
}

// window is how many messages are remembered: one is recognised if fewer than this
// many others came since. Both are powers of two.
const (
	window = 1 << 16
	places = 2 * window
)

// messageID tells messages apart. Two queues may give the same id to two messages,
// but hardly in the same nanosecond.
type messageID struct {
	// high and low are the id if it has 16 bytes, as those of NSQ, else two hashes
	// of it: that two ids ever have both in common is beyond expectation.
	high, low uint64
	published int64 // nanoseconds since the Unix epoch
}

var seeds128 = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func idOf(m *sdk.Message) messageID {
	id := messageID{published: m.Published.UnixNano()}
	if len(m.ID) == 16 {
		b := []byte(m.ID) // stays on the stack
		id.high, id.low = binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
	} else {
		id.high, id.low = maphash.String(seeds128[0], m.ID), maphash.String(seeds128[1], m.ID)
	}
	return id
}

func newRecentIDs() *recentIDs {
	return &recentIDs{
		ring:  new([window]messageID),
		table: new([places]uint64),
		next:  window,
		//nolint:gosec // for spreading, not for secrets
		keys: [3]uint64{rand.Uint64(), rand.Uint64(), rand.Uint64()},
	}
}

// unnumbered is the number of a message that is not remembered.
const unnumbered = 0

// add remembers the message and says whether it is new, and under which number. One
// without an id is always new.
func (r *recentIDs) add(m *sdk.Message) (number uint64, fresh bool) {
	if m.ID == "" {
		return unnumbered, true
	}
	id := idOf(m)
	hash := r.hash(&id)
	at := hash % places
	for ; r.table[at] != 0; at = (at + 1) % places {
		if e := r.table[at]; e>>32 == hash && r.ring[uint32(e)-1] == id {
			return unnumbered, false
		}
	}
	number = r.next
	r.next++
	place := number % window
	if r.remove(place) {
		// Others may have moved up, to before the place that was found.
		for at = hash % places; r.table[at] != 0; {
			at = (at + 1) % places
		}
	}
	r.ring[place] = id
	r.table[at] = hash<<32 | (place + 1)
	return number, true
}

// forget undoes add for a message that was not taken after all.
func (r *recentIDs) forget(number uint64) {
	if number+window >= r.next && number != unnumbered { // else it is forgotten already
		r.remove(number % window)
	}
}

// remove takes what is at the place of the ring out of the table, if it is there.
func (r *recentIDs) remove(place uint64) bool {
	hash := r.hash(&r.ring[place])
	at := hash % places
	for e := hash<<32 | (place + 1); r.table[at] != e; at = (at + 1) % places {
		if r.table[at] == 0 {
			return false
		}
	}
	// What comes after the gap moves into it, unless it would be before its hash.
	gap := at
	for {
		at = (at + 1) % places
		e := r.table[at]
		if e == 0 {
			break
		}
		if (at-e>>32)%places >= (at-gap)%places {
			r.table[gap] = e
			gap = at
		}
	}
	r.table[gap] = 0
	return true
}

// hash has 32 bits.
func (r *recentIDs) hash(id *messageID) uint64 {
	high, low := bits.Mul64(id.high^r.keys[0], id.low^r.keys[1])
	high, low = bits.Mul64(high^low^uint64(id.published), r.keys[2]|1)
	return (high ^ low) >> 32
}
