//go:build !linux

package read

import "time"

// measureWork returns a function that tells how much time has passed: more than the processor
// time that the calling goroutine took.
func measureWork() func() time.Duration {
	began := time.Now()
	return func() time.Duration { return time.Since(began) }
}
