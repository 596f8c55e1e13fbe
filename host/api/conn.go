package api

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// What net/http answers by itself to a request that it cannot read is not what this API
// promises: 501 and 505 for what is the client's fault, and bodies without a newline, or
// none. So the server's connections tell its answers from the handlers', which pass as
// they are, and put others in the place of the former.

// writeBuffer bounds what the system holds of an answer that its client does not take:
// that is memory too, and counts as taken.
const writeBuffer = 512 << 10

// answering is a listener of such connections.
type answering struct{ net.Listener }

// Accept implements [net.Listener].
func (l answering) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok && err == nil {
		_ = tcp.SetWriteBuffer(writeBuffer) // else it is what the system thinks best
		return &conn{TCPConn: tcp}, nil
	}
	return c, err
}

// conn is a connection that knows whether a handler answers.
type conn struct {
	*net.TCPConn
	handled atomic.Bool // since the last request's end, a handler was called
}

// Write implements [net.Conn]. The server writes an answer of its own at once.
func (c *conn) Write(p []byte) (int, error) {
	if c.handled.Load() {
		return c.TCPConn.Write(p)
	}
	if _, err := c.TCPConn.Write(refusal(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// refusal is what is answered instead of the server's own answer.
func refusal(p []byte) []byte {
	head, body, _ := bytes.Cut(p, []byte("\r\n\r\n"))
	line, _, _ := strings.Cut(string(head), "\r\n")
	_, line, _ = strings.Cut(line, " ") // the protocol
	code, _, _ := strings.Cut(line, " ")
	status, err := strconv.Atoi(code)
	if err != nil || status < http.StatusBadRequest || status >= http.StatusInternalServerError {
		status = http.StatusBadRequest
	}
	reason := string(body)
	if _, text, ok := strings.Cut(reason, ": "); ok {
		reason = text // after the status
	}
	switch {
	case status != http.StatusBadRequest:
		reason = http.StatusText(status)
	case reason == "" || strings.HasPrefix(reason, code):
		reason = "malformed request"
	}
	reason = strings.ToLower(reason) + "\n"
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"+
		"Connection: close\r\nContent-Length: %d\r\n\r\n%s", status, http.StatusText(status), len(reason), reason)
}

type connKey struct{}

// withConn is the context of a connection's requests.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, c)
	}
	return ctx
}

// connState is told when a request came to its end.
func connState(c net.Conn, state http.ConnState) {
	if c, ok := c.(*conn); ok && state == http.StateIdle {
		c.handled.Store(false)
	}
}

// lateBody is how long the rest of a body that nobody wants may take to arrive.
const lateBody = 100 * time.Millisecond

// answered is the outermost handler. No handler reads a body: one that was announced is
// not waited for, neither before the answer nor, for long, after it.
func answered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(connKey{}).(*conn); ok {
			c.handled.Store(true)
		}
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Connection", "close") // else the server reads the body first
		next.ServeHTTP(w, r)
		// A writer without deadlines (a test's) has none to shorten.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(lateBody))
	})
}
