package main

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// procAttr protects the child from a terminal's Ctrl-C, because this program ends its children in
// an order of its own. It also ends the child when this program is killed.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// cpuSeconds returns the processor time that a process has used in all its threads. It reads the
// kernel's clock of the process, which is exact. The utime and stime of /proc/PID/stat are not: a
// kernel that samples at its ticks counts a whole tick for a process that a timer has just woken.
func cpuSeconds(pid int) (float64, error) {
	var used unix.Timespec
	if err := unix.ClockGettime(processClock(pid), &used); err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	return time.Duration(used.Nano()).Seconds(), nil
}

// processClock returns the id of a process's clock, as clock_getcpuclockid(3) makes it.
func processClock(pid int) int32 {
	const scheduled = 2 // CPUCLOCK_SCHED: the scheduler's own accounting, in nanoseconds
	return int32(^pid<<3 | scheduled)
}
