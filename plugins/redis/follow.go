package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

// This is how followers of any host learn what any host appends. An app that is followed has a key
// that says so, for a while. The scripts find the key and publish the app's state key on one
// channel, to which a process subscribes while it has followers. New entries are read by position,
// like all others.
const (
	// followedFor is the time for which an app counts as followed.
	followedFor = 30 * time.Second
	// lookEvery is the time between two looks at followed apps without a message. They are needed
	// because Redis may have lost the log, the key that says that it is followed, or a message.
	lookEvery = 900 * time.Millisecond
	// lookedAt is the most apps that are looked at in one pipeline.
	lookedAt = 500
)

// Follow implements [sdk.Follower]. It ends with [sdk.ErrUnavailable] when Redis cannot be read or
// has lost the log.
func (s *storage) Follow(ctx context.Context, app string, after sdk.Cursor, yield func(sdk.Page) error) error {
	// The key comes first: once the follower reads, every append publishes a message. A Redis that
	// takes no writes now takes no appends either.
	if err := s.client.Set(ctx, followedKey(app), "1", followedFor).Err(); broken(err) {
		return fmt.Errorf("follow %q: %w", app, s.explain(err))
	}
	wake, leave := s.followers.Join(stateKey(app))
	defer leave()
	return sdk.FollowByReading(ctx, &follower{storage: s}, app, after, wake, yield)
}

// follower reads for one Follow.
type follower struct {
	*storage
	epoch uint64 // of the log that was read last
}

// Read fails if the log that was read before is gone although nobody deleted it.
func (f *follower) Read(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	page, err := f.storage.Read(ctx, opts)
	if err != nil {
		return page, err
	}
	if f.epoch != 0 && page.Epoch != f.epoch {
		deleted, err := f.client.Exists(ctx, deletedKey(opts.App, f.epoch)).Result()
		if err != nil {
			return page, fmt.Errorf("follow %q: %w", opts.App, f.explain(err))
		}
		if deleted == 0 {
			return page, fmt.Errorf("%s is %w: it lost the log of %q", f.name, sdk.ErrUnavailable, opts.App)
		}
	}
	f.epoch = page.Epoch
	return page, nil
}

// listen wakes the followers of apps that the subscription names, and looks at all followed apps,
// until ctx ends. go-redis renews the subscription's connection when it breaks.
func (s *storage) listen(ctx context.Context) {
	pubsub := s.client.Subscribe(ctx, wakeChannel)
	defer func() { _ = pubsub.Close() }()
	heard := pubsub.ChannelWithSubscriptions()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	states := map[string]string{} // of the apps, when they were looked at
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			states = s.look(ctx, states)
		case message := <-heard:
			switch m := message.(type) {
			case *redis.Message:
				s.followers.Wake(m.Payload)
			case *redis.Subscription: // earlier messages were missed
				s.followers.Wake(s.followers.Names()...)
			}
		}
	}
}

// look says again which apps are followed, and returns their states. It wakes the followers of apps
// whose state has changed or cannot be read: they see why.
func (s *storage) look(ctx context.Context, were map[string]string) map[string]string {
	states := map[string]string{}
	for keys := range slices.Chunk(s.followers.Names(), lookedAt) {
		found := make([]*redis.StringCmd, len(keys))
		// A full Redis takes no key, and no append either.
		_, _ = s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i, key := range keys {
				p.Set(ctx, strings.TrimSuffix(key, "state")+"followed", "1", followedFor)
				found[i] = p.GetRange(ctx, key, 1, stateKept-1)
			}
			return nil
		})
		for i, key := range keys {
			states[key] = found[i].Val()
			if was, known := were[key]; !known || was != states[key] || found[i].Err() != nil {
				s.followers.Wake(key)
			}
		}
	}
	return states
}
