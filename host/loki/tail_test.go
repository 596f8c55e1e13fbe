package loki

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/deis/logger/host/access"
	"github.com/deis/logger/host/follow"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/internal/testrun"
	"github.com/deis/logger/sdk"
)

// tailMessage holds one message of a tail.
type tailMessage struct {
	Streams []struct {
		Stream map[string]string
		Values [][2]string
	}
	Dropped []struct {
		Labels    map[string]string
		Timestamp string
	} `json:"dropped_entries"`
}

// tail opens a tail, and returns the status of its answer.
func (r *rig) tail(header http.Header, pairs ...string) (*websocket.Conn, int, error) {
	r.Helper()
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Add(pairs[i], pairs[i+1])
	}
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, r.server.URL+"/loki/api/v1/tail?"+values.Encode(), &websocket.DialOptions{HTTPHeader: header}) //nolint:bodyclose // there is none
	if resp == nil {
		r.Fatal(err)
	}
	if err == nil {
		conn.SetReadLimit(1 << 24)
		r.Cleanup(func() { _ = conn.CloseNow() })
	}
	return conn, resp.StatusCode, err
}

// next reads messages until they have n lines and dropped entries together.
func (r *rig) next(conn *websocket.Conn, n int) (lines []string, dropped map[string]int) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
	defer cancel()
	dropped = map[string]int{}
	for sum := 0; sum < n; {
		_, b, err := conn.Read(ctx)
		if err != nil {
			r.Fatalf("after %d lines and %v: %v", len(lines), dropped, err)
		}
		var m tailMessage
		if err := json.Unmarshal(b, &m); err != nil {
			r.Fatalf("%v in %s", err, b)
		}
		if m.Streams == nil || m.Dropped == nil {
			r.Errorf("a message without one of its lists: %s", b)
		}
		for _, of := range m.Streams {
			for _, v := range of.Values {
				lines = append(lines, of.Stream["app"]+" "+v[1])
				sum++
			}
		}
		for _, d := range m.Dropped {
			dropped[d.Labels["app"]+" "+d.Labels["reason"]]++
			sum++
		}
	}
	return lines, dropped
}

// TestTail reads kept lines and new ones, even of apps that begin later.
func TestTail(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(10)...)
	conn, _, err := r.tail(nil, "query", `{app=~".+"} | keep app`, "start", ns(noon.Add(3*time.Second)), "limit", "5", "delay_for", "1")
	if err != nil {
		t.Fatal(err)
	}
	if lines, _ := r.next(conn, 5); strings.Join(lines, ",") != "foo n=5,foo n=6,foo n=7,foo n=8,foo n=9" {
		t.Errorf("%q", lines)
	}
	e := numbered(1)[0]
	r.storage.Add("foo", e) // a new line counts even if its time is before start
	for i := range 3 {
		e.Time, e.Message, e.Published = noon.Add(time.Hour), fmt.Sprint(i), noon.Add(time.Hour+time.Duration(i))
		r.storage.Add("foo", e)
	}
	if lines, _ := r.next(conn, 4); strings.Join(lines, ",") != "foo n=0,foo 0,foo 1,foo 2" {
		t.Errorf("%q", lines)
	}
	r.storage.Add("bar", e)
	if lines, _ := r.next(conn, 1); lines[0] != "bar 2" {
		t.Errorf("%q", lines)
	}
}

// TestTailKeepsTheOrder of an app's lines, whatever their labels are.
func TestTailKeepsTheOrder(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(30)...)
	conn, _, err := r.tail(nil, "query", `{app="foo"}`, "start", ns(noon), "limit", "100")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 30 {
		want = append(want, fmt.Sprintf("foo n=%d", i))
	}
	if lines, _ := r.next(conn, 30); !slices.Equal(lines, want) {
		t.Errorf("%q", lines)
	}
}

// TestTailTellsGaps: lines and dropped entries together are what was published.
func TestTailTellsGaps(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(10)...)
	conn, _, err := r.tail(nil, "query", `{app="foo"}`, "start", ns(noon))
	if err != nil {
		t.Fatal(err)
	}
	r.next(conn, 10)
	r.storage.Lines = 100
	more := numbered(3000)
	for i := range more {
		more[i].Published = more[i].Published.Add(time.Hour)
	}
	r.storage.Add("foo", more...)
	lines, dropped := r.next(conn, 3000)
	if len(lines)+dropped["foo evicted"] != 3000 || dropped["foo evicted"] == 0 || !slices.Contains(lines, "foo n=2999") {
		t.Errorf("%d lines and %v", len(lines), dropped)
	}
}

