package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

// How followers of any host learn of what any host appends: an app that is followed
// has a key that says so, for a while. The scripts find the key and publish that there is
// something new on a channel of the app. All follows of this process share one
// connection that is subscribed to their channels; what is new is read by position,
// like everything else. An app that nobody follows costs an append one look at a key
// that does not exist, and a cluster no message.
const (
	// followedFor is how long an app counts as followed.
	followedFor = 30 * time.Second
	// lookEvery is how often what is followed is looked at without being told to: for when
	// Redis lost it, or the key that says that it is followed.
	lookEvery = time.Second
	// silence is how long the connection may be silent before it is asked whether it
	// is alive; it has as long again to answer.
	silence = 2 * lookEvery
	// lookedAt is the most apps that are looked at in one pipeline.
	lookedAt = 500
)

// Follow implements [sdk.Follower]. It ends with [sdk.ErrUnavailable] when the
// connection that wakes it is lost: what is missed then is still there to read.
func (s *storage) Follow(ctx context.Context, app string, after sdk.Cursor, yield func(sdk.Page) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	wake := make(chan struct{}, 1)
	session, err := s.wakes.join(ctx, s, app, wake)
	if session != nil {
		defer s.wakes.leave(session, app, wake)
	}
	if err != nil {
		if replyCode(err) == "NOPERM" {
			// Whoever may not subscribe has to poll.
			return fmt.Errorf("follow %q: %w: %w", app, sdk.ErrUnsupported, err)
		}
		return fmt.Errorf("follow %q: %w", app, s.explain(err))
	}
	return sdk.FollowByReading(ctx, s, app, after, wake, yield)
}

// wakes has the connection that tells of appends, while anybody follows.
type wakes struct {
	mu      sync.Mutex
	session *session
}

// session is one life of that connection. It ends with the first error, or when the
// last follower leaves.
type session struct {
	storage *storage
	pubsub  *redis.PubSub
	listen  sync.Once // begins run, which ends when pubsub is closed

	// commands is held while a channel is subscribed or unsubscribed, so that these go
	// out in the order in which followers come and go.
	commands sync.Mutex

	mu      sync.Mutex
	over    bool
	waiting map[string][]chan struct{} // by channel; closed when the session is over
}

// join makes wake one of those that hear of appends to the app. If the session is not
// nil the caller leaves it, also after an error.
func (w *wakes) join(ctx context.Context, s *storage, app string, wake chan struct{}) (*session, error) {
	w.mu.Lock()
	n := w.session
	if n == nil || !n.add(app, wake) {
		n = newSession(s)
		n.add(app, wake)
		w.session = n
	}
	w.mu.Unlock()

	n.commands.Lock()
	defer n.commands.Unlock()
	// The key first: once the subscription is confirmed, which wakes the follower, every
	// append tells of itself. A Redis that takes no writes now takes no appends either.
	if err := s.client.Set(ctx, followedKey(app), "1", followedFor).Err(); err != nil && replyCode(err) == "" {
		return n, err
	}
	// The connection is everybody's: it must not break for who goes as it is made. So one who
	// goes while Redis hangs returns when this is over.
	shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), dialTimeout+writeTimeout)
	defer cancel()
	if err := n.pubsub.Subscribe(shared, followedKey(app)); err != nil {
		n.end()
		return n, err
	}
	n.listen.Do(func() { go n.run() })
	return n, nil
}

// leave undoes join. Who leaves last closes the connection.
func (w *wakes) leave(n *session, app string, wake chan struct{}) {
	n.commands.Lock()
	defer n.commands.Unlock()
	w.mu.Lock()
	lastOfApp, last := n.remove(app, wake)
	if last && w.session == n {
		w.session = nil
	}
	w.mu.Unlock()
	switch {
	case last:
		n.end()
	case lastOfApp:
		ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
		defer cancel()
		_ = n.pubsub.Unsubscribe(ctx, followedKey(app)) // else it is told of what it does not ask for
	}
}

func newSession(s *storage) *session {
	return &session{storage: s, pubsub: s.client.Subscribe(context.Background()), waiting: map[string][]chan struct{}{}}
}

// add is false when the session is over.
func (n *session) add(app string, wake chan struct{}) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.over {
		n.waiting[followedKey(app)] = append(n.waiting[followedKey(app)], wake)
	}
	return !n.over
}

func (n *session) remove(app string, wake chan struct{}) (lastOfApp, last bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	left := slices.DeleteFunc(n.waiting[followedKey(app)], func(c chan struct{}) bool { return c == wake })
	if len(left) > 0 {
		n.waiting[followedKey(app)] = left
		return false, false
	}
	delete(n.waiting, followedKey(app))
	return true, len(n.waiting) == 0
}

// end closes the connection and every channel: who waits has to begin again.
func (n *session) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over {
		return
	}
	n.over = true
	for _, waiting := range n.waiting {
		for _, wake := range waiting {
			close(wake)
		}
	}
	_ = n.pubsub.Close()
}

// run hears what the connection says until it breaks or is closed.
func (n *session) run() {
	defer n.end()
	ctx := context.Background() // what is received ends with the connection
	heard, looked := time.Now(), time.Now()
	var known map[string]string
	for {
		message, err := n.pubsub.ReceiveTimeout(ctx, lookEvery)
		var late net.Error
		switch {
		case err == nil:
			heard = time.Now()
		case !errors.As(err, &late) || !late.Timeout() || time.Since(heard) > 2*silence:
			return
		case time.Since(heard) > silence:
			if n.pubsub.Ping(ctx) != nil {
				return
			}
		}
		switch m := message.(type) {
		case *redis.Message:
			n.wake(m.Channel)
		case *redis.Subscription:
			n.wake(m.Channel)
		}
		if time.Since(looked) >= lookEvery {
			looked = time.Now()
			if known, err = n.look(ctx, known); err != nil {
				return
			}
		}
	}
}

func (n *session) wake(channel string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over {
		return
	}
	for _, wake := range n.waiting[channel] {
		select {
		case wake <- struct{}{}:
		default: // it is about to look anyway
		}
	}
}

// look says again which apps are followed, and looks at all of them: whose state is not what
// it was when they were last looked at, which is known, is woken. It returns what it found.
func (n *session) look(ctx context.Context, known map[string]string) (found map[string]string, err error) {
	n.mu.Lock()
	channels := make([]string, 0, len(n.waiting))
	for channel := range n.waiting {
		channels = append(channels, channel)
	}
	n.mu.Unlock()
	found = make(map[string]string, len(channels))
	for some := range slices.Chunk(channels, lookedAt) {
		states := make([]*redis.StringCmd, len(some))
		commands, _ := n.storage.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, channel := range some {
				p.Set(ctx, channel, "1", followedFor)
				states[i] = p.GetRange(ctx, strings.TrimSuffix(channel, followedSuffix)+stateSuffix, 1, stateKept-1)
			}
			return nil
		})
		for _, command := range commands {
			// A full Redis takes no key, and no append either.
			if err := command.Err(); broken(err) {
				return nil, err
			}
		}
		for i, channel := range some {
			found[channel] = states[i].Val()
		}
	}
	for channel, state := range found {
		if before, looked := known[channel]; !looked || state != before {
			n.wake(channel)
		}
	}
	return found, nil
}
