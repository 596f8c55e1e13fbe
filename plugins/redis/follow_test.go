package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/sdk"
)

// following is a Follow under way.
type following struct {
	cancel context.CancelFunc
	last   atomic.Uint64 // position
	ended  chan error
}

func followApp(t *testing.T, s *storage, app string) *following {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &following{cancel: cancel, ended: make(chan error, 1)}
	go func() {
		f.ended <- s.Follow(ctx, app, sdk.Beginning(), func(p sdk.Page) error {
			f.last.Store(p.End().Position)
			return nil
		})
	}()
	t.Cleanup(cancel)
	return f
}

func (f *following) reaches(t *testing.T, position uint64) {
	t.Helper()
	eventually(t, func() error {
		if last := f.last.Load(); last != position {
			return fmt.Errorf("followed up to %d, want %d", last, position)
		}
		return nil
	})
}

func subscribers(server *redistest.Server) int {
	return strings.Count(server.MustDo("CLIENT", "LIST", "TYPE", "pubsub"), "\n")
}

// TestFollowAcrossHosts: what one host appends wakes the followers of another, over one
// connection for all of them, which is gone with the last.
func TestFollowAcrossHosts(t *testing.T) {
	server := redistest.Start(t)
	writer, reader := open(t, server), open(t, server)
	var all []*following
	for app := range 10 {
		for range 3 {
			all = append(all, followApp(t, reader, fmt.Sprintf("app-%d", app)))
		}
	}
	eventually(t, func() error {
		if n := subscribers(server); n != 1 {
			return fmt.Errorf("%d connections are subscribed, want 1", n)
		}
		return nil
	})
	for i := 1; i <= 20; i++ {
		began := time.Now()
		for app := range 10 {
			mustAppend(t, writer, batch("w", uint64(i), fmt.Sprintf("app-%d", app), i, i))
		}
		for _, f := range all {
			f.reaches(t, uint64(i))
		}
		if took := time.Since(began); took > lookEvery-time.Second {
			t.Errorf("round %d took %s: nobody was woken", i, took)
		}
	}
	for _, f := range all {
		f.cancel()
		if err := <-f.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	}
	eventually(t, func() error {
		if n := subscribers(server); n != 0 {
			return fmt.Errorf("%d connections are still subscribed", n)
		}
		return nil
	})
}

// TestFollowOverARestart: a follow ends when Redis goes, and another one goes on.
func TestFollowOverARestart(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server)
	f := followApp(t, s, "foo")
	mustAppend(t, s, batch("w", 1, "foo", 1, 3))
	f.reaches(t, 3)
	server.Restart()
	if err := <-f.ended; !errors.Is(err, sdk.ErrUnavailable) {
		t.Errorf("it ended with %v, want %v", err, sdk.ErrUnavailable)
	}
	f = followApp(t, s, "foo")
	mustAppend(t, s, batch("w", 2, "foo", 1, 2))
	f.reaches(t, 2)
}

// TestAppsNobodyFollows cost no message, and keep no key.
func TestAppsNobodyFollows(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server)
	f := followApp(t, s, "followed")
	mustAppend(t, s, batch("w", 1, "followed", 1, 1))
	f.reaches(t, 1)
	mustAppend(t, s, batch("w", 2, "other", 1, 1))
	if n := server.MustDo("EXISTS", followedKey("other")); n != "0" {
		t.Errorf("an app that nobody follows counts as followed: %s", n)
	}
	if ttl := server.MustDo("TTL", followedKey("followed")); ttl == "-1" || ttl == "-2" {
		t.Errorf("the key of a followed app lives for %s", ttl)
	}
}

// TestLookWakesWhoseLogChanged: a look at all followed apps finds what nobody told of,
// and costs nobody a read where nothing changed.
func TestLookWakesWhoseLogChanged(t *testing.T) {
	server := redistest.Start(t)
	s, writer := open(t, server), open(t, server)
	wakes := map[string]chan struct{}{"busy": make(chan struct{}, 1), "quiet": make(chan struct{}, 1), "unborn": make(chan struct{}, 1)}
	mustAppend(t, writer, batch("w", 1, "quiet", 1, 1))
	mustAppend(t, writer, batch("w", 1, "busy", 1, 1))
	var n *session
	for app, wake := range wakes {
		var err error
		if n, err = s.wakes.join(t.Context(), s, app, wake); err != nil {
			t.Fatal(err)
		}
		defer s.wakes.leave(n, app, wake)
		<-wake // the subscription is confirmed
	}
	var known map[string]string
	look := func(want ...string) {
		t.Helper()
		found, err := n.renew(t.Context(), known)
		if err != nil {
			t.Fatal(err)
		}
		known = found
		for app, wake := range wakes {
			select {
			case <-wake:
				if !slices.Contains(want, app) {
					t.Errorf("%s was woken, want %q", app, want)
				}
			default:
				if slices.Contains(want, app) {
					t.Errorf("%s was not woken", app)
				}
			}
		}
	}
	look("busy", "quiet", "unborn") // what they were before is not known
	look()
	// Somebody removes the key that says that the app is followed: no append tells of itself.
	server.MustDo("DEL", followedKey("busy"), followedKey("unborn"))
	mustAppend(t, writer, batch("w", 2, "busy", 2, 2))
	mustAppend(t, writer, batch("w", 2, "unborn", 1, 1))
	look("busy", "unborn")
	look()
	if ttl := server.MustDo("TTL", followedKey("busy")); ttl == "-2" {
		t.Error("the app does not count as followed again")
	}
	if err := writer.Delete(t.Context(), "quiet"); err != nil {
		t.Fatal(err)
	}
	look("quiet")
}

// TestFollowerGoesAsItComes: one that goes just when it makes the connection that all share
// takes it from nobody.
func TestFollowerGoesAsItComes(t *testing.T) {
	s := open(t, redistest.Start(t))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var second *following
	var once sync.Once
	s.client.AddHook(beside{command: "set", after: func() {
		once.Do(func() {
			second = followApp(t, s, "app")
			eventually(t, func() error {
				s.wakes.mu.Lock()
				session := s.wakes.session
				s.wakes.mu.Unlock()
				session.mu.Lock()
				defer session.mu.Unlock()
				if n := len(session.waiting[followedKey("app")]); n != 2 {
					return fmt.Errorf("%d followers wait, want 2", n)
				}
				return nil
			})
			cancel()
		})
	}})
	err := s.Follow(ctx, "app", sdk.Beginning(), func(sdk.Page) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("the first ended with %v, want that it was cancelled", err)
	}
	mustAppend(t, s, batch("w", 1, "app", 1, 1))
	second.reaches(t, 1)
	select {
	case err := <-second.ended:
		t.Errorf("the second ended with %v", err)
	default:
	}
}
