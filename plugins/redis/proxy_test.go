package redis

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/deis/logger/internal/redistest"
)

// proxy passes connections on to a server. It can lose a reply: then the server has done its work,
// but nobody gets to know.
type proxy struct {
	*redistest.Server // with the proxy's address
	target            string
	listener          net.Listener
	// lose makes each connection break instead of passing a reply, once the connection was asked to
	// run a script.
	lose atomic.Bool
	lost atomic.Int32

	mu    sync.Mutex
	conns map[net.Conn]bool
	done  sync.WaitGroup
}

func startProxy(t *testing.T, server *redistest.Server) *proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := listener.Addr().(*net.TCPAddr)
	p := &proxy{
		Server:   &redistest.Server{Host: at.IP.String(), Port: at.Port, Addr: at.String()},
		target:   server.Addr,
		listener: listener,
		conns:    map[net.Conn]bool{},
	}
	p.done.Go(p.accept)
	t.Cleanup(func() {
		_ = listener.Close()
		p.mu.Lock()
		for c := range p.conns {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.done.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		p.mu.Lock()
		p.conns[client], p.conns[server] = true, true
		p.mu.Unlock()
		var script atomic.Bool // the connection was asked to run a script
		closeBoth := func() {
			_ = client.Close()
			_ = server.Close()
		}
		p.done.Go(func() {
			defer closeBoth()
			_ = pass(server, client, func(request []byte) error {
				if bytes.Contains(request, []byte("evalsha")) {
					script.Store(true)
				}
				return nil
			})
		})
		p.done.Go(func() {
			defer closeBoth()
			_ = pass(client, server, func([]byte) error {
				if script.Load() && p.lose.Load() {
					p.lost.Add(1)
					return errors.New("the reply is lost")
				}
				return nil
			})
		})
	}
}

// pass copies until either end closes or look refuses.
func pass(to io.Writer, from io.Reader, look func([]byte) error) error {
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		if err != nil {
			return err
		}
		if err := look(b[:n]); err != nil {
			return err
		}
		if _, err := to.Write(b[:n]); err != nil {
			return err
		}
	}
}
