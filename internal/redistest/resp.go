package redistest

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// ReplyError holds an error reply of Redis.
type ReplyError struct{ Text string }

// Error returns the reply's text.
func (e *ReplyError) Error() string { return e.Text }

// Code returns the reply's first word, which Redis documents as the kind of error.
func (e *ReplyError) Code() string {
	code, _, _ := strings.Cut(e.Text, " ")
	return code
}

// doTimeout bounds a call of Do, so that a frozen server makes a test fail soon.
const doTimeout = 5 * time.Second

// Do runs one command on a new connection and returns its reply as text. A null reply is empty, and
// an array has one element a line. An error reply is returned as a [ReplyError]. Do is for packages
// without a Redis client.
func (s *Server) Do(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), doTimeout)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(conn, b.String()); err != nil {
		return "", err
	}
	return readReply(bufio.NewReader(conn))
}

func (s *Server) dial(ctx context.Context) (net.Conn, error) {
	if s.tls != nil {
		return (&tls.Dialer{Config: s.tls}).DialContext(ctx, "tcp", s.Addr)
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", s.Addr)
}

// MustDo does what Do does, and fails the test if the command fails.
func (s *Server) MustDo(args ...string) string {
	s.tb.Helper()
	reply, err := s.Do(args...)
	if err != nil {
		s.tb.Fatalf("redis %q: %v", args, err)
	}
	return reply
}

func readReply(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", fmt.Errorf("an empty line for a reply")
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+', ':':
		return rest, nil
	case '-':
		return "", &ReplyError{Text: rest}
	case '$':
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 {
			return "", err // -1 is the null reply
		}
		b := make([]byte, n+len("\r\n"))
		if _, err := io.ReadFull(r, b); err != nil {
			return "", err
		}
		return string(b[:n]), nil
	case '*':
		n, err := strconv.Atoi(rest)
		if err != nil {
			return "", err
		}
		var lines []string
		for range n {
			element, err := readReply(r)
			if err != nil {
				return "", err
			}
			lines = append(lines, element)
		}
		return strings.Join(lines, "\n"), nil
	default:
		return "", fmt.Errorf("%.40q is no reply", line)
	}
}
