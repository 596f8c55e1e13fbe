package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

// TestReplyLost: the connection breaks after Redis has done its work. The batch is stored once,
// however often that happens.
func TestReplyLost(t *testing.T) {
	server := redistest.Start(t)
	p := startProxy(t, server)
	direct := open(t, server)
	for _, length := range []int{50, 4} {
		server.MustDo("FLUSHALL")
		s := open(t, p.Server, func(s *Settings) { s.PipelineLength = length })
		mustAppend(t, s, batch("w", 1, "foo", 1, 1))
		b := batch("w", 2, "foo", 2, 11)
		b.Apps = append(b.Apps, sdk.AppEntries{App: "bar", Entries: numbered(1, 7)})

		p.lose.Store(true)
		for range 3 {
			wantUnavailable(t, s, s.Append(t.Context(), b))
		}
		if p.lost.Load() == 0 {
			t.Fatal("no reply was lost")
		}
		if n := len(readAll(t, direct, "foo").Entries); n <= 1 {
			t.Fatalf("Redis has %d entries: the test lost requests, not replies", n)
		}
		p.lose.Store(false)
		mustAppend(t, s, b)
		want(t, s, "foo", 1, 1, 11)
		want(t, s, "bar", 1, 1, 7)
	}
}

// TestScriptsFlushed: Redis forgets its scripts again and again during an append.
func TestScriptsFlushed(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server, func(s *Settings) { s.PipelineLength = 3 })
	mustAppend(t, s, batch("w", 1, "app", 1, 10))
	page := readAll(t, s, "app")
	server.MustDo("SCRIPT", "FLUSH")
	mustAppend(t, s, batch("w", 2, "app", 11, 20))
	server.MustDo("SCRIPT", "FLUSH")
	rest, err := s.Read(t.Context(), sdk.ReadOptions{App: "app", Limit: -1, After: page.End()})
	if err != nil || len(rest.Entries) != 10 || rest.Entries[0].Position != 11 {
		t.Fatalf("%d entries (%v)", len(rest.Entries), err)
	}
	watch(s).after = func(err error) error {
		server.MustDo("SCRIPT", "FLUSH")
		return err
	}
	for i := range 20 {
		mustAppend(t, s, batch("w", uint64(3+i), "app", 21+10*i, 30+10*i))
	}
	want(t, s, "app", 1, 1, 220)
}

// TestRestart: Redis comes back empty. Later appends begin another epoch, even if they repeat a
// batch that was stored before.
func TestRestart(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server)
	mustAppend(t, s, batch("w", 1, "app", 1, 10))
	before := readAll(t, s, "app")
	server.Stop()
	for range 2 * connections {
		wantUnavailable(t, s, s.Append(t.Context(), batch("w", 2, "app", 11, 12)))
	}
	_, err := s.Read(t.Context(), sdk.ReadOptions{App: "app", Limit: 1})
	wantUnavailable(t, s, err)
	wantUnavailable(t, s, s.Delete(t.Context(), "app"))
	_, err = s.Apps(t.Context(), "", 0)
	wantUnavailable(t, s, err)
	err = s.Check(t.Context())
	wantUnavailable(t, s, err)
	if !contains(err.Error(), "refused") {
		t.Errorf("Check says %q", err)
	}

	server.Restart()
	testwait.NoError(t, func() error { return s.Append(t.Context(), batch("w", 2, "app", 11, 12)) })
	page := want(t, s, "app", 1, 11, 12)
	if page.Epoch == before.Epoch {
		t.Errorf("epoch is still %x", page.Epoch)
	}
}

// TestLostInTheMiddle: Redis stores part of a batch, and comes back without it. The next try stores
// the whole batch.
func TestLostInTheMiddle(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server, func(s *Settings) { s.PipelineLength = 3 })
	server.MustDo("SCRIPT", "LOAD", appendScript)
	n := 0
	watch(s).after = func(err error) error {
		if n++; n == 2 {
			server.Stop()
		}
		return err
	}
	b := batch("w", 1, "app", 1, 12)
	wantUnavailable(t, s, s.Append(t.Context(), b))
	server.Restart()
	testwait.NoError(t, func() error { return s.Append(t.Context(), b) })
	want(t, s, "app", 1, 1, 12)
}

