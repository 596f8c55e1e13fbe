package listen

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/deis/logger/internal/testwait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve runs a server on a Listener until the test ends.
func serve(t *testing.T, opts Options, handler http.HandlerFunc) (*Listener, string) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	opts.Logger = hclog.NewNullLogger()
	l := New(inner, opts)
	server := &http.Server{Handler: Handler(handler), ConnContext: l.ConnContext, ConnState: l.ConnState}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return l, inner.Addr().String()
}

// dial connects, and sets a deadline for everything that the test does.
func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c.(*net.TCPConn)
}

// ask makes a request, reads the answer's body, and returns it with the status.
func ask(c net.Conn, path string) (status int, body string, err error) {
	if _, err = io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return 0, "", err
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// counts returns how many connections are open, and how many of them wait.
func (l *Listener) counts() [2]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return [2]int{l.open, l.waiting.Len()}
}

// TestIdleConnectionsMakeRoom: idle connections have never asked, have asked once, or have sent
// half a request. The one that is idle longest is closed first. A connection whose request is being
// answered stays.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	answer := make(chan struct{})
	l, addr := serve(t, Options{Most: 10}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-answer
		}
		_, _ = fmt.Fprint(w, r.URL.Path)
	})
	slow := dial(t, addr)
	got := make(chan string, 1)
	go func() {
		_, body, err := ask(slow, "/slow")
		got <- fmt.Sprint(body, err)
	}()
	testwait.Within(t, 20*time.Second, "the slow request begins", func() bool { return l.counts() == [2]int{1, 0} })
	idle := make([]net.Conn, 9)
	for i := range idle {
		idle[i] = dial(t, addr)
		switch i % 3 {
		case 1:
			if _, body, err := ask(idle[i], "/x"); body != "/x" {
				t.Fatal(err)
			}
		case 2:
			_, _ = io.WriteString(idle[i], "GET /half HTTP/1.1\r\nHo")
		}
		testwait.Within(t, 20*time.Second, "the connection counts", func() bool { return l.counts() == [2]int{i + 2, i + 1} })
	}
	for i := range idle {
		if status, _, err := ask(dial(t, addr), "/new"); status != 200 {
			t.Fatalf("new connection %d: %d, %v", i, status, err)
		}
		if _, err := idle[i].Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
			t.Errorf("idle connection %d is not closed: %v", i, err)
		}
		testwait.Within(t, 20*time.Second, "no more are open", func() bool { return l.counts() == [2]int{10, 9} })
	}
	close(answer)
	if s := <-got; s != "/slow<nil>" {
		t.Errorf("the slow answer: %s", s)
	}
}

// TestNobodyWaits: while all connections are being answered, a new one waits for about a second and
// is then closed, and the others stay. The last connections are for urgent requests.
func TestNobodyWaits(t *testing.T) {
	answer := make(chan struct{})
	l, addr := serve(t, Options{Most: 20}, func(w http.ResponseWriter, r *http.Request) {
		full := Full(r.Context())
		<-answer
		_, _ = fmt.Fprint(w, full)
	})
	var conns []net.Conn
	for i := range 20 {
		c := dial(t, addr)
		conns = append(conns, c)
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
		testwait.Within(t, 20*time.Second, "the request begins", func() bool { return l.counts() == [2]int{i + 1, 0} })
	}
	if _, err := dial(t, addr).Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("one too many: %v, want it closed", err)
	}
	close(answer)
	for i, c := range conns {
		b, err := io.ReadAll(c)
		if want := fmt.Sprint(i >= 18); err != nil || !strings.HasSuffix(string(b), want) {
			t.Errorf("request %d: %q, %v, want %s", i, b, err, want)
		}
	}
	testwait.Within(t, 20*time.Second, "connections that ended do not count", func() bool { return l.counts() == [2]int{0, 0} })
}

