package listen

import (
	"container/list"
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Options configures a [Listener].
type Options struct {
	// Most bounds the connections at once; 0 means [DefaultMost]. It is lowered to the number of
	// files that the process may open, minus those that the rest of the process needs.
	Most int
	// Silence bounds how long a peer may leave data unacknowledged; 0 means [DefaultSilence].
	Silence time.Duration
	Logger  hclog.Logger
}

const (
	// DefaultMost is the default of Options.Most.
	DefaultMost = 10_000
	// DefaultSilence is the default of Options.Silence.
	DefaultSilence = 30 * time.Second
	// ownDescriptors are left to the rest of the process: plugins, files, other sockets.
	ownDescriptors = 256
	// mostKept bounds the connections that are kept for urgent requests.
	mostKept = 100
	// writeBuffer bounds the part of an answer that the system buffers for a slow client. That part
	// takes memory too, and counts as received.
	writeBuffer = 512 << 10
	// warnEvery is the least time between two warnings about a full listener.
	warnEvery = time.Minute
	// placeWithin bounds how long a new connection may wait for a place.
	placeWithin = time.Second
)

// Listener accepts the connections of one server. [Listener.ConnContext] and [Listener.ConnState]
// have to be hooks of that server, and [Handler] has to wrap its handler.
//
// A connection waits while none of its requests is being answered. When there are Most connections,
// a new one ends the one that has waited longest, so idle clients keep nobody out. If none waits, a
// new connection is closed unless an answer ends within a second: the last places are for short
// answers.
type Listener struct {
	net.Listener
	opts Options

	mu      sync.Mutex
	open    int
	waiting list.List     // of *conn, the longest waiting first
	place   chan struct{} // holds one value once a connection has ended or begun to wait
	warned  time.Time
}

// New returns a Listener over the given one.
func New(listener net.Listener, opts Options) *Listener {
	if opts.Most == 0 {
		opts.Most = DefaultMost
	}
	if opts.Silence == 0 {
		opts.Silence = DefaultSilence
	}
	if most := descriptors(); most-ownDescriptors < opts.Most {
		opts.Most = max(most-ownDescriptors, most/2)
	}
	return &Listener{Listener: listener, opts: opts, place: make(chan struct{}, 1)}
}

// Accept implements [net.Listener].
func (l *Listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		tcp, ok := accepted.(*net.TCPConn)
		if err != nil || !ok {
			return accepted, err
		}
		c := &conn{TCPConn: tcp, listener: l}
		ended := l.makeRoom(c)
		if ended != nil {
			_ = ended.TCPConn.Close() // its client asks again, unless it was closed for good
		}
		if ended == c {
			continue
		}
		_ = tcp.SetWriteBuffer(writeBuffer) // otherwise the system chooses, up to megabytes
		endWhenSilent(tcp, l.opts.Silence)
		return c, nil
	}
}

// makeRoom adds the connection once there is a place. It returns the connection to close for it,
// which is c itself if there is no place within placeWithin.
func (l *Listener) makeRoom(c *conn) (ended *conn) {
	if ended = l.admit(c); ended != c {
		return ended
	}
	within := time.NewTimer(placeWithin)
	defer within.Stop()
	for ended == c {
		select {
		case <-l.place:
			ended = l.admit(c)
		case <-within.C:
			return c
		}
	}
	return ended
}

// admit adds the connection, and returns the one to close for it, if any.
func (l *Listener) admit(c *conn) (ended *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.opts.Most {
		if now := time.Now(); now.Sub(l.warned) >= warnEvery {
			l.warned = now
			l.opts.Logger.Warn("there are as many connections as LOGGER_MAX_CONNECTIONS, or the limit of open files, allows: idle ones are closed",
				"most", l.opts.Most, "idle", l.waiting.Len())
		}
		longest := l.waiting.Front()
		if longest == nil {
			return c
		}
		ended = longest.Value.(*conn)
		l.remove(ended)
	}
	l.open++
	c.place = l.waiting.PushBack(c)
	return ended
}

// remove forgets the connection. The caller holds the lock.
func (l *Listener) remove(c *conn) {
	if c.removed {
		return
	}
	c.removed = true
	l.open--
	l.unqueue(c)
	l.free()
}

// unqueue removes the connection from the waiting ones. The caller holds the lock.
func (l *Listener) unqueue(c *conn) {
	if c.place != nil {
		l.waiting.Remove(c.place)
		c.place = nil
	}
}

// free wakes a new connection that waits for a place, if there is one.
func (l *Listener) free() {
	select {
	case l.place <- struct{}{}:
	default:
	}
}

// begin notes that a request of the connection is being answered.
func (l *Listener) begin(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.unqueue(c)
}

// ConnState implements the server's hook of that name: it notes which connections wait.
func (l *Listener) ConnState(c net.Conn, state http.ConnState) {
	switch c, ok := c.(*conn); {
	case !ok:
	case state == http.StateHijacked:
		c.taken.Store(true)
	case state == http.StateIdle:
		c.idle()
		l.mu.Lock()
		defer l.mu.Unlock()
		if !c.removed && c.place == nil {
			c.place = l.waiting.PushBack(c)
			l.free()
		}
	}
}

type connKey struct{}

// ConnContext implements the server's hook of that name: it puts the connection into the context.
func (*Listener) ConnContext(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, c)
	}
	return ctx
}

func connOf(ctx context.Context) *conn {
	c, _ := ctx.Value(connKey{}).(*conn)
	return c
}

// Full reports whether so many requests are being answered that the remaining connections are kept
// for urgent ones: those of probes and of the controller.
func Full(ctx context.Context) bool {
	answered, most := load(ctx)
	return answered > most-kept(most)
}

// OnlyProbes reports whether even more are being answered, so that the remaining connections, half
// of those kept, are for probes alone.
func OnlyProbes(ctx context.Context) bool {
	answered, most := load(ctx)
	return answered > most-(kept(most)+1)/2
}

// kept returns how many connections are kept for urgent requests.
func kept(most int) int { return min(mostKept, (most+9)/10) }

// load returns how many requests are being answered, and the most connections. Both are 0 for a
// request that came through no Listener.
func load(ctx context.Context) (answered, most int) {
	c := connOf(ctx)
	if c == nil {
		return 0, 0
	}
	l := c.listener
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open - l.waiting.Len(), l.opts.Most
}
