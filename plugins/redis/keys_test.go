package redis

import (
	"testing"

	"github.com/deis/logger/internal/redistest"
)

func FuzzKeys(f *testing.F) {
	for _, app := range []string{"", "foo", "foo:blocks", "{foo}", "}:blocks", "%", "%25", "a b", "über", "\xff\x00", "*"} {
		f.Add(app, app+"x")
	}
	f.Fuzz(func(t *testing.T, one, other string) {
		for _, app := range []string{one, other} {
			if got, ok := appOfBlocks(blocksKey(app)); !ok || got != app {
				t.Fatalf("the list of %q has the key %q, which is of %q", app, blocksKey(app), got)
			}
			if state, list, followed := allKeys(app); state != stateKey(app) || list != blocksKey(app) || followed != followedKey(app) {
				t.Fatalf("the keys of %q are %q, %q and %q side by side", app, state, list, followed)
			}
		}
		if one != other && (blocksKey(one) == blocksKey(other) || stateKey(one) == stateKey(other)) {
			t.Fatalf("%q and %q share a key", one, other)
		}
		for _, key := range []string{stateKey(other), probeKey} {
			if blocksKey(one) == key || stateKey(one) == probeKey {
				t.Fatalf("%q is the key of something else", key)
			}
		}
		// What is taken for a list of ours is just what we write.
		if app, ok := appOfBlocks(one); ok && blocksKey(app) != one {
			t.Fatalf("%q is taken for the list of %q, which has the key %q", one, app, blocksKey(app))
		}
	})
}

// TestForeignKeys: what others keep in the same database stays as it is, and makes
// no app.
func TestForeignKeys(t *testing.T) {
	server := redistest.Start(t)
	s := open(t, server)
	foreign := []string{
		"foo", "logs", "logger", "logger:", "logger:foo", "logger:foo:blocks", "logger:{foo}", "logger:{foo}:other",
		"logger:{a b}:blocks", "logger:{%}:block", "logger:{%2}:blocks", "logger:{%66oo}:blocks", "xlogger:{foo}:blocks",
	}
	for _, key := range foreign {
		server.MustDo("SET", key, "kept")
	}
	for _, app := range []string{"foo", "a b", "logger", "logs", "", "%66oo"} {
		mustAppend(t, s, batch("w", 1, app, 1, 3))
		want(t, s, app, 1, 1, 3)
	}
	infos, err := s.Apps(t.Context())
	if err != nil || len(infos) != 6 {
		t.Fatalf("apps are %v (%v), want six", infos, err)
	}
	for _, info := range infos {
		if info.Entries != 3 {
			t.Errorf("%+v, want 3 entries", info)
		}
		if err := s.Delete(t.Context(), info.App); err != nil {
			t.Fatal(err)
		}
	}
	if got := server.MustDo("HGET", departedKey, "deleted"); got != "18" {
		t.Errorf("%s entries count as deleted, want 18", got)
	}
	server.MustDo("DEL", departedKey)
	for _, key := range foreign {
		if got := server.MustDo("GET", key); got != "kept" {
			t.Errorf("%s is %q now", key, got)
		}
	}
	if n := len(foreign); server.MustDo("DBSIZE") != "13" || n != 13 {
		t.Errorf("%s keys are left, want the %d foreign ones:\n%s", server.MustDo("DBSIZE"), n, server.MustDo("KEYS", "*"))
	}
	// The probe of Check leaves nothing behind either.
	if err := s.Check(t.Context()); err != nil || server.MustDo("DBSIZE") != "13" {
		t.Errorf("Check (%v) left %s keys", err, server.MustDo("DBSIZE"))
	}
}
