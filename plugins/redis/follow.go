package redis

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

// How followers of any host learn of what any host appends: an app that is followed has a
// key that says so, for a while. The scripts find the key and publish the app's state key on
// one channel, to which a process subscribes while it has followers. What is new is read by
// position, like everything else.
const (
	// followedFor is how long an app counts as followed.
	followedFor = 30 * time.Second
	// lookEvery is how often what is followed is looked at without being told to: for when
	// Redis lost it, or the key that says that it is followed, or a message.
	lookEvery = 900 * time.Millisecond
	// hearFor is how long what a delete tells of itself may be under way.
	hearFor = 50 * time.Millisecond
	// lookedAt is the most apps that are looked at in one pipeline.
	lookedAt = 500
)

// Follow implements [sdk.Follower]. It ends with [sdk.ErrUnavailable] when the
// connection that wakes it is lost: what is missed then is still there to read.
func (s *storage) Follow(ctx context.Context, app string, after sdk.Cursor, yield func(sdk.Page) error) error {
	// The key first: once the follower reads, every append tells of itself. A Redis that takes
	// no writes now takes no appends either.
	if err := s.client.Set(ctx, followedKey(app), "1", followedFor).Err(); broken(err) {
		return fmt.Errorf("follow %q: %w", app, s.explain(err))
	}
	key, wake := stateKey(app), make(chan struct{}, 1)
	n := s.join(key, wake)
	defer n.leave(key, wake)
	err := sdk.FollowByReading(ctx, s, app, after, wake, yield)
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.err == nil || ctx.Err() != nil:
		return err
	case replyCode(n.err) == "NOPERM": // whoever may not subscribe has to poll
		return fmt.Errorf("follow %q: %w: %w", app, sdk.ErrUnsupported, n.err)
	}
	return fmt.Errorf("follow %q: %w", app, s.explain(n.err))
}

// session is one life of the subscription. It ends with the first error, or when the last
// follower leaves.
type session struct {
	*storage
	pubsub *redis.PubSub
	end    context.CancelFunc

	mu      sync.Mutex
	over    bool
	err     error                      // why it is over
	waiting map[string][]chan struct{} // by state key; closed when the session is over
	heard   map[string]bool            // state keys that were told of since the last look
}

// join makes wake one of those that hear of appends to the app.
func (s *storage) join(key string, wake chan struct{}) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.session == nil || !s.session.add(key, wake) {
		ctx, cancel := context.WithCancel(context.Background())
		s.session = &session{
			storage: s, pubsub: s.client.Subscribe(ctx), end: cancel, waiting: map[string][]chan struct{}{key: {wake}},
			heard: map[string]bool{},
		}
		go s.session.keep(ctx)
	}
	return s.session
}

// add is false when the session is over.
func (n *session) add(key string, wake chan struct{}) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.over {
		n.waiting[key] = append(n.waiting[key], wake)
	}
	return !n.over
}

// leave undoes join. Who leaves last ends the session.
func (n *session) leave(key string, wake chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waiting[key] = slices.DeleteFunc(n.waiting[key], func(c chan struct{}) bool { return c == wake })
	if len(n.waiting[key]) == 0 {
		delete(n.waiting, key)
	}
	if len(n.waiting) == 0 {
		n.over = true
		n.end()
	}
}

// wake wakes the followers of the apps.
func (n *session) wake(keys ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, key := range keys {
		for _, wake := range n.waiting[key] {
			select {
			case wake <- struct{}{}:
			default: // it is about to look anyway
			}
		}
	}
}

// hear notes that an append or a delete of the app told of itself.
func (n *session) hear(key string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.waiting[key] != nil {
		n.heard[key] = true
	}
}

// followed are the apps that have followers.
func (n *session) followed() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Collect(maps.Keys(n.waiting))
}

// lose ends the follows of a log that is gone, unless something told of it: nobody deleted
// it, so Redis lost it. It reports whether it did.
func (n *session) lose(key string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.heard[key] || n.over {
		return false
	}
	for _, wake := range n.waiting[key] {
		close(wake)
	}
	n.waiting[key] = nil // whoever leaves removes it
	return true
}

// fail ends the session: who waits has to begin again.
func (n *session) fail(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over {
		return
	}
	n.over, n.err = true, err
	for key, waiting := range n.waiting {
		for _, wake := range waiting {
			close(wake)
		}
		n.waiting[key] = nil
	}
	n.end()
}

// keep looks at what is followed until the session ends.
func (n *session) keep(ctx context.Context) {
	var receiving sync.WaitGroup
	receiving.Go(n.receive)
	defer receiving.Wait()
	defer func() { _ = n.pubsub.Close() }()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	states := map[string]string{} // of the apps, when they were looked at
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := n.look(ctx, states); err != nil {
				n.fail(err)
			}
		}
	}
}

// receive hears what the subscription says until it breaks or is closed.
func (n *session) receive() {
	ctx := context.Background() // it ends with the connection
	err := n.pubsub.Subscribe(ctx, wakeChannel)
	for err == nil {
		var message any
		message, err = n.pubsub.Receive(ctx)
		switch m := message.(type) {
		case *redis.Message:
			n.hear(m.Payload)
			n.wake(m.Payload)
		case *redis.Subscription: // what came before it was not heard
			n.wake(n.followed()...)
		}
	}
	n.fail(err)
}

// look says again which apps are followed, and looks at all of them: whose state is not what
// it was is woken.
func (n *session) look(ctx context.Context, states map[string]string) error {
	var gone, changed []string
	keys := n.followed()
	if len(states) > 2*len(keys) {
		clear(states) // each is woken once for nothing
	}
	for some := range slices.Chunk(keys, lookedAt) {
		found := make([]*redis.StringCmd, len(some))
		commands, _ := n.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, key := range some {
				p.Set(ctx, strings.TrimSuffix(key, stateSuffix)+followedSuffix, "1", followedFor)
				found[i] = p.GetRange(ctx, key, 1, stateKept-1)
			}
			return nil
		})
		for _, command := range commands { // a full Redis takes no key, and no append either
			if err := command.Err(); broken(err) {
				return err
			}
		}
		for i, key := range some {
			state, known := states[key]
			states[key] = found[i].Val()
			switch {
			case known && state != "" && found[i].Val() == "":
				gone = append(gone, key)
			case !known || state != found[i].Val():
				changed = append(changed, key)
			}
		}
	}
	if len(gone) > 0 {
		select {
		case <-time.After(hearFor):
		case <-ctx.Done():
		}
	}
	for _, key := range gone {
		if !n.lose(key) {
			changed = append(changed, key)
		}
	}
	n.mu.Lock()
	clear(n.heard)
	n.mu.Unlock()
	n.wake(changed...)
	return nil
}
