package redis

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"

	"github.com/deis/logger/sdk"
)

// state is what an app's state says of its log, without the marks; see state.lua.
type state struct {
	epoch, last uint64
	kept        uint64 // entries that are kept
	bytes       uint64 // of the blocks
	newest      int64  // the latest publish time, in nanoseconds
	runs        []runState
}

// runState is what the state says of a run.
type runState struct {
	entries, blocks uint64
	added           uint64 // entries that it ever had
	slip            int64  // by how much an entry of it was published before its tail at most, in nanoseconds
}

const (
	stateFormat = 3
	stateKept   = 17 // the epoch and the last position come before it
	stateHead   = 38
	stateRun    = 44
	statePiece  = 24
)

// parseState reads a state. It is not ok for text that is none.
func parseState(text string) (s state, ok bool) {
	b := []byte(text)
	if len(b) < stateHead || b[0] != stateFormat || b[stateHead-1] > maxRuns {
		return state{}, false
	}
	number := binary.BigEndian.Uint64
	s = state{epoch: number(b[1:]), last: number(b[9:]), bytes: number(b[21:]), runs: make([]runState, b[stateHead-1])}
	s.kept = uint64(binary.BigEndian.Uint32(b[stateKept:]))
	b = b[stateHead:]
	for i := range s.runs {
		if len(b) < stateRun {
			return state{}, false
		}
		s.runs[i] = runState{
			entries: uint64(binary.BigEndian.Uint32(b)), blocks: uint64(binary.BigEndian.Uint32(b[4:])),
			added: number(b[8:]), slip: int64(number(b[26:])) * 1000,
		}
		s.newest = max(s.newest, timeOf(b[16:]))
		b = b[min(len(b), stateRun+statePiece*int(binary.BigEndian.Uint16(b[42:]))):]
	}
	return s, s.epoch != 0
}

// timeOf reads a time as the scripts pack it: microseconds (8 bytes), and the nanoseconds
// that are left (2).
func timeOf(b []byte) int64 {
	return int64(binary.BigEndian.Uint64(b))*1000 + int64(binary.BigEndian.Uint16(b[8:]))
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
	return string(binary.BigEndian.AppendUint64(nil, epoch))
}
