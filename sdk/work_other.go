//go:build !linux

package sdk

import "time"

// MeasureWork returns a function that tells how much time has passed, which is more than the
// processor time that the calling goroutine took.
func MeasureWork() func() time.Duration {
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}
