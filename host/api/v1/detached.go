package v1

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/deis/logger/host/listen"
)

// A tail that waits is most of its life a connection on which nothing happens. The
// server keeps its buffers, the request and the deep stack of its handler for each, tens
// of kilobytes. So once what was kept is sent, a tail leaves the server and lives on
// with what it needs.

// response takes what an answer or a tail writes.
type response interface {
	Write(p []byte) (int, error)
	Flush() error
	SetWriteDeadline(t time.Time) error
}

// served wraps a response that the server still has.
type served struct {
	http.ResponseWriter
	*http.ResponseController
}

var _, _ response = (*served)(nil), (*listen.Detached)(nil)

// detach takes the tail's connection away from the server, if it can be, and runs it.
// What it is given of the request is not kept.
func (v *API) detach(w http.ResponseWriter, r *http.Request, t *tailing) bool {
	chunked := r.ProtoAtLeast(1, 1)
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false // not a connection of its own
	}
	t.out.response = &listen.Detached{Conn: conn, Chunked: chunked}
	if !v.tails.Go(conn, func() { v.attend(conn, t) }) {
		t.end("stopping")
		t.close(conn)
	}
	return true
}

// attend runs a tail that left the server.
func (v *API) attend(conn net.Conn, t *tailing) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	left := make(chan struct{})
	go func() { // ends with the connection
		defer close(left)
		defer cancel()
		var b [16]byte
		for { // nothing that comes is a request: the answer said that it closes
			if _, err := conn.Read(b[:]); err != nil {
				return
			}
		}
	}()
	defer func() { <-left }()
	defer t.close(conn)
	defer func() {
		if p := recover(); p != nil {
			v.opts.Logger.Error("panic in a tail", "app", t.out.app, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	t.run(ctx)
}

// close ends the tail and its connection.
func (t *tailing) close(conn net.Conn) {
	t.follower.Close()
	_ = conn.Close() // it failed already, or all is sent
}

// Stop waits for the tails to end, which they do once the hub stops, and cuts off those
// that are left when ctx ends.
func (v *API) Stop(ctx context.Context) { v.tails.Stop(ctx) }
