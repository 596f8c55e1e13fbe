package v1

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/internal/testwait"
)

// send sends a request, and returns a connection from which the answer's bytes can be read.
func (r *rig) send(request string) net.Conn {
	r.Helper()
	c, err := net.Dial("tcp", r.server.Listener.Addr().String())
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		r.Fatal(err)
	}
	return c
}

// TestBytesOfATail: when a tail leaves the server, its answer continues in the same form, with or
// without chunks, and ends as HTTP demands.
func TestBytesOfATail(t *testing.T) {
	const request = "GET /v1/apps/foo/tail?lines=-1 HTTP/1.%d\r\nHost: x\r\n\r\n"
	var text strings.Builder
	for i := 1; i <= 40; i++ {
		_, _ = fmt.Fprintf(&text, "foo: %s\n", numbered(i)[i-1].Message)
	}
	for _, minor := range []int{0, 1} {
		r := newRig(t)
		r.storage.Add("foo", numbered(20)...)
		in := bufio.NewReader(r.send(fmt.Sprintf(request, minor)))
		resp, err := http.ReadResponse(in, nil) //nolint:bodyclose // the connection is closed
		if err != nil {
			t.Fatal(err)
		}
		if chunked := len(resp.TransferEncoding) > 0; chunked != (minor > 0) || !resp.Close {
			t.Errorf("HTTP/1.%d: transfer encoding %q, close %v", minor, resp.TransferEncoding, resp.Close)
		}
		body := bufio.NewReader(resp.Body)
		var got strings.Builder
		for i := 1; i <= 40; i++ {
			if i == 20 { // the rest comes once it has left
				r.storage.Add("foo", numbered(30)[20:]...)
			}
			if i == 30 {
				r.storage.Add("foo", numbered(40)[30:]...)
			}
			line, err := body.ReadString('\n')
			if err != nil {
				t.Fatalf("HTTP/1.%d after line %d: %v", minor, i-1, err)
			}
			got.WriteString(short(line))
		}
		if got.String() != text.String() {
			t.Errorf("HTTP/1.%d: %s", minor, &got)
		}
		r.stopHub()
		rest, err := io.ReadAll(body) // an answer in chunks has an end of its own
		if err != nil || string(rest) != "--- the tail ends here: stopping ---\n" {
			t.Errorf("HTTP/1.%d: the end is %q, %v", minor, rest, err)
		}
		if _, err := in.ReadByte(); err != io.EOF {
			t.Errorf("HTTP/1.%d: after the answer: %v, want the connection's end", minor, err)
		}
	}
}

// TestHeadOfATail: the head of an answer has an end.
func TestHeadOfATail(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(3)...)
	if resp, body := r.ask(http.MethodHead, "/v1/apps/foo/tail?format=ndjson", ""); resp.StatusCode != 200 || body != "" || resp.Header.Get("Content-Type") != "application/x-ndjson" {
		t.Errorf("%v %q", resp, body)
	}
	if n := r.followers(); n != 0 {
		t.Errorf("%d followers are left", n)
	}
}

// TestStopEndsTails that neither their client nor their hub ends.
func TestStopEndsTails(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(1)...)
	l := r.tail("/v1/apps/foo/tail")
	l.want("foo: line 1")
	testwait.Within(t, 20*time.Second, "the tail has left the server", func() bool { return r.api.tails.Len() == 1 })
	ctx, cancel := contextOver()
	defer cancel()
	r.api.Stop(ctx)
	if _, err := l.in.ReadString('\n'); err == nil {
		t.Error("the tail goes on")
	}
	if n := r.followers(); n != 0 {
		t.Errorf("%d followers are left", n)
	}
	if late := r.tail("/v1/apps/foo/tail"); late.line() != "foo: line 1" || !strings.Contains(late.line(), "stopping") {
		t.Error("a tail that came after the stop goes on")
	}
}

// TestHeartbeatComesAfterTheHistory: the first heartbeat tells a client that all kept lines have
// come, whatever it asked for.
func TestHeartbeatComesAfterTheHistory(t *testing.T) {
	for _, pages := range []int{0, 2} {
		for query, want := range map[string]string{
			"lines=-1":                           "1 2 3 4 5 6 7 8 9",
			"lines=2&process=worker":             "6 9",
			"lines=-1&include=[27]$":             "2 7",
			"lines=-1&include=nothing":           "",
			"after=0000000000000007-6":           "7 8 9",
			"after=0000000000000007-9":           "",
			"lines=0":                            "",
			"after=0000000000000007-1&include=3": "3",
		} {
			r := newRig(t)
			r.storage.Page = pages
			r.storage.Add("foo", numbered(9)...)
			l := r.tail("/v1/apps/foo/tail?format=ndjson&" + query)
			var got []string
			for {
				rec := l.record()
				if rec["type"] == "heartbeat" {
					if rec["cursor"] != "0000000000000007-9" {
						t.Errorf("%s: the heartbeat is %v", query, rec)
					}
					break
				}
				got = append(got, strings.TrimPrefix(fmt.Sprint(rec["message"]), "line "))
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%s, pages of %d: before the heartbeat came %q, want %q", query, pages, got, want)
			}
		}
	}
}

// contextOver returns a context that has ended.
func contextOver() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx, cancel
}

// TestFollowerOfAnEndedTail has a client that tails again as soon as it has read the last record,
// while the old connection ends later.
func TestFollowerOfAnEndedTail(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(3)...)
	follower, err := r.hub.Follow("foo", read.Place{})
	if err != nil {
		t.Fatal(err)
	}
	ended := &ending{}
	tail := &tailing{api: r.api, follower: follower, out: &sink{api: r.api, app: "foo", format: "ndjson", response: ended}}
	ended.write = func() {
		for range 3 { // as many as are allowed
			again, err := r.hub.Follow("foo", read.Place{})
			if err != nil {
				t.Error(err)
				return
			}
			defer again.Close()
		}
	}
	tail.end("until")
	follower.Close()
	if ended.writes != 1 {
		t.Errorf("%d writes", ended.writes)
	}
}

// ending implements a writer that calls write whenever it is written to.
type ending struct {
	write  func()
	writes int
}

func (e *ending) Write(p []byte) (int, error) {
	e.writes++
	e.write()
	return len(p), nil
}
func (*ending) Flush() error                     { return nil }
func (*ending) SetWriteDeadline(time.Time) error { return nil }
