package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

// TestWritersAtOnce: several hosts append to the same apps, and some batches are retried. Each
// host's entries are there once and in order.
func TestWritersAtOnce(t *testing.T) {
	server := redistest.Start(t)
	const hosts, batches, apps, per = 4, 30, 5, 12
	var running sync.WaitGroup
	for h := range hosts {
		s := open(t, server, func(s *Settings) { s.Lines, s.PipelineLength = hosts*batches*per, 20 })
		running.Go(func() {
			for i := range batches {
				b := sdk.Batch{ID: sdk.BatchID{Writer: fmt.Sprint("w", h), Sequence: uint64(i + 1)}}
				for a := range apps {
					entries := numbered(i*per+1, (i+1)*per)
					for j := range entries {
						entries[j].Host = fmt.Sprint(h)
					}
					b.Apps = append(b.Apps, sdk.AppEntries{App: fmt.Sprint("app-", a), Entries: entries})
				}
				if err := s.Append(context.Background(), b); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	s := open(t, server, func(s *Settings) { s.Lines = hosts * batches * per })
	for a := range apps {
		app := fmt.Sprint("app-", a)
		next := map[string]int{}
		for _, e := range readAll(t, s, app).Entries {
			next[e.Host]++
			if e.Message != fmt.Sprint(next[e.Host]) {
				t.Fatalf("%s: of host %s comes %s, want %d", app, e.Host, e.Message, next[e.Host])
			}
		}
		for h := range hosts {
			if n := next[fmt.Sprint(h)]; n != batches*per {
				t.Errorf("%s has %d of host %d, want %d", app, n, h, batches*per)
			}
		}
	}
}

// TestDeadlineWithoutConnection: an append that gets no connection ends at its deadline.
func TestDeadlineWithoutConnection(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server)
	mustAppend(t, s, batch("w", 1, "app", 1, 5))
	single := s.client.(*redis.Client)
	for range connections {
		conn := single.Conn()
		if err := conn.Ping(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	wantUnavailable(t, s, s.Append(ctx, batch("w", 2, "app", 6, 30)))
	if took := time.Since(start); took > time.Second {
		t.Errorf("it took %s, want 100 ms", took)
	}
}

// dials counts connections that are made.
type dials struct{ n atomic.Int64 }

func (d *dials) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		d.n.Add(1)
		return next(ctx, network, addr)
	}
}
func (*dials) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (*dials) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// TestReplicaLosesItsConnection: if a name leads to another master now, the connection to the old
// one, which has become a replica, must not be used for ever.
func TestReplicaLosesItsConnection(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server)
	mustAppend(t, s, batch("w", 1, "app", 1, 20))
	next := redistest.Start(t, "--replicaof", server.Host+" "+strconv.Itoa(server.Port))
	has := func(server *redistest.Server) error {
		if n, err := server.Do("EXISTS", stateKey("app")); err != nil || n != "1" {
			return fmt.Errorf("%s has %q (%w)", server.Addr, n, err)
		}
		return nil
	}
	testwait.NoError(t, func() error { return has(next) })
	next.MustDo("REPLICAOF", "NO", "ONE")
	server.MustDo("REPLICAOF", next.Host, strconv.Itoa(next.Port))
	testwait.NoError(t, func() error {
		if role := server.MustDo("ROLE"); !strings.HasPrefix(role, "slave") || !strings.Contains(role, "connected") {
			return errors.New(role)
		}
		return has(server)
	})
	counted := new(dials)
	s.client.AddHook(counted)
	for i := range uint64(3) {
		if err := s.Append(t.Context(), batch("w", 2+i, "app", 21, 45)); replyCode(err) != "READONLY" {
			t.Fatalf("error is %v", err)
		}
	}
	if n := counted.n.Load(); n < 2 {
		t.Errorf("three appends that a replica refused made %d connections", n)
	}
}

// TestLostBetweenTries: an append fails after part of the batch was stored. Before the next try,
// Redis loses that part, with everything else or by falling back to an older state. The next try
// stores the whole batch.
func TestLostBetweenTries(t *testing.T) {
	server := redistest.Start(t)
	for name, lose := range map[string]func(s *storage){
		"all": func(*storage) { server.MustDo("FLUSHALL") },
		"the last": func(s *storage) {
			mustAppend(t, s, batch("w", 1, "app", 1, 3)) // as on a replica that lags behind
		},
	} {
		server.MustDo("FLUSHALL")
		s := open(t, server, func(s *Settings) { s.PipelineLength, s.PipelineTimeout = 10, time.Nanosecond })
		mustAppend(t, s, batch("w", 1, "app", 1, 3))
		b := batch("w", 2, "app", 4, 33)
		if err := s.Append(t.Context(), b); !errors.Is(err, errLate) {
			t.Fatalf("error is %v, want %v", err, errLate)
		}
		server.MustDo("FLUSHALL")
		lose(open(t, server))
		first := 4
		if name == "the last" {
			first = 1
		}
		testwait.NoError(t, func() error { return s.Append(t.Context(), b) })
		want(t, s, "app", 1, first, 33)
	}
}
