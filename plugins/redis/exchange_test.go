package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/sdk"
)

// stateOf is what Redis has of an app, after a look at whether list and state agree.
func stateOf(t *testing.T, s *storage, app string) (log state, marks string) {
	t.Helper()
	text := s.client.Get(t.Context(), stateKey(app)).Val()
	log, ok := parseState(text)
	if !ok {
		t.Fatalf("%q is no state", text)
	}
	elements := s.client.LRange(t.Context(), blocksKey(app), 0, -1).Val()
	var total, blocks uint64
	for i := 1; i < len(elements); i += 2 {
		total, blocks = total+uint64(count(elements[i])), blocks+1
	}
	if log.total != total || log.blocks != blocks || log.first != uint64(count(elements[1])) {
		t.Fatalf("%+v of a list of %d entries in %d blocks, the first of %s", log, total, blocks, elements[1])
	}
	if log.kept > uint64(s.settings.Lines) || log.total-log.kept > log.first+log.kept/slack {
		t.Fatalf("%+v is too long for %d lines", log, s.settings.Lines)
	}
	return log, text[stateHead:]
}

// TestTransactionsDoAsTheScript: the plugin works out of a log what the script would, and
// keeps it as short.
func TestTransactionsDoAsTheScript(t *testing.T) {
	server := redistest.Start(t)
	for seed := range uint64(6) {
		random := rand.New(rand.NewPCG(seed, 1))
		server.MustDo("FLUSHALL")
		lines := 1 + random.IntN(300)
		opened := func(length int, scripted bool) *storage {
			s := open(t, server, func(s *Settings) { s.Lines, s.PipelineLength = lines, length })
			s.scripted.Store(scripted)
			return s
		}
		length := 1 + random.IntN(120)
		plain, script := opened(length, false), opened(length, true)
		sent := countCommand(plain, "mset")
		last := 0
		for i := range uint64(60) {
			n := 1 + random.IntN(1+random.IntN(150))
			writer := fmt.Sprint("w", random.IntN(20))
			entries := numbered(last+1, last+n)
			filler := sdk.AppEntries{App: "filler", Entries: numbered(1, smallAppend)} // so that no append is small
			mustAppend(t, plain, sdk.Batch{ID: sdk.BatchID{Writer: writer, Sequence: i + 1}, Apps: []sdk.AppEntries{{App: "plain", Entries: entries}, filler}})
			mustAppend(t, script, sdk.Batch{ID: sdk.BatchID{Writer: writer, Sequence: i + 1}, Apps: []sdk.AppEntries{{App: "script", Entries: entries}}})
			last += n
			got, gotMarks := stateOf(t, plain, "plain")
			should, marks := stateOf(t, script, "script")
			if got.last != should.last || got.kept != should.kept || gotMarks != marks {
				t.Fatalf("seed %d: %+v %q, want %+v %q", seed, got, gotMarks, should, marks)
			}
		}
		if sent() < 60 {
			t.Errorf("seed %d: only %d transactions", seed, sent())
		}
		want(t, plain, "plain", uint64(last-min(last, lines)+1), last-min(last, lines)+1, last)
	}
}

// beside calls what is not nil before and after each pipeline that has the command.
type beside struct {
	command       string
	before, after func()
}

func (beside) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (beside) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (h beside) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		has := slices.ContainsFunc(commands, func(c redis.Cmder) bool { return c.Name() == h.command })
		if has && h.before != nil {
			h.before()
		}
		err := next(ctx, commands)
		if has && h.after != nil {
			h.after()
		}
		return err
	}
}

