package listen

import (
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// vanish makes a client receive and acknowledge nothing any more, as if its network had failed: the
// other side does not hear of an end.
func vanish(t *testing.T, c *net.TCPConn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	drop := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}} // keeps nothing of each segment
	if e := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &drop[0]})
	}); e != nil || err != nil {
		t.Fatal(e, err)
	}
}

// TestSilentPeersAreLetGo, whether or not something is sent to them.
func TestSilentPeersAreLetGo(t *testing.T) {
	for _, sends := range []bool{true, false} {
		ended := make(chan time.Duration, 1)
		_, addr := serve(t, Options{Silence: 2 * time.Second}, func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }()
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			began := time.Now()
			_ = c.SetReadDeadline(began.Add(30 * time.Second))
			if sends {
				go func() {
					tick := time.NewTicker(100 * time.Millisecond)
					defer tick.Stop()
					for range tick.C {
						if _, err := io.WriteString(c, "a line\n"); err != nil {
							return
						}
					}
				}()
			}
			_, _ = c.Read(make([]byte, 1))
			ended <- time.Since(began)
		})
		c := dial(t, addr)
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		vanish(t, c)
		if took := <-ended; took > 15*time.Second {
			t.Errorf("sends %t: it ended after %s, want some 2 s", sends, took)
		} else {
			t.Logf("sends %t: it ended after %s", sends, took)
		}
	}
}
