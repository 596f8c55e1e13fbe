package redis

import (
	"context"
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/sdk"
)

// TestPushedAlone: what was pushed without its script is not there for anybody, and the
// next append takes it away.
func TestPushedAlone(t *testing.T) {
	server := redistest.Start(t)
	for _, scripted := range []bool{false, true} {
		server.MustDo("FLUSHALL")
		s := open(t, server, func(s *Settings) { s.Lines = 10 })
		s.scripted.Store(scripted)
		mustAppend(t, s, batch("w", 1, "app", 1, 7))
		epoch := readAll(t, s, "app").Epoch
		server.MustDo("RPUSH", blocksKey("app"), "stray", "stray")
		page := want(t, s, "app", 1, 1, 7)
		for _, opts := range []sdk.ReadOptions{{Limit: 3}, {Limit: 3, Known: page.Cursor(2)}, {Limit: 3, After: page.Cursor(3)}} {
			opts.App = "app"
			page, err := s.Read(t.Context(), opts)
			if err != nil || len(page.Entries) != 3 || page.First != 5 || page.Entries[2].Message != "7" {
				t.Errorf("%+v: %d from %d (%v)", opts, len(page.Entries), page.First, err)
			}
		}
		infos, err := s.Apps(t.Context())
		if err != nil || len(infos) != 1 || infos[0].Entries != 7 || infos[0].Last != 7 {
			t.Errorf("%+v (%v)", infos, err)
		}
		mustAppend(t, s, batch("w", 1, "app", 1, 7)) // a repetition
		mustAppend(t, s, batch("w", 2, "app", 8, 12))
		if page := want(t, s, "app", 3, 3, 12); page.Epoch != epoch {
			t.Errorf("epoch %x is now %x", epoch, page.Epoch)
		}
		if n := server.MustDo("LLEN", blocksKey("app")); n != "4" {
			t.Errorf("the list has %s elements", n)
		}
		server.MustDo("RPUSH", blocksKey("app"), "stray")
		want(t, s, "app", 3, 3, 12)
		if err := s.Delete(t.Context(), "app"); err != nil {
			t.Fatal(err)
		}
		if gone, err := s.Departed(t.Context()); err != nil || gone.Evicted != 2 || gone.Deleted != 10 {
			t.Errorf("%+v (%v)", gone, err)
		}
	}
}

// TestScriptsForgotten: somebody flushes the scripts between any two commands, for logs
// that are there and for one that begins just then. Nothing is stored twice.
func TestScriptsForgotten(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server)
	mustAppend(t, s, batch("w", 1, "app", 1, 5))
	for i := range uint64(3) {
		last := int(5 + 5*i)
		server.MustDo("SCRIPT", "FLUSH")
		b := batch("w", 2+i, "app", last+1, last+5)
		b.Apps = append(b.Apps, sdk.AppEntries{App: fmt.Sprint("new-", i), Entries: numbered(1, 9)})
		mustAppend(t, s, b)
		want(t, s, "app", 1, 1, last+5)
		want(t, s, fmt.Sprint("new-", i), 1, 1, 9)
		if n := server.MustDo("LLEN", blocksKey("app")); n != fmt.Sprint(2*(i+2)) {
			t.Errorf("the list has %s elements", n)
		}
	}
}

// flushing flushes the scripts before every pipeline.
type flushing struct{ server *redistest.Server }

func (flushing) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (flushing) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (f flushing) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		f.server.MustDo("SCRIPT", "FLUSH")
		return next(ctx, commands)
	}
}

// TestScriptsForgottenAgain: Redis forgets the scripts each time that it is given them.
// The append fails in the end, and of what needs the script nothing is there.
func TestScriptsForgottenAgain(t *testing.T) {
	server := redistest.Start(t)
	s, bad := open(t, server), open(t, server)
	mustAppend(t, bad, batch("w", 1, "app", 1, 5)) // it is connected
	bad.client.AddHook(flushing{server})
	b := batch("w", 2, "app", 6, 9)
	b.Apps = append(b.Apps, sdk.AppEntries{App: "new", Entries: numbered(1, 9)})
	if err := bad.Append(t.Context(), b); replyCode(err) != "NOSCRIPT" {
		t.Fatalf("error is %v", err)
	}
	want(t, s, "app", 1, 1, 9)
	want(t, s, "new", 1, 1, 0)
	mustAppend(t, s, b)
	want(t, s, "app", 1, 1, 9)
	want(t, s, "new", 1, 1, 9)
}