// TestTailOfFreshApp: if an app began after the tail, its lines and dropped entries together are
// all that was published.
func TestTailOfFreshApp(t *testing.T) {
	r := newRig(t)
	r.storage.Lines = 500
	conn, _, err := r.tail(nil, "query", `{app=~".+"}`, "start", ns(noon.Add(time.Hour)), "limit", "1")
	if err != nil {
		t.Fatal(err)
	}
	r.storage.Add("foo", numbered(2000)...)
	lines, dropped := r.next(conn, 2000)
	if len(lines) < 500 || len(lines)+dropped["foo evicted"] != 2000 || !slices.Contains(lines, "foo n=1999") {
		t.Errorf("%d lines and %v", len(lines), dropped)
	}
}

// TestTailsShareMessages: the first tail to reach a batch makes its message for all tails of the
// same lines.
func TestTailsShareMessages(t *testing.T) {
	var all sharedTails
	key := sharedKey{`{app="foo"}`, "foo"}
	a, leave := all.join(key)
	batch := read.Batch{Entries: numbered(3)}
	if a.keep(&batch, []byte("x")) {
		t.Error("the only tail keeps its message")
	}
	b, leaveToo := all.join(key)
	other, leaveOther := all.join(sharedKey{`{app="foo"}`, "bar"})
	if b != a || other == a {
		t.Fatal("not shared by query and app")
	}
	if _, ok := b.of(&batch); ok || !a.keep(&batch, []byte("x")) {
		t.Error("not kept for the other one")
	}
	if m, ok := b.of(&batch); !ok || string(m) != "x" {
		t.Errorf("%q, %t", m, ok)
	}
	for _, not := range []read.Batch{{}, {Entries: batch.Entries[:2]}, {Entries: batch.Entries[1:]}, {Entries: numbered(3)}} {
		if _, ok := b.of(&not); ok {
			t.Errorf("another batch, of %d entries, gets the message", len(not.Entries))
		}
	}
	if b.keep(&batch, make([]byte, sharedBytes+1)) {
		t.Error("a long message is kept")
	}
	leave()
	leaveToo()
	leaveOther()
	if len(all.all) != 0 {
		t.Errorf("%v are left", all.all)
	}
}

// TestTailsOfTheSameLines get all of them, whoever makes the messages.
func TestTailsOfTheSameLines(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(1)...)
	var conns []*websocket.Conn
	for range 5 {
		conn, _, err := r.tail(nil, "query", `{app="foo"} |= "n="`, "start", ns(noon))
		if err != nil {
			t.Fatal(err)
		}
		r.next(conn, 1)
		conns = append(conns, conn)
	}
	var want []string
	for i, e := range numbered(300) {
		if e.Published = e.Published.Add(time.Hour); i%3 == 0 {
			e.Message = "not this one"
		} else {
			want = append(want, "foo "+e.Message)
		}
		r.storage.Add("foo", e)
	}
	for _, conn := range conns {
		if lines, dropped := r.next(conn, len(want)); !slices.Equal(lines, want) || len(dropped) > 0 {
			t.Errorf("%d lines, %v dropped", len(lines), dropped)
		}
	}
}

// TestTailsOfOtherLines get their own lines, although these come in the same batches.
func TestTailsOfOtherLines(t *testing.T) {
	r := newRig(t)
	words := []string{"odd", "even"}
	conns := map[string]*websocket.Conn{}
	for _, word := range words {
		conn, _, err := r.tail(nil, "query", `{app="foo"} |= "`+word+`"`, "start", ns(noon))
		if err != nil {
			t.Fatal(err)
		}
		conns[word] = conn
	}
	for i, e := range numbered(40) { // one after the other, so that both tails have caught up
		word := words[i%2]
		e.Message = fmt.Sprint(word, " ", i)
		r.storage.Add("foo", e)
		if lines, _ := r.next(conns[word], 1); lines[0] != "foo "+e.Message {
			t.Fatalf("%s: %q, want %s", word, lines, e.Message)
		}
	}
}

