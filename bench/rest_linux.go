package main

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// rest sleeps for less than Go's timers can on an idle machine, which wake up at the
// next millisecond, and as exactly as the kernel can, which else takes 50 µs more.
func rest(d time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	t := unix.NsecToTimespec(d.Nanoseconds())
	_ = unix.Nanosleep(&t, nil)                        // woken early it asks early
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // what begins on this thread has the usual
}
