package nsqtest

import (
	"strings"
	"testing"

	"github.com/nsqio/nsq/nsqd"
	"github.com/nsqio/nsq/nsqlookupd"
)

// Lookupd runs an nsqlookupd inside the test's process. Its methods fail the test by themselves, so
// only the test's own goroutine may call them.
type Lookupd struct {
	t         testing.TB
	tcp, http string
	daemon    *nsqlookupd.NSQLookupd // nil while stopped
	ended     chan error
}

// StartLookupd runs an nsqlookupd on free loopback ports until the end of the test.
func StartLookupd(t testing.TB) *Lookupd {
	t.Helper()
	l := &Lookupd{t: t, tcp: "127.0.0.1:0", http: "127.0.0.1:0"}
	l.start()
	t.Cleanup(l.Stop)
	return l
}

func (l *Lookupd) start() {
	l.t.Helper()
	o := nsqlookupd.NewOptions()
	o.TCPAddress, o.HTTPAddress, o.BroadcastAddress = l.tcp, l.http, "127.0.0.1"
	listening := make(listener, 1)
	o.Logger = listening
	daemon, err := nsqlookupd.New(o)
	if err != nil {
		l.t.Fatalf("start nsqlookupd: %v", err)
	}
	l.daemon, l.ended = daemon, make(chan error, 1)
	l.tcp, l.http = daemon.RealTCPAddr().String(), daemon.RealHTTPAddr().String()
	go func() { l.ended <- daemon.Main() }() // ends with Stop
	<-listening                              // Exit may not be called while Main still starts servers
}

// Stop ends nsqlookupd, which forgets all it knew. Stopping twice is no error.
func (l *Lookupd) Stop() {
	l.t.Helper()
	if l.daemon == nil {
		return
	}
	l.daemon.Exit()
	if err := <-l.ended; err != nil {
		l.t.Errorf("stop nsqlookupd: %v", err)
	}
	l.daemon = nil
}

// Restart starts nsqlookupd again, on the same ports. It stops the running one first. Each nsqd
// reconnects within 15 seconds.
func (l *Lookupd) Restart() {
	l.t.Helper()
	l.Stop()
	l.start()
}

// TCPAddr returns the address at which nsqd registers, as host:port; also while stopped.
func (l *Lookupd) TCPAddr() string { return l.tcp }

// HTTPAddr returns the address that consumers ask, as host:port; also while stopped.
func (l *Lookupd) HTTPAddr() string { return l.http }

// Register makes an nsqd register its topics with nsqlookupd: pass it to [Start].
func (l *Lookupd) Register(o *nsqd.Options) {
	o.NSQLookupdTCPAddresses = append(o.NSQLookupdTCPAddresses, l.tcp)
}

// listener drops the daemon's log lines. It receives one value once the daemon has started its last
// server, the one for HTTP.
type listener chan struct{}

// Output implements nsqlookupd's interface of a logger.
func (l listener) Output(_ int, line string) error {
	if strings.Contains(line, "HTTP: listening") {
		l <- struct{}{}
	}
	return nil
}