// TestShortAnswersMakeRoom: a connection that comes while all are being answered waits until the
// first answer ends, if that is within about a second.
func TestShortAnswersMakeRoom(t *testing.T) {
	answer := make(chan struct{})
	l, addr := serve(t, Options{Most: 4}, func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-answer
		}
	})
	for i := range 4 {
		_, _ = io.WriteString(dial(t, addr), "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
		testwait.Within(t, 20*time.Second, "the request begins", func() bool { return l.counts() == [2]int{i + 1, 0} })
	}
	time.AfterFunc(50*time.Millisecond, func() { answer <- struct{}{} })
	if status, _, err := ask(dial(t, addr), "/new"); status != 200 {
		t.Errorf("%d, %v", status, err)
	}
	close(answer)
}

// TestHijackedConnectionsCount until they are closed.
func TestHijackedConnectionsCount(t *testing.T) {
	taken := make(chan net.Conn, 1)
	l, addr := serve(t, Options{Most: 10}, func(w http.ResponseWriter, _ *http.Request) {
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
		}
		taken <- c
	})
	_, _ = io.WriteString(dial(t, addr), "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c := <-taken
	if l.counts() != [2]int{1, 0} {
		t.Errorf("%v", l.counts())
	}
	_ = c.Close()
	_ = c.Close()
	if l.counts() != [2]int{0, 0} {
		t.Errorf("after its end: %v", l.counts())
	}
}

// TestHijackedConnectionIsRead: if a handler took over a connection, the deadline for the rest of a
// request's body does not end it.
func TestHijackedConnectionIsRead(t *testing.T) {
	taken := make(chan net.Conn, 1)
	_, addr := serve(t, Options{Most: 10}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
		}
		taken <- c
	})
	client := dial(t, addr)
	_, _ = io.WriteString(client, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
	c := <-taken
	defer func() { _ = c.Close() }()
	later := time.AfterFunc(3*lateBody, func() { _, _ = client.Write([]byte("x")) })
	defer later.Stop()
	if n, err := c.Read(make([]byte, 10)); n != 1 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// TestMalformedBelowV1: the answer is a JSON error, as all errors there are.
func TestMalformedBelowV1(t *testing.T) {
	_, addr := serve(t, Options{}, func(http.ResponseWriter, *http.Request) {})
	for request, want := range map[string]string{
		"GET /v1/apps/%zz/logs HTTP/1.1\r\nHost: x\r\n\r\n":                                        `400 {"error":{"code":"bad_request","message":"malformed request"}}`,
		"DELETE /v1/apps/%zz/logs HTTP/1.1\r\nHost: x\r\n\r\n":                                     `400 {"error":{"code":"bad_request","message":"malformed request"}}`,
		"GET /v1/apps HTTP/1.1\r\nHost: x\r\n\r\nGET /v1/apps/%zz/logs HTTP/1.1\r\n\r\n":           `400 {"error":{"code":"bad_request","message":"malformed request"}}`,
		"GET /v1/apps HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 2<<20) + "\r\n\r\n":        `431 {"error":{"code":"bad_request","message":"request header fields too large"}}`,
		"GET /logs/%zz HTTP/1.1\r\nHost: x\r\n\r\n":                                                "400 malformed request",
		"GET /v1/apps HTTP/1.1\r\nHost: x\r\n\r\nGET /logs/%zz?x=/v1/ HTTP/1.1\r\nHost: x\r\n\r\n": "400 malformed request",
	} {
		c := dial(t, addr)
		in := bufio.NewReader(c)
		got := ""
		for one := range strings.SplitAfterSeq(request, "\r\n\r\n") {
			if one == "" {
				break
			}
			go func() { _, _ = io.WriteString(c, one) }() // the server may not read all of it
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			got = fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimSuffix(string(b), "\n"))
			if resp.StatusCode >= 400 && resp.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%.60q: %v", request, resp.Header)
			}
		}
		if got != want {
			t.Errorf("%.60q:\n got %s\nwant %s", request, got, want)
		}
	}
}
