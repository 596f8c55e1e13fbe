package nsqtest

import (
	"context"
	"net"
	"sync"
	"testing"
)

// Proxy stands between a consumer and its nsqd, so that a test can make the network fail: silently
// hang, or break.
type Proxy struct {
	t        testing.TB
	target   string
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	thawed chan struct{} // closed unless frozen
	conns  map[net.Conn]struct{}
	closed bool
}

// NewProxy forwards connections to target until the end of the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("proxy to %s: %v", target, err)
	}
	p := &Proxy{
		t: t, target: target, listener: listener,
		thawed: make(chan struct{}), conns: map[net.Conn]struct{}{},
	}
	close(p.thawed)
	p.wg.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr returns where to connect instead of to the target.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Freeze stops all data, in both directions, on present and future connections. They stay open: the
// other side seems to hang.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.thawed = make(chan struct{})
}

// Thaw ends Freeze. Data sent meanwhile goes through.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.thawed:
	default:
		close(p.thawed)
	}
}

// Cut breaks the connections that are open now, on both sides.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close() // a broken connection is what the test wants
	}
}

func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close() // ends accept
	p.Cut()
	p.Thaw()
	p.wg.Wait()
}

func (p *Proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.forward(near) })
	}
}

func (p *Proxy) forward(near net.Conn) {
	if !p.keep(near) {
		return
	}
	defer p.drop(near)
	far, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		return // near is closed, which comes closest to refusing it
	}
	if !p.keep(far) {
		return
	}
	defer p.drop(far)
	var both sync.WaitGroup
	both.Go(func() { p.pipe(far, near) })
	both.Go(func() { p.pipe(near, far) })
	both.Wait()
}

// pipe copies until one side ends, then closes both.
func (p *Proxy) pipe(to, from net.Conn) {
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		p.mu.Lock()
		thawed := p.thawed
		p.mu.Unlock()
		<-thawed
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				break
			}
		}
		if err != nil {
			break
		}
	}
	_ = to.Close()
	_ = from.Close()
}

func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.Close()
		return false
	}
	p.conns[c] = struct{}{}
	return true
}

func (p *Proxy) drop(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	_ = c.Close()
}
