package api

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	v1 "github.com/deis/logger/host/api/v1"
	"github.com/deis/logger/host/follow"
	"github.com/deis/logger/internal/storagefake"
	"github.com/deis/logger/internal/testrun"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

// withV1 adds /v1 to an API.
func withV1(t *testing.T, s v1.Storage) func(*Options) {
	t.Helper()
	hub := follow.New(follow.Options{
		Storage: s, Logger: hclog.NewNullLogger(), MaxFollowers: 100, BufferEntries: 1000, BufferBytes: 64 << 20, ReadTimeout: time.Second,
	})
	testrun.Start(t, hub.Run)
	return func(o *Options) { o.V1 = v1.Options{Storage: s, Hub: hub, SessionKey: make([]byte, 32)} }
}

// TestSlowClients has clients that read nothing of long answers. Other clients still get long
// answers after a bounded time, and short ones at once.
func TestSlowClients(t *testing.T) {
	const size = 320 << 16
	s := &storagefake.Storage{PageBytes: 1 << 20}
	text := strings.Repeat("x", 64<<10)
	for range 320 { // 20 MiB
		s.Add("long", sdk.Entry{Message: text})
	}
	s.Add("short", numbered(100)...)
	addr := serve(t, newAPI(s, withV1(t, s)))
	paths := []string{
		"/logs/long?log_lines=-1", "/v1/apps/long/logs?lines=-1", "/v1/apps/long/tail?lines=-1",
		"/v1/apps/long/tail?after=0000000000000007-1",
	}
	for i := range 40 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_ = c.(*net.TCPConn).SetReadBuffer(4096)
		if _, err := io.WriteString(c, "GET "+paths[i%len(paths)]+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for _, path := range []string{"/logs/short?log_lines=-1", "/v1/apps/short/logs?lines=-1"} {
		if n, err := get(client, "http://"+addr+path); err != nil || n == 0 {
			t.Errorf("%s: %d bytes, %v", path, n, err)
		}
	}
	for _, path := range paths[:2] {
		var n int64
		var err error
		testwait.Within(t, time.Minute, "a fast client gets all of "+path, func() bool {
			n, err = get(client, "http://"+addr+path)
			return err == nil && n > size
		}, func() string { return fmt.Sprintf("%d bytes, %v", n, err) })
	}
}
