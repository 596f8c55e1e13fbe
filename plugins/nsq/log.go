package nsq

import (
	"sync"
	"time"
)

// logInterval is the least time between two lines of a kind that may repeat.
const logInterval = 10 * time.Second

// limiter lets one line through per interval.
type limiter struct {
	every time.Duration

	mu   sync.Mutex
	last time.Time
	left int
}

// allow reports whether a line may be logged, and how many were left out since the last one that
// was.
func (l *limiter) allow(now time.Time) (leftOut int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.last.IsZero() && now.Sub(l.last) < l.every {
		l.left++
		return 0, false
	}
	leftOut, l.left, l.last = l.left, 0, now
	return leftOut, true
}
