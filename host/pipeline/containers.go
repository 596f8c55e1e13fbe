package pipeline

import (
	"bytes"
	"hash/maphash"
	"math/rand/v2"
)

// containers remembers what messages said of their containers. All messages of a container have the
// same description, byte by byte, and comparing it takes a fraction of the time of reading it.
//
// It takes mostRemembered bytes at most: for a new container it forgets random others. It is for
// one caller at a time.
type containers struct {
	// known has the containers by a hash of the first bytes of their descriptions. If descriptions
	// begin with the same bytes, the newest is here.
	known map[uint64]*container
	bytes int
}

// container holds the parts of a description that matter.
type container struct {
	description []byte // as it is written
	kubernetes  int    // where that object begins in it
	// app is the name of a valid app. It is empty if there is no label for it, and for the
	// controller, whose lines name their apps.
	app                                    string
	process, release, pod, container, host string
	controller                             bool
	// rejected says why none of the container's lines is kept; nil if they are kept.
	rejected *rejection
}

const (
	mostRemembered = 8 << 20
	// containerOverhead is the number of bytes that a container takes beside its description.
	containerOverhead = 256
	// head is the number of bytes of a description that are hashed. They tell containers apart,
	// since they have the id of the container or the pod. A shorter description is not remembered.
	head = 192
	// longestDescription keeps a few strange containers from pushing out many others.
	longestDescription = 4 << 10
	// keptOneIn limits how often a new container pushes out another: of so many messages of unknown
	// containers only one, at random, has its container remembered then. To copy the descriptions
	// of containers that write one line each would cost more than it gains.
	keptOneIn = 8
)

func (k *container) size() int { return len(k.description) + containerOverhead }

// find returns the container whose description b begins with, or nil.
func (c *containers) find(b []byte) *container {
	if len(b) < head {
		return nil
	}
	if k := c.known[hashOf(b)]; k != nil && bytes.HasPrefix(b, k.description) {
		return k
	}
	return nil
}

var seed = maphash.MakeSeed()

func hashOf(description []byte) uint64 { return maphash.Bytes(seed, description[:head]) }

// remember keeps a copy of a container that find did not find, and of its description.
func (c *containers) remember(what *container, description []byte) {
	if len(description) < head || len(description) > longestDescription {
		return
	}
	hash := hashOf(description)
	taken := c.known[hash] != nil || c.bytes+len(description)+containerOverhead > mostRemembered
	if taken && rand.IntN(keptOneIn) != 0 { //nolint:gosec // no secret depends on it
		return
	}
	k := *what
	k.description = bytes.Clone(description)
	if c.known == nil {
		c.known = make(map[uint64]*container)
	}
	c.forget(hash)
	for other := range c.known {
		if c.bytes+k.size() <= mostRemembered {
			break
		}
		c.forget(other)
	}
	c.known[hash] = &k
	c.bytes += k.size()
}

func (c *containers) forget(hash uint64) {
	if k := c.known[hash]; k != nil {
		c.bytes -= k.size()
		delete(c.known, hash)
	}
}