// TestTailSharesOnlyWholeBatches: if a batch makes several messages, none is shared.
func TestTailSharesOnlyWholeBatches(t *testing.T) {
	r := newRig(t)
	q, err := parseSelector("{app=\"foo\"} | keep app | line_format `{{alignLeft 10000 __line__}}`")
	if err != nil {
		t.Fatal(err)
	}
	conn, _, err := r.tail(nil, "query", q.String(), "start", ns(noon))
	if err != nil {
		t.Fatal(err)
	}
	other, leave := r.api.tails.shared.join(sharedKey{q.String(), "foo"})
	defer leave()
	all := numbered(105)
	for i := range all {
		all[i].Message += strings.Repeat(".", 600)
	}
	for _, entries := range [][]sdk.Entry{all[:1], all[1:2], all[2:]} { // the last ones make a long message and a short one
		r.storage.Add("foo", entries...)
		if lines, _ := r.next(conn, len(entries)); len(lines) != len(entries) {
			t.Fatalf("%d lines, want %d", len(lines), len(entries))
		}
		other.mu.Lock()
		var m tailMessage
		err := json.Unmarshal(other.message, &m)
		n := other.entries
		other.mu.Unlock()
		if err != nil || len(m.Streams) != 1 || len(m.Streams[0].Values) != n {
			t.Fatalf("%v, %d streams in the message of a batch of %d lines", err, len(m.Streams), n)
		}
	}
}

// TestTailSendsWhatIsShared: a tail does not make a message that another one has made of the batch.
func TestTailSendsWhatIsShared(t *testing.T) {
	r := newRig(t)
	r.storage.Add("foo", numbered(1)...)
	const query = `{app="foo"}`
	conn, _, err := r.tail(nil, "query", query, "start", ns(noon))
	if err != nil {
		t.Fatal(err)
	}
	r.next(conn, 1)
	other, leave := r.api.tails.shared.join(sharedKey{query, "foo"}) // the other tail is this test
	defer leave()
	kept, err := r.api.opts.Logs.Open(t.Context(), read.Query{App: "foo"})
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	follower, err := r.hub.Follow("foo", kept.Log().At())
	if err != nil {
		t.Fatal(err)
	}
	defer follower.Close()
	follower.Begin(kept.Log())
	// Before both have caught up with the log, they do not read the same batches.
	for i, e := range numbered(50)[1:] {
		e.Published = e.Published.Add(time.Hour)
		if r.share(other, follower, e); r.Failed() {
			return
		}
		switch lines, _ := r.next(conn, 1); lines[0] {
		case "foo shared":
			return
		case "foo " + e.Message:
		default:
			t.Fatalf("line %d: %q", i, lines)
		}
	}
	t.Error("what is shared was not sent")
}

// TestSharedMessagesStay unchanged while their tail makes the next ones.
func TestSharedMessagesStay(t *testing.T) {
	r := newRig(t)
	const query = `{app="foo"}`
	conn, _, err := r.tail(nil, "query", query, "start", ns(noon))
	if err != nil {
		t.Fatal(err)
	}
	other, leave := r.api.tails.shared.join(sharedKey{query, "foo"})
	defer leave()
	var before []byte
	was := ""
	for i, e := range numbered(5) {
		r.storage.Add("foo", e)
		r.next(conn, 1)
		if string(before) != was {
			t.Errorf("before line %d: %s, now %s", i, was, before)
		}
		other.mu.Lock()
		before, was = other.message, string(other.message)
		other.mu.Unlock()
		if was == "" {
			t.Errorf("the message of line %d is not shared", i)
		}
	}
}

// share adds an entry, and makes the message of its batch before the tails can.
func (r *rig) share(s *shared, f *follow.Follower, e sdk.Entry) {
	r.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	r.storage.Add("foo", e)
	for {
		b, err := f.Next(r.Context())
		if err != nil {
			r.Error(err)
			return
		}
		if len(b.Entries) > 0 {
			s.first, s.entries = &b.Entries[0], len(b.Entries)
			s.message = []byte(`{"streams":[{"stream":{"app":"foo"},"values":[["1","shared"]]}],"dropped_entries":[]}`)
			return
		}
	}
}