func countCommand(s *storage, command string) (sent func() int) {
	var mu sync.Mutex
	n := 0
	s.client.AddHook(beside{command: command, before: func() {
		mu.Lock()
		defer mu.Unlock()
		n++
	}})
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

// TestConflict: whatever happens to a log between the look at it and the transaction, the
// batch is stored once, and what happened stays.
func TestConflict(t *testing.T) {
	server := redistest.Start(t)
	other := open(t, server)
	const n = smallAppend + 2
	for name, c := range map[string]struct {
		do         func()
		position   uint64
		first, end int
		plain      bool // no script
		gone       bool // the epoch
	}{
		"another append":       {func() { mustAppend(t, other, batch("v", 1, "app", 6, 7)) }, 1, 1, 7 + n, false, false},
		"the same append":      {func() { mustAppend(t, other, batch("w", 2, "app", 6, 5+n)) }, 1, 1, 5 + n, false, false},
		"a part of it":         {func() { mustAppend(t, other, batch("w", 2, "app", 6, 8)) }, 1, 1, 5 + n, false, false},
		"a delete":             {func() { _ = other.Delete(t.Context(), "app") }, 1, 6, 5 + n, false, true},
		"all is gone":          {func() { server.MustDo("FLUSHALL") }, 1, 6, 5 + n, false, true},
		"the list is evicted":  {func() { server.MustDo("DEL", blocksKey("app")) }, 6, 6, 5 + n, false, false},
		"the state is evicted": {func() { server.MustDo("DEL", stateKey("app")) }, 1, 1, 5 + n, true, false},
		"something is pushed":  {func() { server.MustDo("RPUSH", blocksKey("app"), "stray") }, 1, 1, 5 + n, false, false},
		"nothing":              {func() {}, 1, 1, 5 + n, true, false},
		"somebody follows": {func() {
			f := followApp(t, other, "app")
			f.reaches(t, 5)
			f.cancel()
			select {
			case err := <-f.ended:
				if !errors.Is(err, context.Canceled) {
					t.Errorf("the follower ended with %v", err)
				}
			case <-time.After(patience):
				t.Error("the follower does not end")
			}
		}, 1, 1, 5 + n, false, false},
		"only another app's is": {func() { mustAppend(t, other, batch("v", 1, "another", 6, 7)) }, 1, 1, 5 + n, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			server.MustDo("FLUSHALL")
			s := open(t, server)
			mustAppend(t, s, batch("w", 1, "app", 1, 5))
			epoch := readAll(t, s, "app").Epoch
			var once sync.Once
			s.client.AddHook(beside{command: "mset", before: func() { once.Do(c.do) }})
			scripts := countCommand(s, "evalsha")
			first := 6
			if name == "another append" {
				first = 8
			}
			mustAppend(t, s, batch("w", 2, "app", first, first+n-1))
			if (scripts() == 0) != c.plain {
				t.Errorf("%d scripts", scripts())
			}
			page := want(t, s, "app", c.position, c.first, c.end)
			if (page.Epoch != epoch) != c.gone {
				t.Errorf("epoch %x after %x", page.Epoch, epoch)
			}
			stateOf(t, s, "app")
			mustAppend(t, s, batch("w", 2, "app", first, first+n-1))
			want(t, s, "app", c.position, c.first, c.end)
		})
	}
}

// TestWritersAtOnce: several hosts append to the same apps. Each one's entries are there
// once and in order.
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
		stateOf(t, s, app)
	}
}

// TestNothingStaysWatched: a lane that stops between look and transaction does not leave
// its connection, which others use next, with something to trip over.
func TestNothingStaysWatched(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server, func(s *Settings) { s.PipelineLength, s.PipelineTimeout = 3, time.Nanosecond })
	other := open(t, server)
	mustAppend(t, other, batch("w", 1, "app", 1, 5))
	looks := countCommand(s, "watch")
	if err := s.Append(t.Context(), batch("w", 2, "app", 6, 30)); !errors.Is(err, errLate) {
		t.Fatalf("error is %v, want %v", err, errLate)
	}
	if looks() < 2 {
		t.Fatal("it did not look at what it would have stored next")
	}
	mustAppend(t, other, batch("w", 3, "app", 9, 9))
	for range 3 {
		want(t, s, "app", 1, 1, 9)
	}
}

// TestStoppedKeepsNothing: what is remembered of an append that was too slow is not in the memory
// of its batch, which is used again.
func TestStoppedKeepsNothing(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server, func(s *Settings) { s.PipelineLength, s.PipelineTimeout = 3, time.Nanosecond })
	memory := []byte("wapp")
	b := batch("w", 1, "app", 1, 30)
	b.ID.Writer, b.Apps[0].App = unsafe.String(&memory[0], 1), unsafe.String(&memory[1], 3)
	if err := s.Append(t.Context(), b); !errors.Is(err, errLate) {
		t.Fatalf("error is %v, want %v", err, errLate)
	}
	copy(memory, "????")
	if done := s.resume(batch("w", 1, "app", 1, 30)); done[0] == 0 {
		t.Error("it does not know how far it came")
	}
}

// TestScriptedMeanwhile: another lane finds out that Redis is a node of a cluster, after this
// one has made its pipeline and before it looks.
func TestScriptedMeanwhile(t *testing.T) {
	s := open(t, redistest.Start(t))
	a := &appending{
		storage: s, batch: batch("w", 1, "app", 1, 20), done: make([]int, 1), resumed: make([]int, 1), byScript: make([]bool, 1),
		writer: " w\n", sequence: fmt.Sprintf("%020d", 1),
	}
	l := &lane{appending: a, apps: []int{0}}
	this, next := new(pipeline), new(pipeline)
	l.fill(this, place{})
	s.scripted.Store(true)
	if err := l.exchange(t.Context(), this, next); err != nil {
		t.Fatal(err)
	}
	want(t, s, "app", 1, 1, 20)
}

