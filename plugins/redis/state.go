package redis

import (
	"encoding/binary"
	"hash/fnv"
	"math/rand/v2"
	"time"

	"github.com/deis/logger/sdk"
)

// state is what an app's state says of its log, without the marks; see state.lua.
type state struct {
	epoch, last uint64
	kept        uint64 // entries that are kept
	bytes       uint64 // of the blocks
	runs        []runState
}

// runState is what the state says of a run.
type runState struct {
	entries, blocks uint64
	added           uint64 // entries that it ever had
	tail            int64  // the latest publish time, in nanoseconds
	slip            int64  // how much earlier than the tail an entry of it was published, in nanoseconds
}

const (
	stateFormat = 3
	stateKept   = 17 // the epoch and the last position come before it
	stateHead   = 38
	stateRun    = 42
)

// parseState reads a state. It is not ok for text that is none.
func parseState(text string) (s state, ok bool) {
	b := []byte(text)
	if len(b) < stateHead || b[0] != stateFormat || b[37] > maxRuns || len(b) < stateHead+int(b[37])*stateRun {
		return state{}, false
	}
	s = state{
		epoch: binary.BigEndian.Uint64(b[1:]),
		last:  binary.BigEndian.Uint64(b[9:]),
		kept:  uint64(binary.BigEndian.Uint32(b[stateKept:])),
		bytes: binary.BigEndian.Uint64(b[21:]),
		runs:  make([]runState, b[37]),
	}
	for i := range s.runs {
		r := b[stateHead+i*stateRun:]
		s.runs[i] = runState{
			entries: uint64(binary.BigEndian.Uint32(r)),
			blocks:  uint64(binary.BigEndian.Uint32(r[4:])),
			added:   binary.BigEndian.Uint64(r[8:]),
			tail:    timeOf(r[16:]),
			slip:    int64(binary.BigEndian.Uint64(r[26:])) * 1000,
		}
	}
	return s, s.epoch != 0
}

// timeOf reads a time as the scripts pack it: microseconds (8 bytes), and the nanoseconds
// that are left (2).
func timeOf(b []byte) int64 {
	return int64(binary.BigEndian.Uint64(b))*1000 + int64(binary.BigEndian.Uint16(b[8:]))
}

// newest is the latest publish time.
func (s *state) newest() time.Time {
	var latest int64
	for i := range s.runs {
		if s.runs[i].entries > 0 {
			latest = max(latest, s.runs[i].tail)
		}
	}
	return time.Unix(0, latest).UTC()
}

// version is a number for the state as a whole: every append changes it.
func (s *storage) version(text string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(text))
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(s.settings.Lines)))
	return max(h.Sum64(), 1)
}

// newEpoch is a number that no other life of a log has: random, and neither 0 nor that of
// [sdk.Beginning].
func newEpoch() string {
	for {
		if epoch := rand.Uint64(); epoch != 0 && epoch != sdk.Beginning().Epoch { //nolint:gosec // a name, not a secret
			return string(binary.BigEndian.AppendUint64(nil, epoch))
		}
	}
}
