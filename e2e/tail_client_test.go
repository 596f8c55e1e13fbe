package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// record holds a record of a tail, of any type.
type record struct {
	Type, Cursor, Message, Reason, From, To string
	Count                                   uint64
	Exact                                   bool
}

// tailer follows one app over one connection at a time, and resumes each by cursor. It checks every
// record.
type tailer struct {
	base, app, format string
	client            *http.Client
	cuts              bool // it cuts its own connections at random moments

	mu          sync.Mutex
	cursor      string
	next        uint64 // the number of the next line
	lines       uint64
	missing     map[string]uint64 // lines by reason
	connections int
	ends        []string
	wrong       string
}

// newTailer returns a tailer that begins at the app's first line.
func newTailer(base, app, format string, client *http.Client) *tailer {
	return &tailer{base: base, app: app, format: format, client: client, next: 1, missing: map[string]uint64{}}
}

// run tails until ctx ends.
func (c *tailer) run(ctx context.Context) {
	c.again(ctx, func() time.Duration { return time.Second + rand.N(5*time.Second) }, c.connect)
}

// again connects again and again until ctx ends. If cuts is set, each connection lasts for a life.
func (c *tailer) again(ctx context.Context, life func() time.Duration, connect func(ctx context.Context)) {
	for ctx.Err() == nil && c.fault() == "" {
		one, cancel := context.WithCancel(ctx)
		if c.cuts {
			one, cancel = context.WithTimeout(ctx, life())
		}
		connect(one)
		cancel()
		select {
		case <-ctx.Done():
		case <-time.After(20*time.Millisecond + rand.N(80*time.Millisecond)):
		}
	}
}

func (c *tailer) fault() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wrong
}

func (c *tailer) connect(ctx context.Context) {
	c.mu.Lock()
	cursor := c.cursor
	c.mu.Unlock()
	query := url.Values{"lines": {"-1"}, "format": {c.format}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/v1/apps/"+c.app+"/tail?"+query.Encode(), http.NoBody)
	if err != nil {
		c.blame("%v", err)
		return
	}
	if cursor != "" && c.format == "sse" {
		req.Header.Set("Last-Event-ID", cursor)
	} else if cursor != "" {
		query.Set("after", cursor)
		req.URL.RawQuery = query.Encode()
	}
	id := ""
	c.scan(req, func(line string) bool {
		if c.format == "sse" {
			if rest, ok := strings.CutPrefix(line, "id: "); ok {
				id = rest
			}
			data, ok := strings.CutPrefix(line, "data: ")
			if !ok {
				if line == "" && id != "" {
					c.at(id)
				}
				return true
			}
			line = data
		}
		var r record
		if strings.HasPrefix(line, `{"type":"entry"`) { // most lines are entries, and a decoder is slow
			r = record{Type: "entry", Cursor: field(line, "cursor"), Message: field(line, "message")}
		} else if err := json.Unmarshal([]byte(line), &r); err != nil {
			return false // the record was cut
		} else if r.Type == "" {
			c.blame("a record without a type: %s", line)
			return false
		}
		if !strings.HasSuffix(line, "}") {
			return false // the record was cut
		}
		c.take(r)
		return true
	})
}

// scan sends the request and yields the lines of the answer, until it ends or yield returns false.
func (c *tailer) scan(req *http.Request, yield func(line string) bool) {
	resp, err := c.client.Do(req)
	if err != nil {
		return // the connection was cut, or nothing listens
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusServiceUnavailable {
		return // the storage is unavailable
	}
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, 500))
		c.blame("status %d: %s", resp.StatusCode, body)
		return
	}
	c.mu.Lock()
	c.connections++
	c.mu.Unlock()
	scanner := bufio.NewScanner(resp.Body)
	scanner.Buffer(make([]byte, 4096), 1<<20)
	for scanner.Scan() && req.Context().Err() == nil && yield(scanner.Text()) {
	}
}

// field returns the text of a field whose text has no escapes.
func field(line, name string) string {
	_, rest, _ := strings.Cut(line, `"`+name+`":"`)
	text, _, _ := strings.Cut(rest, `"`)
	return text
}

func (c *tailer) at(cursor string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cursor = cursor
}

func (c *tailer) take(r record) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch r.Type {
	case "entry":
		var number uint64
		if _, err := fmt.Sscanf(r.Message, "number %d", &number); err != nil || number != c.next || r.Cursor == "" {
			c.wrongly("%s after %q: line %q, want number %d", r.Cursor, c.cursor, r.Message, c.next)
			return
		}
		c.next++
		c.lines++
		c.cursor = r.Cursor
	case "gap":
		if !r.Exact || r.Count == 0 {
			c.wrongly("a gap that is not exact: %+v", r)
			return
		}
		c.missing[r.Reason] += r.Count
		c.next += r.Count
		c.cursor = r.To
	case "heartbeat":
		c.cursor = r.Cursor
	case "end":
		c.ends = append(c.ends, r.Reason)
		if r.Cursor != "" {
			c.cursor = r.Cursor
		}
	default:
		c.wrongly("a record of type %q", r.Type)
	}
}

func (c *tailer) blame(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrongly(format, args...)
}

// wrongly does what blame does. Its caller holds the lock.
func (c *tailer) wrongly(format string, args ...any) {
	if c.wrong == "" {
		c.wrong = c.app + " " + c.format + ": " + fmt.Sprintf(format, args...)
	}
}

// hangUp closes the idle connections.
func (c *tailer) hangUp() { c.client.CloseIdleConnections() }

// reached returns the number of the newest line that came, or that a gap counted.
func (c *tailer) reached() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next - 1
}

// tails runs the tailers until the test ends or stop is called.
func tails[T interface {
	run(ctx context.Context)
	hangUp()
}](t *testing.T, all []T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for _, c := range all {
		running.Go(func() { c.run(ctx) })
	}
	stop = func() {
		cancel()
		running.Wait()
		for _, c := range all {
			c.hangUp()
		}
	}
	t.Cleanup(stop)
	return stop
}
