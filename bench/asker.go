package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
)

// asker is an HTTP client of one connection that costs little beside what it asks:
// net/http's would take as much of the machine as a server.
type asker struct {
	conn net.Conn
	in   *bufio.Reader
	host string
	body bytes.Buffer
	stop func() bool
}

// newAsker connects to the server of the URL; the connection ends with ctx, or by
// close. It reads through so many bytes of buffer.
func newAsker(ctx context.Context, server string, buffer int) (*asker, error) {
	u, err := url.Parse(server)
	if err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, err
	}
	return &asker{
		conn: conn, in: bufio.NewReaderSize(conn, buffer), host: u.Host,
		stop: context.AfterFunc(ctx, func() { _ = conn.Close() }),
	}, nil
}

func (a *asker) close() {
	a.stop()
	_ = a.conn.Close()
}

// request sends a GET and reads the answer's head.
func (a *asker) request(path, header string) (*http.Response, error) {
	if _, err := io.WriteString(a.conn, "GET "+path+" HTTP/1.1\r\nHost: "+a.host+"\r\n"+header+"\r\n"); err != nil {
		return nil, err
	}
	return http.ReadResponse(a.in, nil)
}

// ask is the body of the answer to GET, until the next ask; 204 is an empty one.
func (a *asker) ask(path string) ([]byte, error) {
	resp, err := a.request(path, "")
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	a.body.Reset()
	if _, err := a.body.ReadFrom(resp.Body); err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNoContent {
		return nil, fmt.Errorf("GET %s: %s: %.200s", path, resp.Status, a.body.Bytes())
	}
	return a.body.Bytes(), nil
}
