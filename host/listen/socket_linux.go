package listen

import (
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// endWhenSilent ends the connection if its peer acknowledges nothing for so long, whether or not
// there is something to send.
func endWhenSilent(c *net.TCPConn, silence time.Duration) {
	// If a socket takes no options, its client has left already.
	_ = c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: silence / 2, Interval: silence / 6, Count: 3})
	raw, err := c.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds()))
	})
}

// descriptors returns how many files this process may have open.
func descriptors() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > 1<<30 {
		return 1 << 30
	}
	return int(limit.Cur)
}
