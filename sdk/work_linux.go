package sdk

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// MeasureWork starts to measure the processor time of the calling goroutine, for [Page.Work], and
// returns a function that ends it and returns the time. The goroutine is locked to its thread in
// between, so the caller must call the function exactly once, or the goroutine stays locked.
func MeasureWork() func() time.Duration {
	runtime.LockOSThread()
	began := threadTime()
	return func() time.Duration {
		defer runtime.UnlockOSThread()
		return threadTime() - began
	}
}

// threadTime returns the processor time of the calling thread: getrusage(2), RUSAGE_THREAD.
func threadTime() time.Duration {
	var used unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &used) != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
