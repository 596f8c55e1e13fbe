package pipeline

import (
	"bytes"
	"hash/maphash"
	"math/rand/v2"
)

// containers remembers how messages described their containers. A container's messages all
// have the same description, byte by byte, and comparing it takes a fraction of reading it.
//
// It takes 12 MiB at most and grows by 0.1; the strings that it holds were cut out of 8 MiB.
// The oldest container makes room, used or not. It is for one caller at a time.
type containers struct {
	// table has, for a hash, the newest descriptions: of each the high half of the hash, and below
	// it its shelf and its place there. It is a hint: what is there by now counts.
	table   [1 << 12][8]uint64
	shelves [128]shelf
	filling int  // the shelf with room
	full    bool // every shelf was filled: what is kept takes the place of another
	// inVain is how many messages in a row were of none of these.
	inVain int
	// turn counts down, message by message of unknown containers, to 0: then one is kept, room
	// or not.
	turn int
}

// shelf is memory that is used again only as a whole.
type shelf struct {
	containers []container
	text       []byte
}

// container is what matters of a description.
type container struct {
	description []byte // as it is written, in a shelf's text
	kubernetes  int    // where that object begins in it
	// app is valid, but empty if it is the controller, whose lines name their apps.
	app                         string
	process, release, pod, host string
	controller                  bool
}

const (
	shelfContainers = 256
	shelfBytes      = 64 << 10
	// head is how much of a description is hashed. It tells containers apart: one has the
	// container's id in it, or the pod's. Whatever is shorter is read.
	head = 192
	// longestDescription leaves little of a shelf empty.
	longestDescription = 4 << 10
	// keptOneIn: where there is no room left, of so many messages of unknown containers one's is
	// kept, whichever. Containers of one line each would cost more than they are worth, and
	// make others forgotten.
	keptOneIn = 8
	// patience is how many messages in a row may be of unknown containers until just
	// those are looked for that would be kept.
	patience = 1 << 14
)

// worthwhile says whether to look for the next message's container.
func (c *containers) worthwhile() bool {
	c.inVain++
	if c.turn--; c.turn < 0 {
		c.turn = rand.IntN(2 * keptOneIn) //nolint:gosec // no secret depends on it
	}
	return c.inVain <= patience || c.turn == 0
}

// hit notes that the message's container was known.
func (c *containers) hit() {
	c.inVain = 0
	c.turn++
}

// find is the container whose description b begins with, or nil.
func (c *containers) find(b []byte) *container {
	if len(b) < head {
		return nil
	}
	group, tag := c.group(b)
	for _, at := range group {
		if at>>32 == tag {
			s := &c.shelves[at>>16&0xffff]
			if n := int(at & 0xffff); n < len(s.containers) && bytes.HasPrefix(b, s.containers[n].description) {
				return &s.containers[n]
			}
			return nil // older ones of the same head do not count
		}
	}
	return nil
}

// group is where descriptions that begin as b does are in the table, and as what.
func (c *containers) group(b []byte) (group *[8]uint64, tag uint64) {
	hash := maphash.Bytes(seed, b[:head])
	return &c.table[hash%uint64(len(c.table))], hash >> 32
}

// keep remembers a container that was looked for, if there is room or it is its turn, with a
// copy of its description.
func (c *containers) keep(k *container, description []byte) {
	if c.turn != 0 && c.full || len(description) < head || len(description) > longestDescription {
		return
	}
	s := &c.shelves[c.filling]
	if len(s.containers) == shelfContainers || len(s.text)+len(description) > shelfBytes {
		c.filling = (c.filling + 1) % len(c.shelves)
		c.full = c.full || c.filling == 0
		s = &c.shelves[c.filling]
		clear(s.containers) // of their strings
		s.containers, s.text = s.containers[:0], s.text[:0]
	}
	if s.text == nil {
		s.containers, s.text = make([]container, 0, shelfContainers), make([]byte, 0, shelfBytes)
	}
	group, tag := c.group(description)
	copy(group[1:], group[:])
	group[0] = tag<<32 | uint64(c.filling)<<16 | uint64(len(s.containers))
	start := len(s.text)
	s.text = append(s.text, description...)
	k.description = s.text[start:]
	s.containers = append(s.containers, *k)
}
