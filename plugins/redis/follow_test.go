package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

// following holds a Follow under way.
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
	testwait.NoError(t, func() error {
		if last := f.last.Load(); last != position {
			return fmt.Errorf("followed up to %d, want %d", last, position)
		}
		return nil
	})
}

func subscribers(server *redistest.Server) int {
	return strings.Count(server.MustDo("CLIENT", "LIST", "TYPE", "pubsub"), "\n")
}

// TestFollowAcrossHosts: what one host appends wakes the followers of another. They share one
// connection, which closes with the last of them.
func TestFollowAcrossHosts(t *testing.T) {
	server := redistest.Start(t)
	writer, reader := open(t, server), open(t, server)
	var all []*following
	for app := range 10 {
		for range 3 {
			all = append(all, followApp(t, reader, fmt.Sprintf("app-%d", app)))
		}
	}
	testwait.NoError(t, func() error {
		if n := subscribers(server); n != 1 {
			return fmt.Errorf("%d connections are subscribed, want 1", n)
		}
		return nil
	})
	began := time.Now()
	for i := 1; i <= 20; i++ {
		for app := range 10 {
			mustAppend(t, writer, batch("w", uint64(i), fmt.Sprintf("app-%d", app), i, i))
		}
		for _, f := range all {
			f.reaches(t, uint64(i))
		}
	}
	if took := time.Since(began); took > 5*lookEvery {
		t.Errorf("20 rounds took %s: nobody was woken", took)
	}
	for _, f := range all {
		f.cancel()
		if err := <-f.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	}
	testwait.NoError(t, func() error {
		if n := subscribers(server); n != 0 {
			return fmt.Errorf("%d connections are still subscribed", n)
		}
		return nil
	})
}

// TestFollowOverARestart: a follow ends when Redis does, and another one continues.
func TestFollowOverARestart(t *testing.T) {
	t.Parallel() // it waits
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

// TestAppsNobodyFollows: an app without followers costs no message, and leaves no key.
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

// TestFollowedLogIsLostAtOnce: Redis forgets everything right after an append or at the beginning
// of a follow, even if an append or a delete comes before the plugin looks. The follow ends with an
// error, unlike after a delete, when it continues.
func TestFollowedLogIsLostAtOnce(t *testing.T) {
	t.Parallel() // it waits
	server := redistest.Start(t)
	for name, lose := range map[string]func(t *testing.T, s *storage){
		"flushed": func(*testing.T, *storage) { server.MustDo("FLUSHALL") },
		"flushed, then an append": func(t *testing.T, s *storage) {
			server.MustDo("FLUSHALL")
			mustAppend(t, s, batch("w", 7, "app", 1, 1))
		},
		"flushed after one": func(t *testing.T, s *storage) {
			mustAppend(t, s, batch("w", 7, "app", 6, 6))
			server.MustDo("FLUSHALL")
		},
		"state of another type":   func(*testing.T, *storage) { overwrite(server, stateKey("app"))[1]() },
		"deleted":                 func(t *testing.T, s *storage) { mustDelete(t, s, "app") },
		"deleted after an append": func(t *testing.T, s *storage) { mustAppend(t, s, batch("w", 7, "app", 6, 6)); mustDelete(t, s, "app") },
		"deleted, and then another": func(t *testing.T, s *storage) {
			mustDelete(t, s, "app")
			mustAppend(t, s, batch("w", 7, "app", 1, 1))
			mustDelete(t, s, "app")
		},
	} {
		t.Run(name, func(t *testing.T) {
			server.MustDo("FLUSHALL")
			overwrite(server, followedKey("app"))[1]() // which costs nobody anything
			s, writer := open(t, server), open(t, server)
			mustAppend(t, writer, batch("w", 1, "app", 1, 5))
			f := followApp(t, s, "app")
			f.reaches(t, 5)
			lose(t, writer)
			if strings.HasPrefix(name, "deleted") {
				f.reaches(t, 0)
				mustAppend(t, writer, batch("w", 8, "app", 1, 3))
				f.reaches(t, 3)
				return
			}
			select {
			case err := <-f.ended:
				if !errors.Is(err, sdk.ErrUnavailable) {
					t.Errorf("it ended with %v", err)
				}
			case <-time.After(testwait.Patience):
				t.Fatal("the follow does not end")
			}
			mustAppend(t, writer, batch("w", 9, "app", 7, 9))
			again := followApp(t, s, "app")
			again.reaches(t, readAll(t, s, "app").Last)
		})
	}
}

func mustDelete(t *testing.T, s *storage, app string) {
	t.Helper()
	if err := s.Delete(t.Context(), app); err != nil {
		t.Fatal(err)
	}
}

// TestFollowedLogIsLost: if Redis forgets everything, a follow ends with an error within a second,
// unlike after a delete. If someone removes the key that says that the log is followed, a follower
// still hears of later appends.
func TestFollowedLogIsLost(t *testing.T) {
	t.Parallel() // it waits
	server := redistest.Start(t)
	s, writer := open(t, server), open(t, server)
	mustAppend(t, writer, batch("w", 1, "app", 1, 5))
	f := followApp(t, s, "app")
	f.reaches(t, 5)
	looked := func() error {
		if n := server.MustDo("EXISTS", followedKey("app")); n != "1" {
			return errors.New("nobody looks")
		}
		return nil
	}
	server.MustDo("DEL", followedKey("app"))
	testwait.NoError(t, looked)
	server.MustDo("FLUSHALL")
	began := time.Now()
	select {
	case err := <-f.ended:
		if took := time.Since(began); !errors.Is(err, sdk.ErrUnavailable) || took > 3*time.Second { // generous, for a busy machine
			t.Errorf("it ended after %s: %v", took, err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the follow does not end")
	}
	f = followApp(t, s, "app")
	server.MustDo("DEL", followedKey("app"))
	testwait.NoError(t, looked) // it counts as followed again
	server.MustDo("DEL", followedKey("app"))
	mustAppend(t, writer, batch("w", 2, "app", 1, 3))
	f.reaches(t, 3)
	testwait.NoError(t, looked) // a look from before the key was removed may have woken it
	if err := writer.Delete(t.Context(), "app"); err != nil {
		t.Fatal(err)
	}
	f.reaches(t, 0)
}
