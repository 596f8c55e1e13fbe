package listen

import (
	"bytes"
	"container/list"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// When net/http cannot read a request, it answers by itself, and not as this API promises: with 501
// and 505 for the client's faults, and with no body or one without a newline. A conn tells the
// server's own answers from the handlers', and replaces the server's.

// conn serves one connection. Its listener's lock guards place and removed.
type conn struct {
	*net.TCPConn
	listener *Listener
	place    *list.Element // among the waiting connections; nil while a request is being answered
	removed  bool

	handled atomic.Bool // a handler was called since the last request ended
	taken   atomic.Bool // a handler took over the connection
	// head holds the beginning of a request that no handler has seen yet.
	head [24]byte
	read int // of head
}

// Read implements [net.Conn].
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.TCPConn.Read(p)
	if n > 0 && !c.handled.Load() && c.read < len(c.head) {
		c.read += copy(c.head[c.read:], p[:n])
	}
	return n, err
}

// Write implements [net.Conn]. The server writes each of its own answers with one call.
func (c *conn) Write(p []byte) (int, error) {
	if c.handled.Load() {
		return c.TCPConn.Write(p)
	}
	if _, err := c.TCPConn.Write(refusal(p, bytes.Contains(c.head[:c.read], []byte(" /v1/")))); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	c.listener.mu.Lock()
	c.listener.remove(c)
	c.listener.mu.Unlock()
	return c.TCPConn.Close()
}

// begin notes that a handler was called.
func (c *conn) begin() {
	c.handled.Store(true)
	c.listener.begin(c)
}

// idle notes that a request came to its end.
func (c *conn) idle() {
	c.read = 0
	c.handled.Store(false)
}

// refusal returns what is sent in place of the server's own answer: JSON below /v1, otherwise one
// line of text.
func refusal(p []byte, asJSON bool) []byte {
	head, body, _ := bytes.Cut(p, []byte("\r\n\r\n"))
	line, _, _ := strings.Cut(string(head), "\r\n")
	_, line, _ = strings.Cut(line, " ") // cuts off the protocol
	code, _, _ := strings.Cut(line, " ")
	status, err := strconv.Atoi(code)
	if err != nil || status < http.StatusBadRequest || status >= http.StatusInternalServerError {
		status = http.StatusBadRequest
	}
	reason := string(body)
	if _, text, ok := strings.Cut(reason, ": "); ok {
		reason = text // the text after the status
	}
	switch {
	case status != http.StatusBadRequest:
		reason = http.StatusText(status)
	case reason == "" || strings.HasPrefix(reason, code):
		reason = "malformed request"
	}
	reason, kind := strings.ToLower(reason), "text/plain; charset=utf-8"
	if asJSON {
		text, _ := json.Marshal(reason) // a string can always be encoded
		reason, kind = fmt.Sprintf(`{"error":{"code":"bad_request","message":%s}}`, text), "application/json"
	}
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"+
		"Connection: close\r\nContent-Length: %d\r\n\r\n%s\n", status, http.StatusText(status), kind, len(reason)+1, reason)
}

// lateBody bounds how long the rest of an unwanted body may take to arrive.
const lateBody = 100 * time.Millisecond

// Handler returns the outermost handler of the server. No handler reads more of a body than it
// wants, so the server must not wait for an announced body: not before the answer, and only briefly
// after it. A connection that a handler took over keeps its deadlines.
func Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := connOf(r.Context())
		if c != nil {
			c.begin()
		}
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Connection", "close") // otherwise the server reads the body first
		next.ServeHTTP(w, r)
		if c != nil && c.taken.Load() {
			return
		}
		// A test's writer has no deadlines to shorten.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(lateBody))
	})
}
