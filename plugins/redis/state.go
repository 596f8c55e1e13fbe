package redis

import (
	"encoding/binary"
	"math"
)

// state is the head of an app's state; see state.lua.
type state struct {
	epoch, last uint64
	// kept is how many entries there are, unless Redis evicted the list; total is how
	// many the list has, in so many blocks. The oldest block has those that are not kept.
	// First is how many are in the oldest block.
	kept, total, blocks, first uint64
}

const (
	stateFormat = 2
	stateHead   = 49
)

func parseState(text string) (s state, ok bool) {
	if len(text) < stateHead || text[0] != stateFormat {
		return s, false
	}
	head := []byte(text[1:stateHead])
	for i, n := range []*uint64{&s.epoch, &s.last, &s.kept, &s.total, &s.blocks, &s.first} {
		*n = binary.BigEndian.Uint64(head[8*i:])
	}
	return s, s.epoch != 0 && s.kept <= s.last && s.kept <= s.total && s.blocks <= s.total && s.first <= s.total && s.total <= math.MaxInt32
}

// text is the head of a state.
func (s *state) text() (head [stateHead]byte) {
	head[0] = stateFormat
	for i, n := range [...]uint64{s.epoch, s.last, s.kept, s.total, s.blocks, s.first} {
		binary.BigEndian.PutUint64(head[1+8*i:], n)
	}
	return head
}

// oldest is the position of the oldest entry that is kept.
func (s *state) oldest() uint64 { return s.last - s.kept + 1 }

// epochText is the epoch as it is in an app's state.
func epochText(epoch uint64) string {
	return string(binary.BigEndian.AppendUint64(nil, epoch))
}
