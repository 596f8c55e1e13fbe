package memory

import (
	"hash/maphash"
	"iter"
)

// index has the logs by their apps' names: a hash table with linear probing, at most half
// full. Unlike a map it lets many names be looked up step by step, each step for all of them
// before the next, as lookUp does.
type index struct {
	seed  maphash.Seed
	slots []indexSlot // their number is a power of two
	n     int
}

// indexSlot is free without a log.
type indexSlot struct {
	hash uint64 // of the log's name
	log  *log
}

// leastSlots is a power of two.
const leastSlots = 64

func newIndex() index {
	return index{seed: maphash.MakeSeed(), slots: make([]indexSlot, leastSlots)}
}

func (x *index) hash(name string) uint64 { return maphash.String(x.seed, name) }

// home is the slot where a search for the hash begins.
func (x *index) home(hash uint64) int { return int(hash & uint64(len(x.slots)-1)) }

func (x *index) after(i int) int { return (i + 1) & (len(x.slots) - 1) }

// find is the app's log, nil if there is none.
func (x *index) find(name string) *log {
	hash := x.hash(name)
	for i := x.home(hash); ; i = x.after(i) {
		slot := &x.slots[i]
		if slot.log == nil || slot.hash == hash && slot.log.name == name {
			return slot.log
		}
	}
}

// likely is the first log whose name has the hash, nil if there is none. Another name may have
// the same, so the caller compares.
func (x *index) likely(hash uint64) *log {
	for i := x.home(hash); ; i = x.after(i) {
		slot := &x.slots[i]
		if slot.log == nil || slot.hash == hash {
			return slot.log
		}
	}
}

// add adds a log whose name has none.
func (x *index) add(l *log) {
	if x.n++; 2*x.n > len(x.slots) {
		old := x.slots
		x.slots = make([]indexSlot, 2*len(old))
		for _, slot := range old {
			if slot.log != nil {
				x.put(slot)
			}
		}
	}
	x.put(indexSlot{x.hash(l.name), l})
}

func (x *index) put(slot indexSlot) {
	i := x.home(slot.hash)
	for x.slots[i].log != nil {
		i = x.after(i)
	}
	x.slots[i] = slot
}

// remove removes a log that is there. Those that a search would find no more, for the slot
// that becomes free, move into it.
func (x *index) remove(l *log) {
	i := x.home(x.hash(l.name))
	for x.slots[i].log != l {
		i = x.after(i)
	}
	x.n--
	mask := len(x.slots) - 1
	for next := x.after(i); x.slots[next].log != nil; next = x.after(next) {
		// It may move to i if its search begins there, or before.
		if home := x.home(x.slots[next].hash); (next-home)&mask >= (next-i)&mask {
			x.slots[i] = x.slots[next]
			i = next
		}
	}
	x.slots[i] = indexSlot{}
}

// all yields the logs, in no order.
func (x *index) all() iter.Seq[*log] {
	return func(yield func(*log) bool) {
		for _, slot := range x.slots {
			if slot.log != nil && !yield(slot.log) {
				return
			}
		}
	}
}
