package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deis/logger/client"
	"github.com/deis/logger/client/clienttest"
)

// quick returns options with short pauses between attempts to connect.
func quick(handle func(client.Record) error) client.FollowOptions {
	return client.FollowOptions{Handle: handle, MinBackoff: time.Millisecond, MaxBackoff: 10 * time.Millisecond}
}

var errEnough = errors.New("enough")

// TestFollowerGetsEachLineOnce follows while lines arrive. Every connection is cut somewhere, even
// in the middle of a record.
func TestFollowerGetsEachLineOnce(t *testing.T) {
	const total = 3000
	s := clienttest.New(t)
	for i := range total / 3 {
		s.Append("foo", fmt.Sprint(i))
	}
	s.CutAtRandom(20_000)
	go func() {
		for i := total / 3; i < total; i++ {
			s.Append("foo", fmt.Sprint(i))
		}
	}()
	next, lost, back := 0, 0, 0
	opts := quick(func(r client.Record) error {
		if r.Message != fmt.Sprint(next) {
			return fmt.Errorf("got %q, want %d", r.Message, next)
		}
		if next++; next == total {
			return errEnough
		}
		return nil
	})
	opts.Notice = func(e client.Event) {
		switch e.Kind {
		case client.EventLost:
			lost++
		case client.EventBack:
			back++
		default:
		}
	}
	_, err := newClient(t, client.Options{URL: s.URL}).Follow(t.Context(), "foo", client.Query{Lines: client.AllLines}, opts)
	if !errors.Is(err, errEnough) {
		t.Fatalf("after %d: %v", next, err)
	}
	if lost < 5 || back < lost-1 {
		t.Errorf("%d connections were lost, %d were made again", lost, back)
	}
}

// TestOnlyNewLines loses the connection before any line has come.
func TestOnlyNewLines(t *testing.T) {
	s := clienttest.New(t)
	s.Append("foo", "old")
	cutOnce := true
	opts := quick(func(r client.Record) error {
		if r.Message != "new" {
			t.Errorf("got %q", r.Message)
		}
		return errEnough
	})
	opts.Notice = func(e client.Event) {
		switch e.Kind {
		case client.EventLive:
			if cutOnce {
				cutOnce = false
				s.Drop()
			}
		case client.EventLost:
			s.Append("foo", "new") // while there is no connection
		default:
		}
	}
	cursor, err := newClient(t, client.Options{URL: s.URL}).Follow(t.Context(), "foo", client.Query{}, opts)
	if !errors.Is(err, errEnough) || !strings.HasSuffix(cursor, "-1") {
		t.Errorf("%q, %v", cursor, err)
	}
}

// TestRelativeTimeIsPinned repeats queries for "the last 10 minutes" and "from now on".
func TestRelativeTimeIsPinned(t *testing.T) {
	for _, ago := range []time.Duration{10 * time.Minute, 0} {
		t.Run(ago.String(), func(t *testing.T) {
			s := clienttest.New(t)
			s.Append("foo", "one")
			s.Cut(func() int { return 400 })
			n := 0
			opts := quick(func(client.Record) error {
				if n++; n == 4 {
					return errEnough
				}
				s.Append("foo", "more")
				return nil
			})
			began := time.Now()
			_, err := newClient(t, client.Options{URL: s.URL}).Follow(t.Context(), "foo", client.Query{Lines: -1, Since: client.Ago(ago)}, opts)
			if !errors.Is(err, errEnough) {
				t.Fatal(err)
			}
			var since []string
			for _, r := range s.Requests() {
				since = append(since, r.URL.Query().Get("since"))
			}
			at, err := time.Parse(time.RFC3339Nano, since[len(since)-1])
			if off := at.Sub(began.Add(-ago)); since[0] != ago.String() || err != nil || off < -2*time.Second || off > time.Minute {
				t.Errorf("since %q", since)
			}
		})
	}
}

// TestNowIsWhenItWasSaid follows from now on, while the logger is not ready for some time. Lines
// that the app prints meanwhile have to come.
func TestNowIsWhenItWasSaid(t *testing.T) {
	s := clienttest.New(t)
	s.Append("foo", "one")
	var began, asked time.Time
	s.Answer(func(w http.ResponseWriter, _ *http.Request) bool {
		if asked = time.Now(); began.IsZero() {
			began = asked
		}
		if asked.Sub(began) > 300*time.Millisecond {
			return false
		}
		clienttest.Refuse(w, http.StatusServiceUnavailable, "storage_away", "redis is starting")
		return true
	})
	opts := quick(func(client.Record) error { return errEnough })
	_, err := newClient(t, client.Options{URL: s.URL}).Follow(t.Context(), "foo", client.Query{Lines: -1, Since: client.Ago(0), Until: client.Ago(time.Hour)}, opts)
	if !errors.Is(err, errEnough) {
		t.Fatal(err)
	}
	all := s.Requests()
	q := all[len(all)-1].URL.Query()
	since, err := time.ParseDuration(q.Get("since"))
	until, err2 := time.ParseDuration(q.Get("until"))
	if off := asked.Sub(began) - since; err != nil || err2 != nil || off.Abs() > 200*time.Millisecond || until != since+time.Hour {
		t.Errorf("since %q, until %q, asked %s after the first attempt", q["since"], q["until"], asked.Sub(began))
	}
}

