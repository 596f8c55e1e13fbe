//go:build unix

package main

import (
	"context"
	"os"

	"golang.org/x/sys/unix"
)

// readerPoll is how often watchReader looks whether ctx has ended, in milliseconds.
const readerPoll = 1000

// watchReader waits until nobody reads a pipe any more. A program that has nothing to write would
// not notice: `logger tail quiet -f | head -1` should end with head. It returns false once ctx
// ends, and at once for a file that is no pipe.
func watchReader(ctx context.Context, f *os.File) bool {
	info, err := f.Stat()
	if err != nil || info.Mode()&(os.ModeNamedPipe|os.ModeSocket) == 0 {
		return false
	}
	fds := []unix.PollFd{{Fd: int32(f.Fd())}}
	for ctx.Err() == nil {
		n, err := unix.Poll(fds, readerPoll)
		if err != nil && err != unix.EINTR {
			return false
		}
		if n > 0 && fds[0].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0 {
			return true
		}
	}
	return false
}
