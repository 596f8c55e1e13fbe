package pipeline

import (
	"encoding/binary"
	"hash/maphash"

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
// Messages are remembered in two generations. When the young one is full it becomes the
// old one, and what was the old one is forgotten. It is for one caller at a time.
type recentIDs struct {
	young, old map[idMark]struct{}
}

// remembered is how many messages have come since, at least, when one is forgotten. Both
// generations together take some 7 MiB.
const remembered = 1 << 16

// idMark is a message's id, and when it was published, since two queues may give the same id
// to two messages, but hardly in the same nanosecond. The zero mark stands for none.
type idMark struct {
	id        [16]byte // as NSQ's are; of another length, 128 bits of a keyed hash
	published int64
}

var markSeeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func newRecentIDs() *recentIDs {
	return &recentIDs{young: make(map[idMark]struct{}, remembered), old: make(map[idMark]struct{}, remembered)}
}

// add remembers the message and says whether it is new, and under which mark. One
// without an id is always new, and is not remembered.
func (r *recentIDs) add(m *sdk.Message) (mark idMark, fresh bool) {
	if m.ID == "" {
		return mark, true
	}
	mark = markOf(m)
	if _, known := r.young[mark]; known {
		return mark, false
	}
	if _, known := r.old[mark]; known {
		return mark, false
	}
	if len(r.young) == remembered {
		r.young, r.old = r.old, r.young
		clear(r.young)
	}
	r.young[mark] = struct{}{}
	return mark, true
}

// forget undoes add for a message that was not taken after all.
func (r *recentIDs) forget(mark idMark) {
	delete(r.young, mark)
	delete(r.old, mark)
}

func markOf(m *sdk.Message) (mark idMark) {
	if len(m.ID) == len(mark.id) {
		copy(mark.id[:], m.ID)
	} else {
		binary.NativeEndian.PutUint64(mark.id[:8], maphash.String(markSeeds[0], m.ID))
		binary.NativeEndian.PutUint64(mark.id[8:], maphash.String(markSeeds[1], m.ID))
	}
	mark.published = m.Published.UnixNano()
	return mark
}
