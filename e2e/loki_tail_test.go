package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/nsqtest"
)

// lokiMessage holds one message of a tail.
type lokiMessage struct {
	Streams []struct {
		Stream map[string]string
		Values [][2]string
	}
	Dropped []struct {
		Labels    map[string]string
		Timestamp string
	} `json:"dropped_entries"`
}

// lokiTail follows over a WebSocket, as Grafana does.
type lokiTail struct {
	t       *testing.T
	conn    *websocket.Conn
	last    int // the number of the newest line
	lines   int
	dropped map[string]int // entries by reason
}

// newLokiTail opens a tail with small buffers, so that a client that does not read soon holds it
// up.
func newLokiTail(t *testing.T, l *harness.Logger, header http.Header, pairs ...string) (*lokiTail, int, error) {
	t.Helper()
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		return errors.Join(c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) }), err)
	}}
	transport := &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, l.URL+"/loki/api/v1/tail?"+values.Encode(), &websocket.DialOptions{HTTPHeader: header, HTTPClient: &http.Client{Transport: transport}}) //nolint:bodyclose // there is none
	if resp == nil {
		t.Fatal(err)
	}
	if err == nil {
		conn.SetReadLimit(1 << 24)
		t.Cleanup(func() { _ = conn.CloseNow() })
	}
	return &lokiTail{t: t, conn: conn, dropped: map[string]int{}}, resp.StatusCode, err
}

// missing returns how many entries the logger reported as dropped.
func (c *lokiTail) missing() (sum int) {
	for _, n := range c.dropped {
		sum += n
	}
	return sum
}

// until reads until lines and dropped entries are n together. It expects the lines in order.
func (c *lokiTail) until(n int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	for c.lines+c.missing() < n {
		_, b, err := c.conn.Read(ctx)
		if err != nil {
			c.t.Fatalf("after %d lines and %v: %v", c.lines, c.dropped, err)
		}
		var m lokiMessage
		if err := json.Unmarshal(b, &m); err != nil {
			c.t.Fatalf("%v in %.300s", err, b)
		}
		for _, d := range m.Dropped {
			c.dropped[d.Labels["reason"]]++
			c.last++
		}
		for _, of := range m.Streams {
			for _, v := range of.Values {
				var number int
				if _, err := fmt.Sscanf(v[1], "number %d", &number); err != nil || number != c.last+1 || of.Stream["app"] != "app-0" {
					c.t.Fatalf("behind line %d: %.80q of %v", c.last, v[1], of.Stream)
				}
				c.last = number
				c.lines++
			}
		}
	}
	if c.lines+c.missing() != n {
		c.t.Errorf("%d lines and %v, want %d together", c.lines, c.dropped, n)
	}
}

// longNumbers publishes lines of app-0, each 2 KiB long.
func longNumbers(queue *nsqtest.Server, first, last int) {
	var bodies [][]byte
	for n := first; n <= last; n++ {
		bodies = append(bodies, harness.Message("app-0", fmt.Sprintf("number %d %s\n", n, strings.Repeat("x", 2048))))
	}
	queue.Publish("logs", bodies...)
}

// TestLokiTail: history becomes live, and a client does not notice that a storage plugin is killed.
// Lines and dropped entries together are what was published, also if the client is too slow. When
// the logger stops, the client sees a lost connection.
func TestLokiTail(t *testing.T) {
	for name, env := range harness.Storages {
		t.Run(name, func(t *testing.T) {
			queue := harness.NewQueue(t)
			l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), env(t), map[string]string{"NUMBER_OF_LINES": "500"})
			numbers(queue, 1, 1, 300)
			l.Settled(300)
			c, _, err := newLokiTail(t, l, nil, "query", `{app="app-0"}`, "start", "1767300000000000000", "limit", "100", "delay_for", "0")
			if err != nil {
				t.Fatal(err)
			}
			c.last = 200
			c.until(100)
			numbers(queue, 1, 301, 400)
			c.until(200)
			restarts := l.Plugin("storage").Restarts
			if err := syscall.Kill(l.Plugin("storage").PID, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			numbers(queue, 1, 401, 600)
			c.until(400)
			if got := l.Plugin("storage").Restarts; got != restarts+1 {
				t.Errorf("the storage plugin was restarted %d times", got-restarts)
			}
			if c.lines != 400 {
				t.Errorf("over the kill of the plugin it was told of missing lines: %v", c.dropped)
			}
			const slow = 7000
			for first := 601; first < 601+slow; first += 1000 { // the client reads none of them yet
				longNumbers(queue, first, first+999)
			}
			l.Settled(600 + slow)
			c.until(400 + slow)
			if c.missing() == 0 || c.last != 600+slow {
				t.Errorf("a slow client got %d lines up to %d, and %v", c.lines, c.last, c.dropped)
			}
			l.Signal(syscall.SIGTERM)
			_, _, err = c.conn.Read(t.Context())
			var closed websocket.CloseError
			if err == nil || errors.As(err, &closed) {
				t.Errorf("at the end: %v, want a connection that is cut", err)
			}
			l.Ended(0)
		})
	}
}

