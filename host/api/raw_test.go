package api

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/internal/testrun"
	"github.com/deis/logger/sdk"
)

// serve runs the API on a free port and returns its address.
func serve(tb testing.TB, a *API) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	a.listener.Listener = listener
	testrun.Start(tb, a.Run)
	return listener.Addr().String()
}

// raw sends bytes. It returns everything that comes until the server closes, and how long the first
// byte took.
func raw(tb testing.TB, addr, request string) (answer []byte, first time.Duration) {
	tb.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	began := time.Now()
	go func() { _, _ = io.WriteString(c, request) }() // the server may not read all of it
	r := bufio.NewReader(c)
	_, err = r.Peek(1)
	first = time.Since(began)
	if err != nil {
		return nil, first
	}
	answer, _ = io.ReadAll(r) // a reset after the answer is not the server's fault
	return answer, first
}

const closing = "Host: x\r\nConnection: close\r\n\r\n"

func TestHostileBytes(t *testing.T) {
	for name, tc := range map[string]struct {
		request string
		status  int
	}{
		"well formed":        {"GET /logs/foo HTTP/1.1\r\n" + closing, 200},
		"HTTP/0.9":           {"GET /logs/foo\r\n\r\n", 400},
		"no host":            {"GET /logs/foo HTTP/1.1\r\nConnection: close\r\n\r\n", 400},
		"two hosts":          {"GET /logs/foo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
		"HTTP/2.0":           {"GET /logs/foo HTTP/2.0\r\n" + closing, 400},
		"HTTP/3.7":           {"GET /logs/foo HTTP/3.7\r\n" + closing, 400},
		"HTTP/x":             {"GET /logs/foo HTTP/x\r\n" + closing, 400},
		"PRI":                {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 405},
		"unknown coding":     {"GET /logs/foo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: foo\r\n\r\n", 400},
		"two codings":        {"POST /logs/foo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400},
		"negative length":    {"GET /logs/foo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400},
		"two lengths":        {"GET /logs/foo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
		"strange expect":     {"GET /logs/foo HTTP/1.1\r\nHost: x\r\nExpect: coffee\r\n\r\n", 417},
		"junk method":        {"G(T /logs/foo HTTP/1.1\r\n" + closing, 400},
		"OPTIONS *":          {"OPTIONS * HTTP/1.1\r\n" + closing, 404},
		"GET *":              {"GET * HTTP/1.1\r\n" + closing, 404},
		"CONNECT":            {"CONNECT foo:80 HTTP/1.1\r\n" + closing, 404},
		"TRACE":              {"TRACE /logs/foo HTTP/1.1\r\n" + closing, 405},
		"no slash":           {"GET logs/foo HTTP/1.1\r\n" + closing, 400},
		"bad escape":         {"GET /logs/%zz HTTP/1.1\r\n" + closing, 400},
		"raw byte":           {"GET /logs/\xff HTTP/1.1\r\n" + closing, 400},
		"raw zero":           {"GET /logs/\x00 HTTP/1.1\r\n" + closing, 400},
		"escaped twice":      {"GET /logs/%2566oo HTTP/1.1\r\n" + closing, 400},
		"... and the slash":  {"GET /logs/%252566oo/ HTTP/1.1\r\n" + closing, 400},
		"deleted so":         {"DELETE /logs/%2566oo HTTP/1.1\r\n" + closing, 400},
		"escaped once":       {"GET /logs/%66oo HTTP/1.1\r\n" + closing, 200},
		"long header":        {"GET /logs/foo HTTP/1.1\r\nA: " + strings.Repeat("a", 100_000) + "\r\n" + closing, 431},
		"many headers":       {"GET /logs/foo HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", 20_000) + closing, 431},
		"long path":          {"GET /logs/" + strings.Repeat("a", 500_000) + " HTTP/1.1\r\n" + closing, 431},
		"space in a header":  {"GET /logs/foo HTTP/1.1\r\nHost : x\r\n\r\n", 400},
		"zero in a header":   {"GET /logs/foo HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n", 400},
		"TLS":                {"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + strings.Repeat("\xaa", 160) + "\r\n\r\n", 400},
		"no body":            {"GET /logs/foo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n", 200},
		"no huge body":       {"GET /logs/foo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", 200},
		"unfinished chunk":   {"GET /logs/foo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", 200},
		"bad chunk":          {"GET /logs/foo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 200},
		"body to be asked":   {"GET /logs/foo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", 200},
		"body that comes":    {"GET /logs/foo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 200},
		"POST without body":  {"POST /logs/foo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n", 405},
		"kept, then strange": {"GET /logs/foo HTTP/1.1\r\nHost: x\r\n\r\nGET /logs/foo HTTP/2.0\r\n" + closing, 400},
		"half a header":      {"GET /logs/foo HTTP/1.1\r\nHost: x\r\n\r\nG@T\r\n\r\n", 400},
	} {
		t.Run(name, func(t *testing.T) {
			addr := serve(t, newAPI(kept(numbered(1)...)))
			t.Parallel()
			answer, first := raw(t, addr, tc.request)
			r := bufio.NewReader(bytes.NewReader(answer))
			var status int
			var body []byte
			for {
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					break
				}
				status = resp.StatusCode
				body, err = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if err != nil {
					t.Error(err)
				}
				if kind := resp.Header.Get("Content-Type"); kind != "text/plain; charset=utf-8" {
					t.Errorf("the content type is %q", kind)
				}
			}
			if status != tc.status || bytes.Count(body, []byte("\n")) != 1 || !bytes.HasSuffix(body, []byte("\n")) {
				t.Errorf("%d %.200q, want %d and one line", status, body, tc.status)
			}
			if first > 4*time.Second { // the server would read for 10 s
				t.Errorf("answered after %s: want at once", first)
			}
		})
	}
}

// TestTextLikeAnAnswer has a log that reads like an answer of net/http's own: it stays unchanged.
func TestTextLikeAnAnswer(t *testing.T) {
	canned := "HTTP/1.1 501 Not Implemented\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\nUnsupported"
	entries := make([]sdk.Entry, 2000)
	for i := range entries {
		entries[i] = sdk.Entry{Time: time.Unix(0, 0).UTC(), Message: strings.Repeat("x", i) + canned}
	}
	storage := kept(entries...)
	storage.Page = 7
	addr := serve(t, newAPI(storage))
	want := ""
	for range 2 { // on one connection
		resp, err := http.Get(fmt.Sprintf("http://%s/logs/foo?log_lines=-1", addr))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || strings.Count(string(body), canned) != len(entries) || want != "" && string(body) != want {
			t.Errorf("%d of %d texts, %v", strings.Count(string(body), canned), len(entries), err)
		}
		want = string(body)
	}
	http.DefaultClient.CloseIdleConnections()
}
