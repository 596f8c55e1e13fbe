package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/internal/testrun"
)

// page follows app-0 at one logger, using nothing but EventSource. It also tries a second logger,
// whose CORS is off, and which must refuse it. The page reports all that it sees to its own server.
const page = `<!doctype html><title>tail</title><script>
let queue = Promise.resolve()
const say = text => { queue = queue.then(() => fetch('/saw', {method: 'POST', body: text})) }
const tail = new EventSource('%s/v1/apps/app-0/tail?lines=-1')
tail.onopen = () => say('open')
tail.onmessage = e => say('line ' + e.lastEventId + ' ' + JSON.parse(e.data).message)
tail.addEventListener('gap', e => say('gap ' + e.data))
tail.addEventListener('end', e => say('end ' + JSON.parse(e.data).reason))
tail.onerror = () => say('error ' + tail.readyState)
const kept = new EventSource('%s/v1/apps/app-0/tail?lines=-1')
kept.onmessage = kept.onopen = () => say('the other origin was let in')
kept.onerror = () => say('kept out ' + kept.readyState)
</script>`

// browser runs a Chromium that has the page open.
type browser struct {
	mu  sync.Mutex
	saw []string
}

// sawAll returns the reported events that begin with the prefix.
func (b *browser) sawAll(prefix string) (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.saw {
		if strings.HasPrefix(s, prefix) {
			all = append(all, s)
		}
	}
	return all
}

// ServeHTTP implements [http.Handler].
func (b *browser) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	text, _ := io.ReadAll(r.Body) // the test's end cuts a request off
	b.mu.Lock()
	defer b.mu.Unlock()
	b.saw = append(b.saw, string(text))
}

// browse opens a page until the test ends. A machine without Chromium fails the test.
func browse(t *testing.T, url string) {
	t.Helper()
	profile, err := os.MkdirTemp("", "e2e-browser")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(profile) })
	cmd := exec.Command("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
		"--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--user-data-dir="+profile, "--remote-debugging-port=0", url)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + profile}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Chromium runs many processes
	stderr := &testrun.Output{}
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; tools/install-test-deps.sh installs it", err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("chromium: %.3000s", stderr)
		}
	})
}

// relay stands in front of a logger. It can cut all connections, and it records what clients send.
type relay struct {
	net.Listener
	to      string
	sent    testrun.Output
	running sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: l, to: to}
	r.running.Go(r.serve)
	t.Cleanup(func() {
		_ = l.Close()
		r.cut()
		r.running.Wait()
	})
	return r
}

func (r *relay) serve() {
	for {
		client, err := r.Accept()
		if err != nil {
			return
		}
		server, err := new(net.Dialer).DialContext(context.Background(), "tcp", r.to)
		if err != nil {
			_ = client.Close()
			continue
		}
		r.mu.Lock()
		r.conns = append(r.conns, client, server)
		r.mu.Unlock()
		for from, to := range map[net.Conn]net.Conn{client: server, server: client} {
			r.running.Go(func() {
				defer func() { _ = to.Close() }()
				defer func() { _ = from.Close() }()
				var in io.Reader = from
				if from == client {
					in = io.TeeReader(from, &r.sent)
				}
				_, _ = io.Copy(to, in)
			})
		}
	}
}

func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
}

// site serves pages that tell the browser what they see, until the test ends.
func (b *browser) site(t *testing.T) (*httptest.Server, *http.ServeMux) {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("POST /saw", b)
	site := httptest.NewServer(mux)
	t.Cleanup(func() { // runs after the browser has ended
		site.CloseClientConnections()
		site.Close()
	})
	return site, mux
}

// TestLiveAppInEveryClient: curl, a browser's EventSource and the CLI tail one app, and each gets
// every line. The connections of the clients that reconnect are cut meanwhile.
func TestLiveAppInEveryClient(t *testing.T) {
	queue, redis, seen := harness.NewQueue(t), redistest.Start(t), &browser{}
	site, mux := seen.site(t)
	storage := harness.RedisEnv(redis.Addr)
	l := harness.Start(t, harness.NSQEnv(queue.TCPAddr()), storage, map[string]string{"LOGGER_CORS_ORIGINS": "https://example.com, " + site.URL})
	// This logger has CORS off. Its queue is empty: two hosts on one queue would share the lines,
	// and the order of publishing with them.
	closed := harness.Start(t, harness.NSQEnv(harness.NewQueue(t).TCPAddr()), storage)
	r := newRelay(t, strings.TrimPrefix(l.URL, "http://"))
	relayed := "http://" + r.Addr().String()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprintf(w, page, relayed, closed.URL)
	})
	numbers(queue, 1, 1, 100)
	l.Until("the lines are kept", func() bool { return strings.HasSuffix(l.Lines("app-0"), "number 100\n") })

	fromCurl, fromCLI := &testrun.Output{}, &testrun.Output{}
	c := newCLI(t, relayed)
	curl := c.command("curl", "-sSN", l.URL+"/v1/apps/app-0/tail?lines=-1")
	curl.Stdout, curl.Stderr = fromCurl, fromCurl
	tail := c.command(harness.Binary("logger"), "tail", "app-0", "-f", "-n", "-1", "-o", "raw", "-q")
	tail.Stdout, tail.Stderr = fromCLI, fromCLI
	for _, cmd := range []*exec.Cmd{curl, tail} {
		if err := cmd.Start(); err != nil {
			t.Fatalf("%v; tools/install-test-deps.sh installs what is missing", err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
	}
	browse(t, site.URL)
	all := func(last int) {
		t.Helper()
		var text, raw strings.Builder
		for n := 1; n <= last; n++ {
			text.WriteString(harness.NumberedLine(n, 0))
			_, _ = fmt.Fprintf(&raw, "number %d\n", n)
		}
		l.Until(fmt.Sprintf("all have %d lines", last), func() bool {
			return len(seen.sawAll("line ")) >= last && fromCurl.String() == text.String() && fromCLI.String() == raw.String()
		})
		for i, line := range seen.sawAll("line ") {
			if !strings.HasSuffix(line, fmt.Sprintf("-%d number %d", i+1, i+1)) {
				t.Fatalf("the browser's line %d is %q", i+1, line)
			}
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("curl: %.500s\nCLI: %.500s\nbrowser: %.2000q", fromCurl, fromCLI, seen.sawAll(""))
		}
	})
	all(100)
	numbers(queue, 1, 101, 150)
	all(150)
	r.cut()
	numbers(queue, 1, 151, 200) // published while there is no connection
	all(200)
	numbers(queue, 1, 201, 250)
	all(250)
	if opened := len(seen.sawAll("open")); opened != 2 {
		t.Errorf("the browser's tail was opened %d times, want 2", opened)
	}
	if !strings.Contains(r.sent.String(), "Last-Event-ID: ") {
		t.Error("the browser did not say where it was")
	}
	if gaps := seen.sawAll("gap "); len(gaps) > 0 {
		t.Errorf("the browser was told of %q", gaps)
	}
	l.Until("the page is kept out of the other logger", func() bool {
		return slices.Equal(seen.sawAll("kept out "), []string{"kept out 2"})
	})
	if in := seen.sawAll("the other origin was let in"); len(in) > 0 {
		t.Error("a page of another origin reads the tail of a logger without LOGGER_CORS_ORIGINS")
	}
}
