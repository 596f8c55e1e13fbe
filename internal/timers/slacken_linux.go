package timers

import (
	"os"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Slack is by how much the kernel may put off a timer of ours, to let it come with
// others: 50 µs unless told. While a Go program works, a thread of its runtime sleeps 20 µs
// at a time, and each awakening takes the processor from a thread that works. With several
// such programs on few processors that was a tenth of our processor time, see docs/adr/0019.
// Nothing here waits for less than this.
const Slack = time.Millisecond

// slackEnv says that the program was executed again, so that it is not forever where the
// kernel does not do as told. Set by hand it leaves the timers alone.
const slackEnv = "LOGGER_TIMER_SLACK_SET"

// Slacken lets all timers of this process and of its plugins be late by [Slack]. A
// thread has it from the one that started it, and those of the runtime have started by
// now: so it executes the program again, which keeps the process, and does not return.
// Where that is not possible it does, and all works as well, for a little more.
func Slacken() {
	_, again := os.LookupEnv(slackEnv)
	_ = os.Unsetenv(slackEnv) // plugins and people need not know
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil || again || time.Duration(slack) >= Slack {
		return
	}
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(Slack), 0, 0, 0); err != nil {
		return
	}
	if exe, err := os.Executable(); err == nil {
		_ = syscall.Exec(exe, os.Args, append(os.Environ(), slackEnv+"=1")) //nolint:gosec // G204: ourselves
	}
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 0, 0, 0, 0) // as the other threads are
}
