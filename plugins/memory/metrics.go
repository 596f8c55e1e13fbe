package memory

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// measure registers the metrics of the storage. They are computed at each scrape.
func (s *storage) measure() {
	gauge := func(name, help string, value func() int) {
		promauto.With(s).NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
	}
	// locked calls of with the lock held.
	locked := func(of func() int) func() int {
		return func() int {
			s.mu.RLock()
			defer s.mu.RUnlock()
			return of()
		}
	}
	a := s.arena
	gauge("arena_limit_bytes", "LOGGER_MEMORY_MAX_BYTES: what the arena may take.", func() int { return int(a.limit) * blockSize })
	gauge("arena_bytes", "What the arena has taken of the system.", locked(func() int { return int(a.blocks) * blockSize }))
	gauge("arena_free_bytes", "Of the arena's bytes, those in blocks that nothing is kept in.", locked(func() int { return len(a.free) * blockSize }))
	gauge("arena_directory_bytes", "Of the arena's bytes, those that say which apps there are.", locked(func() int { return s.directories * blockSize }))
	gauge("known_apps", "Apps that have a place in the arena, with or without lines.", locked(func() int { return len(s.logs) }))
	gauge("followed_apps", "Apps that somebody follows.", func() int { return len(s.followers.Names()) })
	gauge("large_reads", "Reads of many lines that are under way.", func() int { return len(s.reads) })
	gauge("runs", "Runs that the apps' lines are in: more than there are apps when lines arrive out of order.", s.countRuns)
}

// countRuns counts the runs of all logs, a few logs at a time.
func (s *storage) countRuns() (n int) {
	for after, more := "", true; more; {
		func() {
			s.mu.RLock()
			defer s.mu.RUnlock()
			logs := s.names.after(after)
			for _, l := range logs {
				after, n = l.name, n+len(l.runs)
			}
			more = len(logs) > 0
		}()
	}
	return n
}
