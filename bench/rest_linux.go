package main

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// rest sleeps for less than a millisecond, and as exactly as the kernel can. On an idle machine,
// Go's timers fire only at the next millisecond. The kernel adds up to 50 µs unless the thread's
// timer slack is small.
func rest(d time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	t := unix.NsecToTimespec(d.Nanoseconds())
	_ = unix.Nanosleep(&t, nil)                        // if it wakes early, the asker asks early
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // 0 restores the default for what runs on this thread later
}
