package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deis/logger/e2e/harness"
	"github.com/deis/logger/internal/testrun"
)

// cutter stands in front of a logger and cuts each answer after a random number of bytes.
type cutter struct {
	net.Listener
	to      string
	most    int // the most bytes that it lets through
	running sync.WaitGroup

	mu     sync.Mutex
	random *rand.Rand
	cuts   int
}

func newCutter(t *testing.T, to string, most int, seed uint64) *cutter {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cutter{Listener: l, to: to, most: most, random: rand.New(rand.NewPCG(seed, 0))}
	c.running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.running.Go(func() { c.serve(conn) })
		}
	})
	return c
}

func (c *cutter) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	logger, err := net.Dial("tcp", c.to)
	if err != nil {
		return
	}
	defer func() { _ = logger.Close() }()
	c.mu.Lock()
	left := 1 + c.random.IntN(c.most)
	c.cuts++
	c.mu.Unlock()
	c.running.Go(func() {
		_, _ = io.Copy(logger, client)
		_ = logger.Close()
	})
	in := bufio.NewReader(logger)
	// No cut may come between the id line that follows an event's data and the blank line that ends
	// the event. There, two of the clients would have taken the id but not delivered the event,
	// which no server can prevent. The event's lines end in LF; lines that end in CR LF are those
	// of the chunked encoding.
	data, taken := false, false
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		id := false
		switch {
		case len(line) == 1:
			data, taken = false, false
		case bytes.HasPrefix(line, []byte("data: ")), bytes.Contains(line, []byte(`"message":`)):
			data = true
		case data && !bytes.HasSuffix(line, []byte("\r\n")):
			id, taken = true, true
		}
		if 0 < left && left < len(line) && (id || !taken) {
			line = line[:left]
		}
		if _, err := client.Write(line); err != nil {
			return
		}
		if left -= len(line); left <= 0 && (!taken || line[len(line)-1] != '\n') {
			return
		}
	}
}

// TestClientsOfServerSentEvents: three clients follow a tail that is cut at random bytes. Each
// resumes in its own way, and gets every line once.
func TestClientsOfServerSentEvents(t *testing.T) {
	source := filepath.Join("testdata", "sse")
	in(t, source, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	queue := harness.NewQueue(t)
	l := harness.Start(t, harness.MemoryEnv(), harness.NSQEnv(queue.TCPAddr()))
	const lines = 400
	numbers(queue, 1, 1, lines)
	l.Settled(lines)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	for client, most := range map[string]int{
		"eventsource": 3000, "fetch-event-source": 3000, "event-source-polyfill": 20_000, // this client waits a second before it reconnects
	} {
		t.Run(client, func(t *testing.T) {
			t.Parallel()
			c := newCutter(t, strings.TrimPrefix(l.URL, "http://"), most, seed)
			defer c.running.Wait()
			defer func() { _ = c.Close() }()
			cmd := exec.CommandContext(t.Context(), "node", filepath.Join(source, "clients.mjs"), client, "http://"+c.Addr().String()+"/v1/apps/app-0/tail?lines=-1")
			stderr := &testrun.Output{}
			cmd.Stderr = stderr
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatalf("%v; tools/install-test-deps.sh installs it", err)
			}
			deadline := time.AfterFunc(90*time.Second, func() { _ = cmd.Process.Kill() })
			defer deadline.Stop()
			defer func() {
				_ = cmd.Process.Kill()
				_ = cmd.Wait()
			}()
			out := bufio.NewScanner(stdout)
			for i := 1; i <= lines; i++ {
				if !out.Scan() {
					t.Fatalf("it ended before line %d: %s", i, stderr)
				}
				var data string
				if err := json.Unmarshal(out.Bytes(), &data); err != nil {
					t.Fatal(err)
				}
				var r record
				err := json.Unmarshal([]byte(data), &r)
				if want := fmt.Sprintf("number %d", i); err != nil || r.Message != want {
					t.Fatalf("event %d is %q, %v, want %q", i, data, err, want)
				}
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			if c.cuts < 3 {
				t.Errorf("it was cut %d times", c.cuts)
			}
			t.Logf("%d connections", c.cuts)
		})
	}
}
