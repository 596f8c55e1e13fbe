package memory

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// quietFor is how often it is looked whether a burst of work is over.
	quietFor = 5 * time.Second
	// quietBytes is the most that is allocated in that time when there is little to do.
	quietBytes = 1 << 20
	// burstBytes is what a burst allocates at least.
	burstBytes = 4 << 20
)

// giveBack returns the heap that a burst of reads took to the system once the burst is over, until
// Close. With so much garbage between two collections (see garbage) it would stay with the process:
// 10 MB after 1,000 tails began.
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

// burst tells from what was allocated in all, at one moment after the other, when a burst is over.
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
