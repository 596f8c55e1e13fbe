package main

import (
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// procAttr keeps a terminal's Ctrl-C from the child, which this program ends in its
// own order, and ends it when this program is killed.
func procAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// cpuSeconds returns the processor time that a process has used, all its threads together. The
// kernel's clock of the process is exact. The utime and stime of /proc/PID/stat are not: a kernel
// that samples them at its ticks counts a whole tick for a process that a timer has just woken.
func cpuSeconds(pid int) (float64, error) {
	var used unix.Timespec
	if err := unix.ClockGettime(processClock(pid), &used); err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	return time.Duration(used.Nano()).Seconds(), nil
}

// processClock returns the id of a process's clock, as clock_getcpuclockid(3) makes it.
func processClock(pid int) int32 {
	const scheduled = 2 // CPUCLOCK_SCHED: as the scheduler accounts for it, in nanoseconds
	return int32(^pid<<3 | scheduled)
}
