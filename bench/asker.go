package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
)

// asker sends HTTP requests over one connection, and costs little beside the server: net/http's
// client would use as much of the machine as the server does.
type asker struct {
	conn net.Conn
	in   *bufio.Reader
	host string
	body bytes.Buffer
	out  []byte // the last request
	stop func() bool
}

// newAsker connects to the server of the URL. The connection ends with ctx, or by close. buffer is
// the size of its read buffer in bytes.
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

// request sends a GET.
func (a *asker) request(path, header string) error {
	a.out = fmt.Appendf(a.out[:0], "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path, a.host, header)
	_, err := a.conn.Write(a.out)
	return err
}

// ask returns the body of the answer to GET, which is valid until the next ask. The body of a 204
// is empty.
func (a *asker) ask(path string) ([]byte, error) {
	if err := a.request(path, ""); err != nil {
		return nil, err
	}
	status, length, err := a.head()
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", path, err)
	}
	a.body.Reset()
	if length >= 0 {
		_, err = io.CopyN(&a.body, a.in, length)
	} else if _, err = a.body.ReadFrom(httputil.NewChunkedReader(a.in)); err == nil {
		_, err = a.in.ReadSlice('\n') // there are no trailers
	}
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK && status != http.StatusNoContent {
		return nil, fmt.Errorf("GET %s: %d: %.200s", path, status, a.body.Bytes())
	}
	return a.body.Bytes(), nil
}

// head reads the head of an answer: its status and the length of its body, -1 if that comes in
// chunks. net/http's reader would cost more than everything else here.
func (a *asker) head() (status int, length int64, err error) {
	for first := true; ; first = false {
		line, err := a.in.ReadSlice('\n')
		if err != nil {
			return 0, 0, err
		}
		name, value, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case first:
			_, rest, _ := bytes.Cut(line, []byte(" ")) // cuts off the protocol
			code, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
			status, err = strconv.Atoi(string(code))
		case len(name) == 0:
			return status, length, nil
		case bytes.EqualFold(name, []byte("Content-Length")):
			length, err = strconv.ParseInt(string(value), 10, 64)
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			length = -1
		}
		if err != nil {
			return 0, 0, fmt.Errorf("%q: %w", line, err)
		}
	}
}