// TestRestartBetweenCalls: connections that died while idle make no call fail.
func TestRestartBetweenCalls(t *testing.T) {
	server := redistest.Start(t, "--appendonly", "yes", "--appendfsync", "always")
	s := open(t, server)
	mustAppend(t, s, batch("w", 1, "app", 1, 10))
	page := readAll(t, s, "app")
	server.Restart()
	if again := want(t, s, "app", 1, 1, 10); again.Epoch != page.Epoch {
		t.Errorf("epoch went from %x to %x though Redis had kept it", page.Epoch, again.Epoch)
	}
	server.Restart()
	mustAppend(t, s, batch("w", 1, "app", 1, 10)) // a repetition
	mustAppend(t, s, batch("w", 2, "app", 11, 12))
	want(t, s, "app", 1, 1, 12)
}

// TestFull: Redis has no room. What a pipeline has of an app is stored whole or not at all.
// What is missing is stored once there is room.
func TestFull(t *testing.T) {
	server := redistest.Start(t, "--maxmemory-policy", "noeviction")
	s := open(t, server)
	var used int
	for line := range strings.Lines(server.MustDo("INFO", "memory")) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory:"); ok {
			used, _ = strconv.Atoi(n)
		}
	}
	server.MustDo("CONFIG", "SET", "maxmemory", strconv.Itoa(used+1<<20))
	const apps, per = 40, 10
	numberedBatch := func(sequence int) sdk.Batch {
		b := sdk.Batch{ID: sdk.BatchID{Writer: "w", Sequence: uint64(sequence)}}
		for i := range apps {
			entries := numbered((sequence-1)*per+1, sequence*per)
			for j := range entries {
				entries[j].Host = strings.Repeat("h", 500)
			}
			b.Apps = append(b.Apps, sdk.AppEntries{App: fmt.Sprint("app-", i), Entries: entries})
		}
		return b
	}
	sequence := 1
	var err error
	for ; err == nil; sequence++ {
		err = s.Append(t.Context(), numberedBatch(sequence))
	}
	sequence--
	if !errors.Is(err, sdk.ErrFull) || !contains(err.Error(), server.Addr) {
		t.Fatalf("batch %d: %v, want %v", sequence, err, sdk.ErrFull)
	}
	// The memory that Redis needed to read the batch is free again, so a probe may fit.
	server.MustDo("CONFIG", "SET", "maxmemory", strconv.Itoa(used))
	if err := s.Check(t.Context()); !errors.Is(err, sdk.ErrFull) {
		t.Errorf("Check: %v, want %v", err, sdk.ErrFull)
	}
	if err := s.Append(t.Context(), numberedBatch(sequence)); !errors.Is(err, sdk.ErrFull) {
		t.Errorf("again: %v, want %v", err, sdk.ErrFull)
	}
	for i := range apps {
		page := readAll(t, s, fmt.Sprint("app-", i)) // a full Redis still answers reads
		if n := len(page.Entries); n != (sequence-1)*per && n != sequence*per || page.End().Position != uint64(n) {
			t.Errorf("app %d has %d entries up to position %d after batch %d", i, n, page.End().Position, sequence)
		}
	}
	server.MustDo("CONFIG", "SET", "maxmemory", "0")
	mustAppend(t, s, numberedBatch(sequence))
	for i := range apps {
		page := readAll(t, s, fmt.Sprint("app-", i))
		if n := len(page.Entries); n != sequence*per {
			t.Errorf("app %d has %d entries, want %d", i, n, sequence*per)
		}
		for j, e := range page.Entries {
			if e.Message != fmt.Sprint(j+1) {
				t.Fatalf("app %d: entry %d is %q", i, j, e.Message)
			}
		}
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestReplica: a replica accepts no appends, Check says so, and reads work.
func TestReplica(t *testing.T) {
	master := redistest.Start(t)
	replica := redistest.Start(t, "--replicaof", master.Host+" "+strconv.Itoa(master.Port))
	on := open(t, master)
	mustAppend(t, on, batch("w", 1, "app", 1, 5))
	s := open(t, replica)
	testwait.NoError(t, func() error {
		page, err := s.Read(t.Context(), sdk.ReadOptions{App: "app", Limit: -1})
		if err == nil && len(page.Entries) != 5 {
			err = fmt.Errorf("%d entries", len(page.Entries))
		}
		return err
	})
	wantUnavailable(t, s, s.Append(t.Context(), batch("w", 2, "app", 6, 7)))
	wantUnavailable(t, s, s.Delete(t.Context(), "app"))
	err := s.Check(t.Context())
	wantUnavailable(t, s, err)
	if !contains(err.Error(), "READONLY") || contains(err.Error(), "\n") {
		t.Errorf("Check says %q", err)
	}
	page := want(t, s, "app", 1, 1, 5)
	if page.Epoch != readAll(t, on, "app").Epoch {
		t.Error("the replica has another epoch")
	}
	// The replica takes over. It has no scripts, but has the marks.
	replica.MustDo("REPLICAOF", "NO", "ONE")
	mustAppend(t, s, batch("w", 1, "app", 1, 5))
	mustAppend(t, s, batch("w", 2, "app", 6, 7))
	want(t, s, "app", 1, 1, 7)
}

// TestFrozen: no call waits for a frozen Redis longer than its deadline, or than our own timeout.
// When Redis thaws, it carries out the requests once.
func TestFrozen(t *testing.T) {
	t.Parallel() // it waits
	server := redistest.Start(t)
	s := open(t, server)
	mustAppend(t, s, batch("w", 1, "app", 1, 10))
	b := batch("w", 2, "app", 11, 20)
	calls := map[string]func(context.Context) error{
		"Append": func(ctx context.Context) error { return s.Append(ctx, b) },
		"Check":  s.Check,
		"Read": func(ctx context.Context) error {
			_, err := s.Read(ctx, sdk.ReadOptions{App: "app", Limit: -1})
			return err
		},
		"Apps": func(ctx context.Context) error {
			_, err := s.Apps(ctx, "", 0)
			return err
		},
	}
	server.Signal(syscall.SIGSTOP)
	for name, call := range calls {
		for _, deadline := range []time.Duration{50 * time.Millisecond, 0} {
			ctx, cancel := context.WithCancel(t.Context())
			// The limit leaves room for a busy machine.
			limit := readTimeout + dialTimeout
			if deadline > 0 {
				cancel()
				ctx, cancel = context.WithTimeout(t.Context(), deadline)
				limit = deadline + dialTimeout
			} else if name == "Check" {
				limit = time.Second
			}
			start := time.Now()
			err := call(ctx)
			cancel()
			if took := time.Since(start); took > limit {
				t.Errorf("%s with a deadline of %s took %s", name, deadline, took)
			}
			wantUnavailable(t, s, err)
		}
	}
	server.Signal(syscall.SIGCONT)
	testwait.NoError(t, func() error { return s.Append(t.Context(), b) })
	mustAppend(t, s, batch("w", 3, "app", 21, 25))
	want(t, s, "app", 1, 1, 25)
}

// TestUnreachable: if nobody answers at the address, Open succeeds, and everything else soon fails.
func TestUnreachable(t *testing.T) {
	t.Parallel() // it waits
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := openWith(t, Settings{Mode: single, Host: "127.0.0.1", Port: port, Lines: 10, PipelineLength: 50}, sdk.Host{})
	start := time.Now()
	err = s.Check(t.Context())
	wantUnavailable(t, s, err)
	if took := time.Since(start); took > time.Second {
		t.Errorf("Check took %s", took)
	}
	s = openWith(t, Settings{Mode: single, Host: "no-such-host.invalid", Port: port}, sdk.Host{})
	wantUnavailable(t, s, s.Check(t.Context()))
}
