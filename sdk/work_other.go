//go:build !linux

package sdk

import "time"

// MeasureWork returns a function that returns how much time has passed since, which is no less than
// the processor time that the calling goroutine took.
func MeasureWork() func() time.Duration {
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}
