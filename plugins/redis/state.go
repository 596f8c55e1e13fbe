package redis

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"

	"github.com/deis/logger/sdk"
)

const (
	stateFormat = 5
	stateKept   = 17 // the epoch and the last position come before it
	stateHead   = 49
)

// state is what an app's state says of its log, without the marks; see state.lua.
type state struct {
	epoch, last uint64
	kept        uint64 // entries that are kept
	entries     uint64 // entries that are stored
	blocks      uint64
	bytes       uint64 // of the blocks
	span        int64  // the longest time between the publish times of a block, in nanoseconds
}

// parseState reads a state. It is not ok for text that is none.
func parseState(text string) (s state, ok bool) {
	b := []byte(text)
	if len(b) < stateHead || b[0] != stateFormat {
		return state{}, false
	}
	short := func(at int) uint64 { return uint64(binary.BigEndian.Uint32(b[at:])) }
	long := func(at int) uint64 { return binary.BigEndian.Uint64(b[at:]) }
	s = state{
		epoch: long(1), last: long(9), kept: short(stateKept), entries: short(21), blocks: short(25),
		bytes: long(29), span: int64(short(45)),
	}
	return s, s.epoch != 0
}

// version is a number for the state as a whole: every append changes it.
func (s *storage) version(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write(binary.BigEndian.AppendUint64([]byte(text), uint64(s.settings.Lines)))
	return max(h.Sum64(), 1)
}

// newEpoch is a number that no other life of a log has: random, and neither 0 nor that of
// [sdk.Beginning].
func newEpoch() string {
	epoch := 1 + rand.Uint64N(sdk.Beginning().Epoch-1) //nolint:gosec // a name, not a secret
	return epochBytes(epoch)
}

// epochBytes is an epoch as the scripts have it.
func epochBytes(epoch uint64) string { return string(binary.BigEndian.AppendUint64(nil, epoch)) }