// TestFollowedBetween: who begins to follow between look and transaction is woken by it.
func TestFollowedBetween(t *testing.T) {
	server := redistest.Start(t)
	s, other := open(t, server), open(t, server)
	mustAppend(t, s, batch("w", 1, "app", 1, 5))
	end := readAll(t, s, "app").End()
	seen := make(chan error, 1)
	found := errors.New("found")
	reads := countCommand(other, "lrange")
	var once sync.Once
	s.client.AddHook(beside{command: "mset", before: func() {
		once.Do(func() {
			go func() {
				seen <- other.Follow(t.Context(), "app", end, func(page sdk.Page) error {
					if len(page.Entries) > 0 {
						return found
					}
					return nil
				})
			}()
			eventually(t, func() error {
				if n := server.MustDo("PUBSUB", "NUMSUB", followedKey("app")); !strings.HasSuffix(n, "1") {
					return fmt.Errorf("%q follow", n)
				}
				return nil
			})
			eventually(t, func() error { // once as it begins, and once as it is subscribed
				if n := reads(); n < 2 {
					return fmt.Errorf("it has read %d times", n)
				}
				return nil
			})
		})
	}})
	mustAppend(t, s, batch("w", 2, "app", 6, 20))
	select {
	case err := <-seen:
		if !errors.Is(err, found) {
			t.Fatal(err)
		}
	case <-time.After(lookEvery / 2):
		t.Error("it was not woken")
	}
}

// sentBy is how many bytes Redis has sent.
func sentBy(t *testing.T, server *redistest.Server) int {
	t.Helper()
	for line := range strings.Lines(server.MustDo("INFO", "stats")) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "total_net_output_bytes:"); ok {
			bytes, err := strconv.Atoi(n)
			if err != nil {
				t.Fatal(err)
			}
			return bytes
		}
	}
	t.Fatal("Redis does not say what it sent")
	return 0
}

// TestReadsOfLongEntries: whatever is asked for, and whatever was asked before, Redis sends
// about as much as a page has.
func TestReadsOfLongEntries(t *testing.T) {
	server := redistest.Start(t)
	writer := open(t, server, func(s *Settings) { s.Lines, s.PipelineTimeout = 2000, 0 })
	b := batch("w", 1, "app", 1, 2000)
	for i := range b.Apps[0].Entries {
		b.Apps[0].Entries[i].Message = strings.Repeat("x", 16<<10)
	}
	mustAppend(t, writer, b)
	s := open(t, server)
	epoch := readAll(t, s, "app").Epoch
	fresh := func() { s.shapes = shapes{} }
	at := func(position uint64) sdk.Cursor { return sdk.Cursor{Epoch: epoch, Position: position} }
	for name, c := range map[string]struct {
		before func()
		opts   sdk.ReadOptions
	}{
		"from far behind": {fresh, sdk.ReadOptions{Limit: 2000, After: at(1)}},
		"all but a few":   {fresh, sdk.ReadOptions{Limit: 2000, Known: at(9)}},
		"the newest":      {fresh, sdk.ReadOptions{Limit: 1500}},
		"the newest after polls for what is new": {func() {
			_, _ = s.Read(t.Context(), sdk.ReadOptions{App: "app", Limit: 200})
			for range 3 {
				_, _ = s.Read(t.Context(), sdk.ReadOptions{App: "app", Limit: 100, After: at(2000)})
			}
		}, sdk.ReadOptions{Limit: 1500}},
	} {
		c.before()
		c.opts.App = "app"
		had := sentBy(t, server)
		page, err := s.Read(t.Context(), c.opts)
		if err != nil || len(page.Entries) == 0 {
			t.Fatalf("%s: %d entries (%v)", name, len(page.Entries), err)
		}
		if sent := sentBy(t, server) - had; sent > 4*pageBytes {
			t.Errorf("%s: Redis sent %d bytes for a page of %d entries", name, sent, len(page.Entries))
		}
	}
}

// TestDeadlineWithoutConnection: an append that gets no connection ends when its time is up.
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

// TestReplicaLosesItsConnection: where a name leads to another master now, the connection to
// the old one, which is a replica, is not used for ever.
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
	eventually(t, func() error { return has(next) })
	next.MustDo("REPLICAOF", "NO", "ONE")
	server.MustDo("REPLICAOF", next.Host, strconv.Itoa(next.Port))
	eventually(t, func() error {
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

// TestLostBetweenTries: an append ends late with a part of the batch stored, and Redis loses
// that, wholly or back to an older state, before it is tried again. All of it is stored then.
func TestLostBetweenTries(t *testing.T) {
	server := redistest.Start(t)
	for name, lose := range map[string]func(s *storage){
		"all": func(*storage) { server.MustDo("FLUSHALL") },
		"the last": func(s *storage) {
			mustAppend(t, s, batch("w", 1, "app", 1, 3)) // as a replica has it that came less far
		},
	} {
		for _, scripted := range []bool{false, true} {
			server.MustDo("FLUSHALL")
			s := open(t, server, func(s *Settings) { s.PipelineLength, s.PipelineTimeout = 10, time.Nanosecond })
			s.scripted.Store(scripted)
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
			eventually(t, func() error { return s.Append(t.Context(), b) })
			want(t, s, "app", 1, first, 33)
		}
	}
}
