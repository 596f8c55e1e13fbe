package redis

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

func openSentinels(tb testing.TB, r *redistest.Sentinels, change ...func(*Settings)) *storage {
	tb.Helper()
	return open(tb, r.Master, append([]func(*Settings){func(s *Settings) {
		s.Mode, s.URLs, s.SentinelMaster = sentinel, strings.Join(r.Addrs(), ","), redistest.MasterName
	}}, change...)...)
}

// TestSentinelFailover: the master dies during appends that wait for the replica, and the replica
// takes over. No acknowledged entry is lost, and none is there twice.
func TestSentinelFailover(t *testing.T) {
	t.Parallel() // it waits
	r := redistest.StartSentinels(t, nil)
	s := openSentinels(t, r, func(s *Settings) { s.WaitReplicas, s.PipelineLength, s.Lines, s.DB = 1, 10, 100_000, 3 })
	testwait.NoError(t, func() error { return s.Check(t.Context()) })
	r.Sentinels[0].Stop() // one is away all the time
	done := make(chan struct{})
	batches := appendOn(s, done)
	testwait.NoError(t, func() error { return reaches(s, "app-0", 40) })
	r.Master.Stop()
	r.Sentinels = r.Sentinels[1:]
	r.AwaitMaster(r.Replica)
	before := lastOf(t, s, "app-0")
	testwait.NoError(t, func() error {
		err := s.Check(t.Context())
		if err == nil || !contains(err.Error(), "LOGGER_REDIS_WAIT_REPLICAS") {
			return fmt.Errorf("check says %w, want that the master has no replica", err)
		}
		return nil
	})
	r.Master.Restart()
	// The Sentinels would do that too, but ten seconds later.
	r.Master.MustDo("REPLICAOF", r.Replica.Host, strconv.Itoa(r.Replica.Port))
	testwait.NoError(t, func() error { return reaches(s, "app-0", before+100) })
	close(done)
	n := <-batches
	for i := range 20 {
		want(t, s, fmt.Sprint("app-", i), 1, 1, 4*n)
	}
	if infos, err := s.Apps(t.Context(), "", 0); err != nil || len(infos) != 20 {
		t.Errorf("%d apps (%v), want 20", len(infos), err)
	}
}

// lastOf returns the position of the app's last entry, once it can be read.
func lastOf(tb testing.TB, s *storage, app string) (last uint64) {
	tb.Helper()
	testwait.NoError(tb, func() error {
		page, err := s.Read(tb.Context(), sdk.ReadOptions{App: app, Limit: 1})
		last = page.End().Position
		return err
	})
	return last
}

// TestSentinelsAway: without Sentinels, with a name that they do not know, or with the wrong
// password, every call says so, in one line and without secrets.
func TestSentinelsAway(t *testing.T) {
	t.Parallel() // it waits
	r := redistest.StartSentinels(t, nil)
	for _, s := range r.Sentinels {
		s.MustDo("ACL", "SETUSER", "default", "resetpass", ">right-secret")
	}
	r.Master.MustDo("ACL", "SETUSER", "ann", "on", ">ann-secret", "~*", "&*", "+@all")
	right := func(s *Settings) {
		s.SentinelPassword, s.Username, s.Password = "right-secret", "ann", "ann-secret"
	}
	s := openSentinels(t, r, right)
	mustAppend(t, s, batch("w", 1, "app", 1, 2))
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if who := r.Master.MustDo("CLIENT", "LIST"); !contains(who, " user=ann ") {
		t.Errorf("none of the clients is ann: %s", who)
	}
	check := func(what string, s *storage) {
		t.Helper()
		for call, err := range map[string]error{
			"Append": s.Append(t.Context(), batch("w", 2, "app", 3, 3)),
			"Check":  s.Check(t.Context()),
		} {
			wantUnavailable(t, s, err)
			if contains(err.Error(), "secret") || !contains(err.Error(), `"`+s.settings.SentinelMaster+`"`) {
				t.Errorf("%s: %s says %q, want the master's name and no secret", what, call, err)
			}
		}
	}
	check("wrong name", openSentinels(t, r, right, func(s *Settings) { s.SentinelMaster = "nobody" }))
	check("wrong password", openSentinels(t, r, right, func(s *Settings) { s.SentinelPassword = "wrong-secret" }))
	if err := openSentinels(t, r, right, func(s *Settings) { s.SentinelPassword = "" }).Check(t.Context()); err == nil ||
		!contains(err.Error(), "LOGGER_REDIS_SENTINEL_PASSWORD") {
		t.Errorf("without the Sentinels' password Check says %v, want the variable's name", err)
	}
	check("wrong user", openSentinels(t, r, right, func(s *Settings) { s.Username = "bob" }))
	for _, sentinel := range r.Sentinels {
		sentinel.Stop()
	}
	mustAppend(t, s, batch("w", 2, "app", 3, 3)) // there are connections to the master
	check("no sentinel", openSentinels(t, r, right))
	want(t, s, "app", 1, 1, 3)
}