// TestLokiAccess: /loki takes the tokens of /v1, and can be turned off.
func TestLokiAccess(t *testing.T) {
	tokens := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(tokens, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := harness.Start(t, harness.NSQEnv(harness.NewQueue(t).TCPAddr()), harness.MemoryEnv(), map[string]string{"LOGGER_API_TOKENS_FILE": tokens})
	for header, want := range map[string]int{"": http.StatusUnauthorized, "Bearer wrong": http.StatusUnauthorized, "Bearer secret": http.StatusOK} {
		if status, body := lokiDo(t, l, http.MethodGet, "query", map[string]string{"Authorization": header}, "query", "vector(1)+vector(1)"); status != want {
			t.Errorf("with %q: %d %s", header, status, body)
		}
		if _, status, _ := newLokiTail(t, l, http.Header{"Authorization": {header}}, "query", `{app="app-0"}`); (status == http.StatusSwitchingProtocols) != (want == http.StatusOK) {
			t.Errorf("a tail with %q: %d", header, status)
		}
	}
	off := harness.Start(t, harness.NSQEnv(harness.NewQueue(t).TCPAddr()), harness.MemoryEnv(), map[string]string{"LOGGER_LOKI": "false"})
	for _, path := range []string{"/ready", "/loki/api/v1/labels", "/loki/api/v1/tail"} {
		if status := off.Status(path); status != http.StatusNotFound {
			t.Errorf("%s of a logger whose LOGGER_LOKI is false: %d", path, status)
		}
	}
}

// lokiPage tails two loggers, using nothing but WebSocket. It reports all that it sees to its own
// server.
const lokiPage = `<!doctype html><title>tail</title><script>
let queue = Promise.resolve()
const say = text => { queue = queue.then(() => fetch('/saw', {method: 'POST', body: text})) }
const tail = (url, name) => {
  const ws = new WebSocket(url.replace('http', 'ws') + '/loki/api/v1/tail?limit=1000&start=1767300000000000000&query=' + encodeURIComponent('{app="app-0"}'))
  ws.onopen = () => say(name + ' open')
  ws.onmessage = e => {
    const m = JSON.parse(e.data)
    for (const s of m.streams) for (const v of s.values) say(name + ' line ' + v[1])
    for (const d of m.dropped_entries) say(name + ' dropped ' + d.labels.reason)
  }
  ws.onclose = e => say(name + ' close ' + e.code + ' ' + e.wasClean)
}
tail('%s', 'a')
tail('%s', 'b')
</script>`

// TestLokiTailInBrowser: Chromium's WebSocket can tail only a logger whose LOGGER_CORS_ORIGINS has
// the page's origin. When that logger stops, the WebSocket closes with code 1006.
func TestLokiTailInBrowser(t *testing.T) {
	queue, seen := harness.NewQueue(t), &browser{}
	site, mux := seen.site(t)
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), harness.MemoryEnv(), map[string]string{"LOGGER_CORS_ORIGINS": site.URL})
	closed := harness.Start(t, harness.NSQEnv(harness.NewQueue(t).TCPAddr()), harness.MemoryEnv())
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, lokiPage, l.URL, closed.URL)
	})
	numbers(queue, 1, 1, 100)
	l.Settled(100)
	browse(t, site.URL)
	l.Until("what is kept is shown", func() bool { return len(seen.sawAll("a line ")) >= 100 })
	numbers(queue, 1, 101, 150)
	l.Until("what comes is shown", func() bool { return len(seen.sawAll("a line ")) >= 150 })
	var want []string
	for n := 1; n <= 150; n++ {
		want = append(want, fmt.Sprintf("a line number %d", n))
	}
	if got := seen.sawAll("a line "); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	l.Signal(syscall.SIGTERM)
	l.Ended(0)
	closed.Until("the tails were closed", func() bool { return len(seen.sawAll("a close")) > 0 && len(seen.sawAll("b close")) > 0 })
	if got := slices.Concat(seen.sawAll("a close"), seen.sawAll("a dropped"), seen.sawAll("b ")); !slices.Equal(got, []string{"a close 1006 false", "b close 1006 false"}) {
		t.Errorf("%q", got)
	}
}
