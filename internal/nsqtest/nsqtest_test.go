package nsqtest

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nsqio/nsq/nsqd"
	"go.uber.org/goleak"

	"github.com/deis/logger/internal/testwait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRestartKeepsPortsAndQueues(t *testing.T) {
	s := Start(t)
	s.CreateChannel("logs", "consume")
	s.Publish("logs", []byte("one"), []byte("two"))
	testwait.Within(t, 10*time.Second, "two messages wait", func() bool { return s.Channel("logs", "consume").Depth == 2 })
	tcp, web := s.TCPAddr(), s.HTTPAddr()
	s.Restart()
	if s.TCPAddr() != tcp || s.HTTPAddr() != web {
		t.Errorf("addresses are %s and %s, were %s and %s", s.TCPAddr(), s.HTTPAddr(), tcp, web)
	}
	if depth := s.Channel("logs", "consume").Depth; depth != 2 {
		t.Errorf("depth after the restart is %d, want 2", depth)
	}
}

func TestKillLeavesWhatIsOnDisk(t *testing.T) {
	s := Start(t, func(o *nsqd.Options) { o.MemQueueSize, o.SyncEvery = 0, 1 })
	s.CreateChannel("logs", "consume")
	s.Publish("logs", []byte("one"), []byte("two"))
	// nsqd writes what it knows a moment after it has counted it.
	onDisk := func(file string, ok func(text string) bool) {
		t.Helper()
		testwait.Within(t, 10*time.Second, file+" is written", func() bool {
			text, err := os.ReadFile(filepath.Join(s.opts.DataPath, file))
			return err == nil && ok(string(text))
		})
	}
	onDisk("logs:consume.diskqueue.meta.dat", func(text string) bool { return strings.HasPrefix(text, "2\n") })
	onDisk("logs.diskqueue.meta.dat", func(text string) bool { return strings.HasPrefix(text, "0\n") })
	onDisk("nsqd.dat", func(text string) bool { return strings.Contains(text, `"consume"`) })
	s.Kill()
	s.Kill() // killing it again is no error
	s.Restart()
	testwait.Within(t, 10*time.Second, "two messages wait again", func() bool { return s.Channel("logs", "consume").Depth == 2 })
}

func TestLookupdKnowsWhereTheTopicIs(t *testing.T) {
	l := StartLookupd(t)
	tcp, at := l.TCPAddr(), l.HTTPAddr()
	l.Restart()
	if l.TCPAddr() != tcp || l.HTTPAddr() != at {
		t.Errorf("addresses are %s and %s, were %s and %s", l.TCPAddr(), l.HTTPAddr(), tcp, at)
	}
	s := Start(t, l.Register)
	s.CreateChannel("logs", "consume")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	_, port, _ := net.SplitHostPort(s.TCPAddr())
	testwait.Within(t, 10*time.Second, "it names the nsqd", func() bool {
		resp, err := client.Get("http://" + l.HTTPAddr() + "/lookup?topic=logs")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		return err == nil && strings.Contains(string(body), `"tcp_port":`+port)
	})
}

func TestAbsentChannelCountsNothing(t *testing.T) {
	s := Start(t)
	if c := s.Channel("none", "none"); !c.Empty() {
		t.Errorf("stats of nothing: %+v", c)
	}
}

func TestProxyFreezesThawsAndCuts(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = echo.Close() }()
	go func() {
		c, err := echo.Accept()
		if err != nil {
			return
		}
		_, _ = io.Copy(c, c)
		_ = c.Close()
	}()
	p := NewProxy(t, echo.Addr().String())
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	got := make([]byte, 1)
	say := func(b byte) error {
		if _, err := c.Write([]byte{b}); err != nil {
			return err
		}
		_, err := io.ReadFull(c, got)
		return err
	}
	if err := say('a'); err != nil || got[0] != 'a' {
		t.Fatalf("through the proxy: %q, %v", got, err)
	}
	p.Freeze()
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if err := say('b'); err == nil {
		t.Fatal("a frozen proxy let something through")
	}
	p.Thaw()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, got); err != nil || got[0] != 'b' {
		t.Fatalf("after the thaw: %q, %v", got, err)
	}
	p.Cut()
	if _, err := io.ReadFull(c, got); err == nil {
		t.Fatal("a cut connection answered")
	}
}
