package redis

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

func wantUnconfirmed(t *testing.T, s *storage, err error) {
	t.Helper()
	wantUnavailable(t, s, err)
	if !errors.Is(err, errUnconfirmed) {
		t.Errorf("error is %v, want one that wraps %v", err, errUnconfirmed)
	}
}

// offset returns the position of the master's stream to its replicas.
func offset(server *redistest.Server) string {
	return strings.Split(server.MustDo("ROLE"), "\n")[1]
}

// TestUnconfirmed: an append succeeds only once a replica has it. Until then it is repeated, is
// stored only once all the same, and each try asks the replica again.
func TestUnconfirmed(t *testing.T) {
	t.Parallel() // it waits
	master := redistest.Start(t)
	s := open(t, master, func(s *Settings) { s.WaitReplicas, s.PipelineLength = 1, 5 })
	b := batch("w", 1, "app", 1, 12)
	b.Apps = append(b.Apps, sdk.AppEntries{App: "bar", Entries: numbered(1, 7)})
	master.MustDo("SCRIPT", "LOAD", appendScript) // otherwise the first append waits in vain
	start := time.Now()
	wantUnconfirmed(t, s, s.Append(t.Context(), b))
	if took := time.Since(start); took < waitTimeout || took > waitTimeout+time.Second {
		t.Errorf("it took %s, want a bit more than %s", took, waitTimeout)
	}
	if err := s.Check(t.Context()); err == nil || !contains(err.Error(), "LOGGER_REDIS_WAIT_REPLICAS=1") {
		t.Errorf("Check says %v, want what is missing", err)
	}

	replica := redistest.Start(t, "--replicaof", master.Host+" "+strconv.Itoa(master.Port))
	testwait.NoError(t, func() error { return s.Append(t.Context(), b) })
	want(t, s, "app", 1, 1, 12)
	want(t, s, "bar", 1, 1, 7)
	testwait.NoError(t, func() error { return s.Check(t.Context()) })

	replica.Signal(syscall.SIGSTOP)
	later := batch("w", 2, "app", 13, 15)
	wantUnconfirmed(t, s, s.Append(t.Context(), later))
	for range 2 { // on connections that did not write the batch
		other := open(t, master, func(s *Settings) { s.WaitReplicas = 1 })
		wantUnconfirmed(t, other, other.Append(t.Context(), later))
	}
	before := offset(master) // WAIT itself would change it
	mustAppend(t, open(t, master), later)
	if offset(master) == before {
		t.Error("a repetition writes nothing that a replica could confirm")
	}
	want(t, s, "app", 1, 1, 15) // it is stored, but nobody was told so
	long := batch("w", 3, "app", 16, 40)
	wantUnconfirmed(t, s, s.Append(t.Context(), long))
	replica.Signal(syscall.SIGCONT)
	testwait.NoError(t, func() error { return s.Append(t.Context(), later) })
	testwait.NoError(t, func() error { return s.Append(t.Context(), long) })
	master.Stop()
	replica.MustDo("REPLICAOF", "NO", "ONE")
	on := open(t, replica)
	want(t, on, "app", 1, 1, 40)
	want(t, on, "bar", 1, 1, 7)
}

// TestUnconfirmedInACluster: only the replicas of the app's own master count.
func TestUnconfirmedInACluster(t *testing.T) {
	t.Parallel() // it waits
	c := redistest.StartCluster(t, 3, 1).Patient()
	s := openCluster(t, c, func(s *Settings) { s.WaitReplicas = 1 })
	testwait.NoError(t, func() error { return s.Append(t.Context(), wide(1, 1, 2)) })
	frozen, others := appOf(c, 0), []string{appOf(c, 1), appOf(c, 2)}
	c.ReplicasOf(0)[0].Signal(syscall.SIGSTOP)
	for i := range uint64(3) {
		wantUnconfirmed(t, s, s.Append(t.Context(), batch("w", 2+i, frozen, 1, 2)))
		for _, app := range others {
			mustAppend(t, s, batch("w", 2+i, app, 1, 2))
		}
	}
}

// TestConfirmedByNone: without the setting, no append waits.
func TestConfirmedByNone(t *testing.T) {
	t.Parallel() // it waits
	server := redistest.Start(t)
	s := open(t, server)
	mustAppend(t, s, batch("w", 1, "app", 1, 2))
	if stats := server.MustDo("INFO", "commandstats"); contains(stats, "cmdstat_wait:") || !contains(stats, "cmdstat_evalsha:") {
		t.Errorf("the commands were %s", stats)
	}
}

// BenchmarkConfirm appends batches of 500 lines of 50 apps to a master with one replica.
func BenchmarkConfirm(b *testing.B) {
	master := redistest.Start(b)
	redistest.Start(b, "--replicaof", master.Host+" "+strconv.Itoa(master.Port))
	for _, replicas := range []int{0, 1} {
		b.Run(fmt.Sprint("replicas=", replicas), func(b *testing.B) {
			s := open(b, master, func(s *Settings) { s.WaitReplicas = replicas })
			testwait.NoError(b, func() error { return s.Append(b.Context(), batch("first", 1, "app-0", 1, 1)) })
			batch := sdk.Batch{ID: sdk.BatchID{Writer: fmt.Sprint("w", replicas)}}
			for i := range 50 {
				batch.Apps = append(batch.Apps, sdk.AppEntries{App: fmt.Sprint("app-", i), Entries: numbered(1, 10)})
			}
			b.ResetTimer()
			for b.Loop() {
				batch.ID.Sequence++
				mustAppend(b, s, batch)
			}
			b.ReportMetric(float64(b.N)*500/b.Elapsed().Seconds(), "lines/s")
		})
	}
}
