package pipeline

import (
	"encoding/binary"
	"hash/maphash"
	"math/bits"
	"math/rand/v2"

	"github.com/deis/logger/sdk"
)

// recentIDs remembers the newest messages, so that a message that the transport delivers again is
// not stored again. This happens when its acknowledgement got lost or is still under way. The
// receipt of the second copy resolves after that of the first, since deliveries are stored in
// order.
//
// The transport's count of attempts is no help: a queue that crashed counts from one again.
//
// The table takes 4 MiB and never more. A bucket has as many marks as fit a processor's cache line,
// the newest first. So a message costs one cache line, and no chain to follow. It is for one caller
// at a time.
type recentIDs struct {
	table *[buckets][bucketMarks]uint64
	keys  [3]uint64 // of the hash; with them, no sender can choose ids that share a mark
}

// A message is forgotten once eight others came into its bucket. After 2^16 other messages, one in
// 100,000 is forgotten, after 2^17 one in 1,000, and after 2^19 half of them.
const (
	buckets     = 1 << 16
	bucketMarks = 8
)

// idMark stands for a message: a bucket, and 64 more bits of a keyed hash of its id and its publish
// time. The time counts since two queues may give the same id to two messages, but hardly in the
// same nanosecond. A new message has the mark of a remembered one, and is taken for it, once in
// 10^18 times: that is beyond expectation.
type idMark struct {
	bits   uint64 // 0 of a message that is not remembered
	bucket uint16
}

func newRecentIDs() *recentIDs {
	return &recentIDs{
		table: new([buckets][bucketMarks]uint64),
		//nolint:gosec // for spreading, not for secrets
		keys: [3]uint64{rand.Uint64(), rand.Uint64(), rand.Uint64()},
	}
}

// add remembers the message, and returns its mark and whether it is new. A message without an id is
// always new.
func (r *recentIDs) add(m *sdk.Message) (mark idMark, fresh bool) {
	if m.ID == "" {
		return idMark{}, true
	}
	mark = r.mark(m)
	b := &r.table[mark.bucket]
	for _, known := range b {
		if known == mark.bits {
			return idMark{}, false
		}
	}
	copy(b[1:], b[:bucketMarks-1])
	b[0] = mark.bits
	return mark, true
}

// forget undoes add for a message that was not taken after all.
func (r *recentIDs) forget(mark idMark) {
	b := &r.table[mark.bucket]
	for i := range b {
		if b[i] == mark.bits {
			b[i] = 0
		}
	}
}

var seeds128 = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func (r *recentIDs) mark(m *sdk.Message) idMark {
	var high, low uint64
	if len(m.ID) == 16 { // as those of NSQ
		id := []byte(m.ID) // stays on the stack
		high, low = binary.LittleEndian.Uint64(id), binary.LittleEndian.Uint64(id[8:])
	} else {
		high, low = maphash.String(seeds128[0], m.ID), maphash.String(seeds128[1], m.ID)
	}
	high, low = bits.Mul64(high^r.keys[0], low^r.keys[1])
	high, low = bits.Mul64(high^low^uint64(m.Published.UnixNano()), r.keys[2]|1)
	bucket, _ := bits.Mul64(high+low, r.keys[0]|1)
	return idMark{bits: max(high^low, 1), bucket: uint16(bucket)}
}
