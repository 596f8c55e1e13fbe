package sdk

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// Followers wakes the followers of logs in one process, each of which waits in [FollowByReading].
// The zero value has no followers. It is safe for concurrent use.
type Followers struct {
	// Listen, if it is set, runs in the background while there are followers, for example to hear
	// of what other processes append. It calls Wake, and returns when ctx ends.
	Listen func(ctx context.Context)

	mu      sync.Mutex
	waiting map[string][]chan struct{}
	end     context.CancelFunc // ends Listen
}

// Join returns a channel for [FollowByReading] that gets a value after each Wake of the name, until
// leave is called. The name is the app's, or the backend's name for it.
func (f *Followers) Join(name string) (wake <-chan struct{}, leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) == 0 {
		f.waiting = map[string][]chan struct{}{}
		if f.Listen != nil {
			var ctx context.Context
			ctx, f.end = context.WithCancel(context.Background())
			go f.Listen(ctx) // ends when the last follower leaves
		}
	}
	woken := make(chan struct{}, 1)
	f.waiting[name] = append(f.waiting[name], woken)
	return woken, func() { f.leave(name, woken) }
}

func (f *Followers) leave(name string, woken chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting[name] = slices.DeleteFunc(f.waiting[name], func(c chan struct{}) bool { return c == woken })
	if len(f.waiting[name]) == 0 {
		delete(f.waiting, name)
	}
	if len(f.waiting) == 0 && f.end != nil {
		f.end()
	}
}

// Wake wakes the followers of the names. It does not wait for them: a follower that has yet to act
// on an earlier wake-up will then read everything.
func (f *Followers) Wake(names ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range names {
		for _, woken := range f.waiting[name] {
			select {
			case woken <- struct{}{}:
			default: // it is about to look anyway
			}
		}
	}
}

// Names returns the names that have followers, in no order.
func (f *Followers) Names() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Keys(f.waiting))
}
