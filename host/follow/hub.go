package follow

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// Options configure a [Hub].
type Options struct {
	Storage Storage
	Logger  hclog.Logger
	// Registry gets the hub's metrics; nil for none.
	Registry prometheus.Registerer
	// MaxFollowers bounds how many there may be at once.
	MaxFollowers int
	// BufferEntries and BufferBytes bound how much may wait for a follower before it counts as
	// slow.
	BufferEntries, BufferBytes uint64
	// ReadTimeout bounds one read of the storage.
	ReadTimeout time.Duration
}

// ErrTooMany is returned for a new follower when there are MaxFollowers already.
var ErrTooMany = errors.New("there are as many followers as this logger takes")

// Hub serves all followers of this host. Make it with [New]; [Hub.Run] stops it.
type Hub struct {
	opts    Options
	metrics metrics
	ctx     context.Context // of the streams; ends with the hub
	stop    context.CancelFunc

	mu        sync.Mutex
	stopped   bool
	streams   map[string]*stream
	followers int
	running   sync.WaitGroup // streams

	waker waker
}

// New makes a hub. Nothing runs before the first follower comes.
func New(opts Options) *Hub {
	h := &Hub{opts: opts, streams: make(map[string]*stream)}
	h.ctx, h.stop = context.WithCancel(context.Background())
	h.metrics = newMetrics(opts.Registry, h)
	return h
}

// Run waits for ctx to end. Then it tells every follower that the hub stops, and ends the follows
// of the storage.
func (h *Hub) Run(ctx context.Context) error {
	<-ctx.Done()
	h.mu.Lock()
	h.stopped = true
	h.mu.Unlock()
	h.stop()
	h.running.Wait()
	return nil
}

// Follow begins to follow an app behind the place; with the zero place it begins with all that is
// kept. The app need not have a log. Follow fails with [ErrTooMany] or [sdk.ErrStopping]. The
// caller closes the follower, which is for one goroutine.
func (h *Hub) Follow(app string, after read.Place) (*Follower, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.stopped:
		return nil, sdk.ErrStopping
	case h.followers >= h.opts.MaxFollowers:
		h.metrics.refused.Inc()
		return nil, ErrTooMany
	}
	h.followers++
	return &Follower{hub: h, log: read.NewLog(h.opts.Storage, app, after), woken: make(chan struct{}, 1)}, nil
}

// use returns the app's stream. A new stream begins at the end that the log was seen to have, and
// never at a client's cursor, which may be of another log.
func (h *Hub) use(log *read.Log) *stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.streams[log.App()]
	if s == nil {
		s = newStream(h, log)
		ctx, stop := context.WithCancel(h.ctx)
		s.stop = stop
		h.streams[s.app] = s
		if !h.stopped { // else it would end at once, and Run may wait for the others already
			h.running.Go(func() { s.run(ctx) }) // ends when its last follower leaves, or the hub stops
		}
	}
	s.users++
	return s
}

// leave removes a follower, and ends the stream that it used if nobody else uses that.
func (h *Hub) leave(s *stream) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.followers--
	if s == nil {
		return
	}
	s.users--
	if s.users == 0 {
		s.stop()
		delete(h.streams, s.app)
	}
}

// Stopping returns a channel that is closed once the hub stops.
func (h *Hub) Stopping() <-chan struct{} { return h.ctx.Done() }

// counts returns the followers and streams there are.
func (h *Hub) counts() (followers, streams int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.followers, len(h.streams)
}
