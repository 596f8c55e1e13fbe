package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deis/logger/sdk"
)

// run runs an aggregator with a host whose receipts are resolved by the test.
func run(t *testing.T, change func(*settings)) (url string, receipts chan *sdk.Receipt, messages chan sdk.Message) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	set := settings{Addr: listener.Addr().String(), MaxBody: 1000, MaxPending: 1500, Timeout: 30 * time.Second}
	_ = listener.Close()
	if change != nil {
		change(&set)
	}
	opened, err := open(t.Context(), set, sdk.Host{})
	if err != nil {
		t.Fatal(err)
	}
	a := opened.(*aggregator)
	receipts, messages = make(chan *sdk.Receipt, 100), make(chan sdk.Message, 100)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := a.Run(ctx, func(_ context.Context, batch []sdk.Message) (*sdk.Receipt, error) {
			r := sdk.NewReceipt()
			receipts <- r
			for _, m := range batch {
				messages <- m
			}
			return r, nil
		}); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
		http.DefaultClient.CloseIdleConnections()
	})
	until(t, "it listens", func() bool { return a.Check(t.Context()) == nil })
	return "http://" + set.Addr + "/messages", receipts, messages
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// post answers the status, Retry-After and the body.
func post(t *testing.T, url string, body io.Reader, headers ...string) (status int, retry, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0, "", ""
	}
	defer func() { _ = resp.Body.Close() }()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header.Get("Retry-After"), string(b)
}

// TestAnswers: 200 means stored, and nothing else does.
func TestAnswers(t *testing.T) {
	url, receipts, messages := run(t, nil)
	for _, tc := range []struct {
		outcome error
		status  int
	}{{nil, 200}, {sdk.ErrStopping, 503}, {sdk.ErrUnavailable, 503}, {sdk.ErrFull, 503}} {
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			status, retry, text := post(t, url, strings.NewReader("{}\r\n\n  \n[1]"), "Idempotency-Key", "k")
			if status != tc.status || (retry == "") != (status == 200) {
				t.Errorf("%v: %d, Retry-After %q, %q", tc.outcome, status, retry, text)
			}
		}()
		receipt := <-receipts
		for i, want := range []string{"{}\r", "[1]"} {
			if m := <-messages; string(m.Payload) != want || m.ID != fmt.Sprintf("k/%d", i) {
				t.Errorf("got %q with id %q, want %q", m.Payload, m.ID, want)
			}
		}
		select {
		case <-answered:
			t.Error("answered before it was stored")
		case <-time.After(50 * time.Millisecond):
		}
		receipt.Resolve(tc.outcome)
		<-answered
	}
	if status, _, _ := post(t, url, strings.NewReader("\n\n")); status != 200 {
		t.Errorf("nothing to store: %d", status)
	}
}

// TestBounds: what is too large or too much is refused, and takes nothing.
func TestBounds(t *testing.T) {
	url, receipts, _ := run(t, func(s *settings) { s.Token = "secret" })
	auth := []string{"Authorization", "Bearer secret"}
	if status, _, _ := post(t, url, strings.NewReader("x")); status != 401 {
		t.Errorf("without a token: %d", status)
	}
	if status, _, _ := post(t, url, strings.NewReader(strings.Repeat("x", 1001)), auth...); status != 413 {
		t.Errorf("too large: %d", status)
	}
	chunked := func(n int) io.Reader { return io.MultiReader(strings.NewReader(strings.Repeat("x", n))) }
	if status, _, _ := post(t, url, chunked(1001), auth...); status != 413 {
		t.Errorf("too large, in chunks: %d", status)
	}
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if status, _, text := post(t, url, chunked(1000), auth...); status != 200 {
			t.Errorf("%d: %s", status, text)
		}
	})
	first := <-receipts
	if status, retry, text := post(t, url, strings.NewReader(strings.Repeat("x", 501)), auth...); status != 503 || retry == "" {
		t.Errorf("too much: %d, %q, %s", status, retry, text)
	}
	first.Resolve(nil)
	waiting.Wait()
	waiting.Go(func() {
		if status, _, text := post(t, url, strings.NewReader(strings.Repeat("x", 1000)), auth...); status != 200 {
			t.Errorf("room is not given back: %d: %s", status, text)
		}
	})
	(<-receipts).Resolve(nil)
	waiting.Wait()
}

// TestSlowClientsHoldUpNoStop: one that has sent half a body is cut off.
func TestSlowClientsHoldUpNoStop(t *testing.T) {
	var began time.Time
	t.Run("stop", func(stop *testing.T) {
		url, _, _ := run(stop, nil)
		conn, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/messages"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() }) // after the stop
		_, _ = io.WriteString(conn, "POST /messages HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
		if status, _, _ := post(t, url, strings.NewReader("\n")); status != 200 { // so it has been accepted
			t.Errorf("%d", status)
		}
		began = time.Now()
	})
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the stop took %s", took)
	}
}

// TestWaitsForItsAddress: an address that is taken is a reason not to be ready, not to end.
func TestWaitsForItsAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	opened, err := open(t.Context(), settings{Addr: taken.Addr().String()}, sdk.Host{})
	if err != nil {
		t.Fatal(err)
	}
	a := opened.(*aggregator)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = a.Run(ctx, nil) })
	until(t, "it says why", func() bool {
		err := a.Check(t.Context())
		return err != nil && strings.Contains(err.Error(), "HTTP_LISTEN_ADDR") && strings.Contains(err.Error(), "in use")
	})
	_ = taken.Close()
	until(t, "it listens", func() bool { return a.Check(t.Context()) == nil })
	cancel()
	running.Wait()
	if a.Check(t.Context()) == nil {
		t.Error("a stopped one says that it is ready")
	}
	if _, err := open(t.Context(), settings{Addr: "8089"}, sdk.Host{}); err == nil || !strings.Contains(err.Error(), "HTTP_LISTEN_ADDR") {
		t.Errorf("an address without a colon: %v", err)
	}
}

// FuzzSplit: no byte of a line is lost, and no message is blank or two lines.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{"", "\n", "a", "a\nb\n", "\r\n", " \n{}\n\n\x00", "\xff\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var got, want [][]byte
		for _, m := range split(body, "application/x-ndjson; charset=utf-8", "") {
			if m.ID != "" {
				t.Errorf("id %q without a key", m.ID)
			}
			got = append(got, m.Payload)
		}
		for _, line := range bytes.Split(body, []byte("\n")) {
			if len(bytes.TrimSpace(line)) > 0 {
				want = append(want, line)
			}
		}
		if !bytes.Equal(bytes.Join(got, []byte("\n")), bytes.Join(want, []byte("\n"))) || len(got) != len(want) {
			t.Errorf("%q: got %q, want %q", body, got, want)
		}
		whole := split(body, "application/octet-stream", "")
		if len(body) > 0 && (len(whole) != 1 || !bytes.Equal(whole[0].Payload, body)) {
			t.Errorf("%q as one message: %+v", body, whole)
		}
	})
}
