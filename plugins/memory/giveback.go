package memory

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// quietFor is the time between two looks whether a burst of work is over.
	quietFor = 5 * time.Second
	// quietBytes is the most that a quiet process allocates in that time.
	quietBytes = 1 << 20
	// burstBytes is the least that a burst allocates.
	burstBytes = 4 << 20
)

// giveBack runs until Close. Once a burst of reads is over, it returns to the system the heap that
// the burst took. With so much garbage between two collections (see garbage), the process would
// keep it: 10 MB after 1,000 tails began.
func (s *storage) giveBack() {
	tick := time.NewTicker(quietFor)
	defer tick.Stop()
	var b burst
	for {
		select {
		case <-s.stop:
			return
		case <-tick.C:
		}
		if b.over(allocated()) {
			debug.FreeOSMemory()
		}
	}
}

// burst finds out when a burst is over, from the total of allocated bytes at successive moments.
type burst struct{ last, collected uint64 }

func (b *burst) over(allocated uint64) bool {
	quiet := allocated-b.last < quietBytes
	b.last = allocated
	if !quiet || allocated-b.collected < burstBytes {
		return false
	}
	b.collected = allocated
	return true
}

// allocated returns how many bytes were allocated on the heap since the process began.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
