package redis

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

// documentedUser returns the rights of a user of Redis that docs/operations.md lists.
func documentedUser(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "~logger:* ") {
			return strings.Fields(line)
		}
	}
	t.Fatal("docs/operations.md says nothing of a user")
	return nil
}

// TestUser does everything as a user with only the rights that the documentation asks for.
func TestUser(t *testing.T) {
	rules := append([]string{"ACL", "SETUSER", "ann", "on", ">ann-secret"}, documentedUser(t)...)
	c := redistest.StartCluster(t, 3, 1).Patient()
	for _, node := range c.Nodes {
		node.MustDo(rules...)
	}
	server := redistest.Start(t)
	server.MustDo(rules...)
	ann := func(s *Settings) { s.Username, s.Password = "ann", "ann-secret" }
	t.Cleanup(func() { // runs after the storages are closed, while the servers still run
		for _, node := range append(c.Nodes, server) {
			if denied := node.MustDo("ACL", "LOG"); strings.Contains(denied, "reason") {
				t.Errorf("the user was denied something: %s", denied)
			}
		}
	})
	for name, s := range map[string]*storage{
		"single":  open(t, server, ann),
		"cluster": openCluster(t, c, ann, func(s *Settings) { s.WaitReplicas = 1 }),
	} {
		t.Run(name, func(t *testing.T) {
			testwait.NoError(t, func() error { return s.Append(t.Context(), wide(1, 1, 3)) })
			if err := s.Check(t.Context()); err != nil {
				t.Error(err)
			}
			page := want(t, s, "app-1", 1, 1, 3)
			if infos, err := s.Apps(t.Context(), "", 0); err != nil || len(infos) != 20 {
				t.Errorf("%d apps (%v), want 20", len(infos), err)
			}
			if err := s.Delete(t.Context(), "app-2"); err != nil {
				t.Error(err)
			}
			if _, err := s.Totals(t.Context()); err != nil {
				t.Error(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), testwait.Patience)
			defer cancel()
			seen := errors.New("seen")
			followed := make(chan error, 1)
			go func() {
				followed <- s.Follow(ctx, "app-1", page.End(), func(page sdk.Page) error {
					if len(page.Entries) > 0 {
						return seen
					}
					return nil
				})
			}()
			// The follow takes a moment to begin. After that, an append wakes it at once.
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for i := uint64(2); ; i++ {
				mustAppend(t, s, batch("w", i, "app-1", 1, 1))
				select {
				case err := <-followed:
					if !errors.Is(err, seen) {
						t.Errorf("follow: %v", err)
					}
					return
				case <-tick.C:
				}
			}
		})
	}
}