// TestTailIsCut: on a stop, connections are cut without a close frame.
func TestTailIsCut(t *testing.T) {
	r := newRig(t)
	conn, _, err := r.tail(nil, "query", `{app="foo"}`)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	r.api.Stop(ctx)
	_, _, err = conn.Read(t.Context())
	var closed websocket.CloseError
	if err == nil || errors.As(err, &closed) {
		t.Errorf("%v", err)
	}
	if _, status, err := r.tail(nil, "query", `{app="foo"}`); err == nil || status != http.StatusServiceUnavailable {
		t.Errorf("a tail after that: %v", err)
	}
}

// TestTailRefusals: a bad request is refused before the connection becomes a WebSocket.
func TestTailRefusals(t *testing.T) {
	r := newRig(t, func(o *Options) { o.Origins = []string{"https://page.example.com"} })
	for i := range maxTailApps + 1 {
		r.storage.Add(fmt.Sprintf("app-%d", i), sdk.Entry{Time: noon, Message: "x"})
	}
	for _, tc := range []struct {
		origin string
		pairs  []string
		status int
	}{
		{"", []string{"query", `rate({app="foo"}[1m])`}, 400},
		{"", []string{"query", `{app="foo"`}, 400},
		{"", []string{"query", `{app="foo"}`, "delay_for", "6"}, 400},
		{"", []string{"query", `{app=~"app.*"}`}, 400},
		{"https://other.example.com", []string{"query", `{app="foo"}`}, 403},
		{"https://page.example.com", []string{"query", `{app="foo"}`}, 101},
		{"", []string{"query", `{app="foo"}`}, 101},
		{"", []string{"query", `{app=~"app.*", app!="app-0"}`}, 101}, // as many as a tail may have
	} {
		header := http.Header{}
		if tc.origin != "" {
			header.Set("Origin", tc.origin)
		}
		if _, status, err := r.tail(header, tc.pairs...); status != tc.status {
			t.Errorf("%q from %q: %d, %v", tc.pairs, tc.origin, status, err)
		}
	}
}

// TestBadHandshakes get errors in the form of all errors.
func TestBadHandshakes(t *testing.T) {
	r := newRig(t)
	path := "/loki/api/v1/tail?query=" + url.QueryEscape(`{app="foo"}`)
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket"}
	key := []string{"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
	for name, tc := range map[string]struct {
		status int
		header []string
	}{
		"no WebSocket":   {http.StatusUpgradeRequired, nil},
		"no version":     {http.StatusBadRequest, append(upgrade, key...)},
		"no key":         {http.StatusBadRequest, append(upgrade, "Sec-WebSocket-Version", "13")},
		"another's page": {http.StatusForbidden, append(append(upgrade, key...), "Sec-WebSocket-Version", "13", "Origin", "https://other.example.com")},
	} {
		status, body := r.do(http.MethodGet, path, "", tc.header...)
		var told struct{ Status, ErrorType, Message string }
		if err := json.Unmarshal([]byte(body), &told); err != nil || status != tc.status || told.Status != "error" || told.ErrorType != "bad_data" || told.Message == "" {
			t.Errorf("%s: %d %s (%v)", name, status, body, err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.server.URL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := r.server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed || resp.Header.Get("Allow") != "GET" {
		t.Errorf("POST: %d, Allow: %s", resp.StatusCode, resp.Header.Get("Allow"))
	}
}

// TestTailEndsWithItsToken: when a tail's token is removed from the file, the tail is closed for
// good.
func TestTailEndsWithItsToken(t *testing.T) {
	path := t.TempDir() + "/tokens"
	write := func(token string) {
		if err := os.WriteFile(path, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("secret")
	r := newRig(t, func(o *Options) {
		tokens, err := access.Open(path, o.Logger)
		if err != nil {
			t.Fatal(err)
		}
		testrun.Start(t, tokens.Run)
		o.Guard.Tokens = tokens
	})
	header := http.Header{"Authorization": {"Bearer secret"}}
	conn, _, err := r.tail(header, "query", `{app="foo"}`)
	if err != nil {
		t.Fatal(err)
	}
	write("another")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, _, err = conn.Read(ctx); websocket.CloseStatus(err) != websocket.StatusPolicyViolation || !strings.Contains(err.Error(), "no longer good") {
		t.Error(err)
	}
}
