package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	v1 "github.com/deis/logger/host/api/v1"
	"github.com/deis/logger/host/follow"
	"github.com/deis/logger/sdk"
)

// followedLog is a large log for /v1.
type followedLog struct{ *largeLog }

func (followedLog) Follow(context.Context, string, sdk.Cursor, func(sdk.Page) error) error {
	return sdk.ErrUnsupported
}

func (followedLog) Apps(context.Context) ([]sdk.AppInfo, error) { return nil, nil }

// TestReadingsAreBounded has more answers of /v1 than there is room for: the rest waits,
// or is refused, and those who have room get their further pages all the same.
func TestReadingsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReaders()
		var all []v1.Reading
		for range largeBytes / heldPages {
			g, err := r.Begin(t.Context(), false)
			if err != nil || !g.Done(pageBytes) {
				t.Fatal(err)
			}
			all = append(all, g)
		}
		// These have every turn there is, and wait for room.
		waiting := make(chan error)
		for range r.largeTurns.places {
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				g, err := r.Begin(ctx, false)
				if err == nil {
					g.Done(pageBytes)
					g.Close()
				}
				waiting <- err
			}()
		}
		synctest.Wait()
		hasty, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Begin(hasty, false); !errors.Is(err, sdk.ErrUnavailable) {
			t.Errorf("one more: %v, want a refusal", err)
		}
		if held := r.largeBytes.held; held > largeBytes {
			t.Errorf("%d bytes are held", held)
		}
		for _, g := range all {
			if err := g.Again(t.Context()); err != nil || !g.Done(pageBytes) {
				t.Errorf("a further page: %v", err)
			}
		}
		few, err := r.Begin(t.Context(), true)
		if err != nil || !few.Done(1000) {
			t.Fatalf("few lines wait for many: %v", err)
		}
		few.Close()
		for _, g := range all {
			g.Close()
			g.Close() // once more is nothing
		}
		for range r.largeTurns.places {
			if err := <-waiting; err != nil {
				t.Errorf("who waited: %v", err)
			}
		}
		few, _ = r.Begin(t.Context(), true)
		if few.Done(smallBytes + 1) {
			t.Error("a small answer that is not small has room")
		}
		few.Close()
		for _, turns := range []*turns{r.smallTurns, r.largeTurns, r.pageTurns} {
			if turns.taken != 0 {
				t.Errorf("%d turns are left taken", turns.taken)
			}
		}
		if r.largeBytes.held != 0 || r.smallBytes.held != 0 || len(r.largeBytes.growing) != 0 || len(r.largeBytes.sending) != 0 {
			t.Errorf("%d and %d bytes are held at the end", r.largeBytes.held, r.smallBytes.held)
		}
	})
}

// TestSlowReadersOfV1 has clients that take nothing of long logs and of the history of
// tails: others get theirs, and what all hold is bounded.
func TestSlowReadersOfV1(t *testing.T) {
	s := followedLog{&largeLog{entries: 320}} // 20 MiB
	hub := follow.New(follow.Options{
		Storage: s, Logger: hclog.NewNullLogger(), MaxFollowers: 100, BufferEntries: 1000, BufferBytes: 64 << 20, ReadTimeout: time.Second,
	})
	hubCtx, stop := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = hub.Run(hubCtx)
	}()
	t.Cleanup(func() {
		stop()
		<-stopped
	})
	a := New(nil, Options{
		Storage: s, Logger: hclog.NewNullLogger(), StorageTimeout: 10 * time.Second,
		Readiness: func() Readiness { return Readiness{Ready: true} }, Metrics: http.NotFoundHandler(),
		V1: v1.Options{Storage: s, Hub: hub, SessionKey: make([]byte, 32)},
	})
	addr := serve(t, a)
	for i := range 40 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.Close() }()
		_ = c.(*net.TCPConn).SetReadBuffer(4096)
		path := []string{"logs?lines=-1", "tail?lines=-1", "tail?after=0000000000000001-1"}[i%3]
		if _, err := io.WriteString(c, "GET /v1/apps/large/"+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	held := func() int {
		l := a.readers.largeBytes
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.held
	}
	for deadline := time.Now().Add(20 * time.Second); held() < largeBytes-heldPages; {
		if time.Now().After(deadline) {
			t.Fatalf("%d bytes are held, want as many as may be", held())
		}
		time.Sleep(time.Millisecond)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	if n, err := get(client, "http://"+addr+"/v1/apps/few/logs?lines=-1"); err != nil || n == 0 {
		t.Errorf("a short log: %d bytes, %v", n, err)
	}
	for deadline := time.Now().Add(60 * time.Second); ; {
		n, err := get(client, "http://"+addr+"/v1/apps/large/logs?lines=-1")
		if held := held(); held > largeBytes {
			t.Errorf("%d bytes are held", held)
		}
		if err == nil && n > 320<<16 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a fast client: %d bytes, %v", n, err)
		}
	}
}
