package redis

import (
	"context"
	"fmt"
	"testing"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

func FuzzKeys(f *testing.F) {
	for _, app := range []string{"", "foo", "foo:state", "{foo}", "}:state", "%", "%25", "a b", "über", "\xff\x00", "*", "apps", "%apps"} {
		f.Add(app, app+"x")
	}
	f.Fuzz(func(t *testing.T, one, other string) {
		keys := map[string]bool{namesKey: true, activeKey: true, totalsKey: true, probeKey: true}
		apps := []string{one}
		if one != other {
			apps = append(apps, other)
		}
		for _, app := range apps {
			for _, key := range []string{stateKey(app), blocksKey(app), orderKey(app), followedKey(app), deletedKey(app, 7)} {
				if keys[key] {
					t.Fatalf("%q of %q is the key of something else", key, app)
				}
				keys[key] = true
			}
		}
	})
}

// TestForeignKeys: keys of other programs in the same database stay unchanged, and do not show up
// as apps.
func TestForeignKeys(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server)
	foreign := []string{
		"foo", "logs", "logger", "logger:", "logger:foo", "logger:foo:state", "logger:{foo}", "logger:{foo}:other",
		"logger:{a b}:state", "logger:{%}:stat", "logger:{%2}:state", "logger:{%66oo}:state", "xlogger:{foo}:state",
	}
	for _, key := range foreign {
		server.MustDo("SET", key, "kept")
	}
	for _, app := range []string{"foo", "a b", "logger", "logs", "", "%66oo", "apps"} {
		mustAppend(t, s, batch("w", 1, app, 1, 3))
		want(t, s, app, 1, 1, 3)
	}
	infos, err := s.Apps(t.Context(), "", 0)
	if err != nil || len(infos) != 7 {
		t.Fatalf("apps are %v (%v), want seven", infos, err)
	}
	for _, info := range infos {
		if info.Entries != 3 {
			t.Errorf("%+v, want 3 entries", info)
		}
		if err := s.Delete(t.Context(), info.App); err != nil {
			t.Fatal(err)
		}
	}
	if got := server.MustDo("HGET", totalsKey, "deleted"); got != "21" {
		t.Errorf("%s entries count as deleted, want 21", got)
	}
	server.MustDo("DEL", totalsKey)
	for _, key := range foreign {
		if got := server.MustDo("GET", key); got != "kept" {
			t.Errorf("%s is %q now", key, got)
		}
	}
	// The probe of Check leaves nothing behind either.
	if err := s.Check(t.Context()); err != nil || server.MustDo("DBSIZE") != "13" {
		t.Errorf("Check (%v) left keys:\n%s", err, server.MustDo("KEYS", "*"))
	}
}

// TestForeignBlocks: a read ends, however many blocks of the stream are not ours.
func TestForeignBlocks(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server)
	mustAppend(t, s, batch("w", 1, "app", 1, 5))
	epoch := readAll(t, s, "app").Epoch
	server.MustDo("DEL", blocksKey("app"))
	for i := range 300 {
		server.MustDo("XADD", blocksKey("app"), fmt.Sprintf("3-%d", i+1), "field", "value")
	}
	ctx, cancel := context.WithTimeout(t.Context(), testwait.Patience)
	defer cancel()
	for _, after := range []sdk.Cursor{{}, {Epoch: epoch, Position: 2}, sdk.Cursor{Epoch: epoch, Position: 5}.HistoryBegin()} {
		if page, err := s.Read(ctx, sdk.ReadOptions{App: "app", Limit: 5, After: after}); err != nil || len(page.Entries) > 0 {
			t.Errorf("after %q: %d entries (%v)", after, len(page.Entries), err)
		}
	}
}
