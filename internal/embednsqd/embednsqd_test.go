package embednsqd

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nsqio/nsq/nsqd"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// run serves in the background. It returns a function that stops, and reports Run's error.
func run(t *testing.T, s *Server) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	waitServing(t, s.TCPAddr())
	return func() error {
		cancel()
		return <-ended
	}
}

// waitServing returns once nsqd's TCP server answers. It sends an unknown magic, which nsqd
// refuses.
func waitServing(t *testing.T, addr string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("none")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
}

func TestServesAndRemovesItsPrivateFolder(t *testing.T) {
	var mu sync.Mutex
	var lines []string
	var folder string
	s, err := New(Options{
		Log: func(_ slog.Level, line string) {
			mu.Lock()
			defer mu.Unlock()
			lines = append(lines, line)
		},
		Tune: func(o *nsqd.Options) { folder = o.DataPath },
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s)
	if _, err := os.Stat(folder); err != nil {
		t.Fatalf("private folder: %v", err)
	}
	if host, _, _ := net.SplitHostPort(s.HTTPAddr()); host != "127.0.0.1" {
		t.Errorf("HTTP is on %s, want loopback", s.HTTPAddr())
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the private folder is still there: %v", err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Contains(lines, "NSQ: bye") {
		t.Errorf("nsqd's lines did not come through: %q", lines)
	}
}

func TestKeepsTheFolderItWasGiven(t *testing.T) {
	dir := t.TempDir()
	s, err := New(Options{DataPath: dir})
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, s)
	topic := s.NSQD().GetTopic("logs")
	if err := topic.PutMessage(nsqd.NewMessage(topic.GenerateID(), []byte("kept"))); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	again, err := New(Options{DataPath: dir})
	if err != nil {
		t.Fatal(err)
	}
	stop = run(t, again)
	if depth := again.NSQD().GetTopic("logs").Depth(); depth != 1 {
		t.Errorf("depth after a restart is %d, want 1", depth)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

func TestStopsWithoutHavingRun(t *testing.T) {
	var folder string
	s, err := New(Options{Tune: func(o *nsqd.Options) { folder = o.DataPath }})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the private folder is still there: %v", err)
	}
	if err := s.Run(t.Context()); err == nil {
		t.Error("a stopped nsqd ran")
	}
}

func TestTakenAddressIsAnError(t *testing.T) {
	l, err := net.Listen("tcp", freeLoopback)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	var folder string
	_, err = New(Options{
		TCPAddress: l.Addr().String(),
		Tune:       func(o *nsqd.Options) { folder = o.DataPath },
	})
	if err == nil {
		t.Fatal("two servers on one address")
	}
	if _, err := os.Stat(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the private folder is still there: %v", err)
	}
}