func TestAppThatComesLater(t *testing.T) {
	s := clienttest.New(t)
	var events []client.EventKind
	opts := quick(func(r client.Record) error {
		if r.Message != "first" {
			t.Errorf("got %q", r.Message)
		}
		return errEnough
	})
	opts.Notice = func(e client.Event) {
		if events = append(events, e.Kind); e.Kind == client.EventNoApp {
			s.Append("foo", "first") // before the next attempt
		}
	}
	_, err := newClient(t, client.Options{URL: s.URL}).Follow(t.Context(), "foo", client.Query{Lines: 0}, opts)
	if !errors.Is(err, errEnough) || len(events) == 0 || events[0] != client.EventNoApp {
		t.Errorf("%v, %v", events, err)
	}
}

func TestWhatEndsAFollowing(t *testing.T) {
	s := clienttest.New(t)
	s.Append("foo", "one")
	c := newClient(t, client.Options{URL: s.URL})
	ignore := quick(func(client.Record) error { return nil })
	once := ignore
	once.NoReconnect = true

	s.Answer(func(w http.ResponseWriter, _ *http.Request) bool {
		clienttest.Refuse(w, http.StatusUnauthorized, "unauthorized", "no token")
		return true
	})
	if _, err := c.Follow(t.Context(), "foo", client.Query{}, ignore); !client.HasCode(err, client.CodeUnauthorized) {
		t.Errorf("refused: %v", err)
	}
	s.Answer(func(w http.ResponseWriter, _ *http.Request) bool {
		clienttest.Refuse(w, http.StatusServiceUnavailable, "storage_away", "away")
		return true
	})
	if _, err := c.Follow(t.Context(), "foo", client.Query{}, once); !client.HasCode(err, client.CodeStorageAway) {
		t.Errorf("not ready: %v", err)
	}
	s.Answer(nil)
	s.End("stopping")
	var ended *client.EndedError
	cursor, err := c.Follow(t.Context(), "foo", client.Query{Lines: 5}, once)
	if !errors.As(err, &ended) || ended.Reason != "stopping" || !strings.HasSuffix(cursor, "-1") {
		t.Errorf("ended: %q, %v", cursor, err)
	}
	s.End("")
	s.Cut(func() int { return 250 })
	var lost *client.LostError
	if _, err := c.Follow(t.Context(), "foo", client.Query{Lines: 5}, once); !errors.As(err, &lost) {
		t.Errorf("cut: %v", err)
	}
	s.Cut(nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stopped by the user")
	until := ignore
	until.Notice = func(client.Event) { cancel(stop) }
	if _, err := c.Follow(ctx, "foo", client.Query{Lines: 5}, until); !errors.Is(err, stop) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestNotReadyIsWaitedFor begins to follow while the storage is unavailable.
func TestNotReadyIsWaitedFor(t *testing.T) {
	s := clienttest.New(t)
	s.Append("foo", "one")
	var asked atomic.Int32
	s.Answer(func(w http.ResponseWriter, _ *http.Request) bool {
		if asked.Add(1) > 5 {
			return false
		}
		clienttest.Refuse(w, http.StatusServiceUnavailable, "storage_away", "redis is starting")
		return true
	})
	var events []client.EventKind
	opts := quick(func(client.Record) error { return errEnough })
	opts.Notice = func(e client.Event) { events = append(events, e.Kind) }
	_, err := newClient(t, client.Options{URL: s.URL}).Follow(t.Context(), "foo", client.Query{Lines: 5}, opts)
	if !errors.Is(err, errEnough) || fmt.Sprint(events) != fmt.Sprint([]client.EventKind{client.EventNotReady, client.EventBack}) {
		t.Errorf("%v, %v", events, err)
	}
}

// TestSilentConnectionIsLeft follows a server that falls silent without closing the connection.
func TestSilentConnectionIsLeft(t *testing.T) {
	s := clienttest.New(t)
	s.Append("foo", "one")
	var silent atomic.Bool
	silent.Store(true)
	s.Answer(func(w http.ResponseWriter, r *http.Request) bool {
		if !silent.Swap(false) {
			return false
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		return true
	})
	opts := quick(func(client.Record) error { return errEnough })
	opts.Silence = 50 * time.Millisecond
	var why error
	opts.Notice = func(e client.Event) {
		if e.Kind == client.EventLost {
			why = e.Err
		}
	}
	_, err := newClient(t, client.Options{URL: s.URL}).Follow(t.Context(), "foo", client.Query{Lines: 5}, opts)
	if !errors.Is(err, errEnough) || why == nil || !strings.Contains(why.Error(), "no sign of life") {
		t.Errorf("%v; lost for %v", err, why)
	}
}

// TestIdleComesAfterEachBurst checks what a writer with a buffer relies on.
func TestIdleComesAfterEachBurst(t *testing.T) {
	s := clienttest.New(t)
	for i := range 1000 {
		s.Append("foo", fmt.Sprint(i))
	}
	handled, idle := 0, 0
	opts := quick(func(client.Record) error { handled++; return nil })
	opts.Idle = func() error {
		if idle++; handled == 1000 {
			return errEnough
		}
		return nil
	}
	_, err := newClient(t, client.Options{URL: s.URL}).Follow(t.Context(), "foo", client.Query{Lines: -1}, opts)
	if !errors.Is(err, errEnough) || idle > 500 {
		t.Errorf("%v; idle %d times in %d records", err, idle, handled)
	}
}
