package listen

import (
	"net"
	"strings"
	"testing"
)

// sent implements a connection that records what is sent.
type sent struct {
	net.Conn
	strings.Builder
}

func (s *sent) Write(p []byte) (int, error) { return s.Builder.Write(p) }

// TestDetachedSendsTogether: what was written since the last flush is one chunk. More than may be
// held is sent at once.
func TestDetachedSendsTogether(t *testing.T) {
	large := strings.Repeat("x", mostUnsent)
	for chunked, want := range map[bool]string{
		true: "5\r\nabcde\r\n1\r\nf\r\n10001\r\ng" + large + "\r\n0\r\n\r\n", false: "abcdefg" + large,
	} {
		var s sent
		d := &Detached{Conn: &s, Chunked: chunked}
		write := func(text string) {
			if n, err := d.Write([]byte(text)); n != len(text) || err != nil {
				t.Fatal(n, err)
			}
		}
		flush := func() {
			if err := d.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		flush()
		write("ab")
		write("")
		write("cde")
		if s.Len() > 0 {
			t.Errorf("sent before it is flushed: %q", s.String())
		}
		flush()
		write("f")
		flush()
		flush()
		write("g")
		write(large)
		d.Finish()
		if got := s.String(); got != want {
			t.Errorf("chunked %v: %.60q, want %.60q", chunked, got, want)
		}
	}
}
