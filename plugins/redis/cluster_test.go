package redis

import (
	"context"
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
	"github.com/deis/logger/sdk/storagetest"
)

// openCluster makes a storage on the cluster, of which it gets one node's address.
func openCluster(tb testing.TB, c *redistest.Cluster, change ...func(*Settings)) *storage {
	tb.Helper()
	return open(tb, c.Nodes[0], append([]func(*Settings){func(s *Settings) {
		s.Mode, s.URLs = cluster, c.Nodes[len(c.Nodes)-1].Addr
	}}, change...)...)
}

// TestConformanceOnCluster runs the suite on a cluster of three masters.
func TestConformanceOnCluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3, 0).Patient()
	storagetest.Run(t, func(t *testing.T, lines int) sdk.Storage {
		for _, node := range c.Nodes {
			node.MustDo("FLUSHALL")
		}
		return openCluster(t, c, func(s *Settings) { s.Lines, s.PipelineLength = lines, 7 })
	})
}

// appOf returns an app whose keys are on the node.
func appOf(c *redistest.Cluster, node int) string {
	for i := 0; ; i++ {
		if app := fmt.Sprint("app-", i); c.MasterOf(stateKey(app)) == node {
			return app
		}
	}
}

// wide returns a batch with the entries from first to last for each of 20 apps.
func wide(sequence uint64, first, last int) sdk.Batch {
	b := sdk.Batch{ID: sdk.BatchID{Writer: "w", Sequence: sequence}}
	for i := range 20 {
		b.Apps = append(b.Apps, sdk.AppEntries{App: fmt.Sprint("app-", i), Entries: numbered(first, last)})
	}
	return b
}

// appendOn appends batch after batch, with four entries of each app, until done is closed. Like the
// host, it repeats each batch until it is stored. It sends the number of batches.
func appendOn(s *storage, done <-chan struct{}) <-chan int {
	batches := make(chan int, 1)
	go func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				batches <- i
				return
			default:
			}
			deadline := time.Now().Add(30 * time.Second)
			for s.Append(context.Background(), wide(uint64(i+1), 4*i+1, 4*i+4)) != nil && time.Now().Before(deadline) {
				<-time.After(5 * time.Millisecond)
			}
		}
	}()
	return batches
}

// TestClusterKnowsWhere: each append goes to the node that has its app. go-redis has to find the
// key although it gets it as a pointer.
func TestClusterKnowsWhere(t *testing.T) {
	c := redistest.StartCluster(t, 3, 0).Patient()
	s := openCluster(t, c)
	for i := range 3 {
		mustAppend(t, s, wide(uint64(i+1), 4*i+1, 4*i+4))
	}
	for _, node := range c.Nodes {
		if stats := node.MustDo("INFO", "errorstats"); strings.Contains(stats, "MOVED") {
			t.Errorf("the node of another was asked: %s", stats)
		}
	}
}

// TestClusterFailover: a master dies during appends that wait for a replica, and the replica takes
// over. No acknowledged entry is lost, and none is there twice.
func TestClusterFailover(t *testing.T) {
	t.Parallel() // it waits
	c := redistest.StartCluster(t, 3, 1)
	s := openCluster(t, c, func(s *Settings) { s.WaitReplicas, s.PipelineLength, s.Lines = 1, 10, 100_000 })
	done := make(chan struct{})
	batches := appendOn(s, done)
	testwait.NoError(t, func() error { return reaches(s, "app-0", 40) })
	before := readAll(t, s, "app-0")
	dead := c.Nodes[c.MasterOf(stateKey("app-0"))]
	dead.Stop()
	now := c.AwaitFailover(dead)
	// Without a replica, there is nothing to fail over to, and no append is confirmed.
	testwait.NoError(t, func() error {
		err := s.Check(t.Context())
		if err == nil || !contains(err.Error(), "LOGGER_REDIS_WAIT_REPLICAS") || !contains(err.Error(), now.Addr) {
			return fmt.Errorf("check says %w, want the master that has no replica", err)
		}
		return nil
	})
	dead.Restart() // comes back as a replica
	c.AwaitWhole()
	testwait.NoError(t, func() error { return reaches(s, "app-0", uint64(len(before.Entries))+100) })
	close(done)
	n := <-batches
	for i := range 20 {
		page := want(t, s, fmt.Sprint("app-", i), 1, 1, 4*n)
		if i == 0 && page.Epoch != before.Epoch {
			t.Errorf("the epoch went from %x to %x", before.Epoch, page.Epoch)
		}
	}
	if infos, err := s.Apps(t.Context(), "", 0); err != nil || len(infos) != 20 {
		t.Errorf("%d apps (%v), want 20", len(infos), err)
	}
	testwait.NoError(t, func() error { return s.Check(t.Context()) })
}

// reaches fails unless the app's log is that long.
func reaches(s *storage, app string, last uint64) error {
	page, err := s.Read(context.Background(), sdk.ReadOptions{App: app, Limit: 1})
	if err == nil && page.End().Position < last {
		err = fmt.Errorf("the last entry is %d", page.End().Position)
	}
	return err
}

// TestClusterNodeAway: Check names the master that is down. Every call that needs that master says
// so and ends; the others go on.
func TestClusterNodeAway(t *testing.T) {
	t.Parallel() // it waits
	c := redistest.StartCluster(t, 3, 0, "--cluster-require-full-coverage", "no")
	s := openCluster(t, c, func(s *Settings) { s.URLs = strings.Join(c.Addrs(), ",") })
	mustAppend(t, s, wide(1, 1, 2))
	if err := s.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	away, there := appOf(c, 1), appOf(c, 2)
	for _, fault := range []struct {
		what       string
		break_, re func()
	}{
		{"frozen", func() { c.Nodes[1].Signal(syscall.SIGSTOP) }, func() { c.Nodes[1].Signal(syscall.SIGCONT) }},
		{"stopped", c.Nodes[1].Stop, c.Nodes[1].Restart},
	} {
		fault.break_()
		for name, call := range map[string]func() error{
			"Append": func() error { return s.Append(t.Context(), wide(2, 3, 4)) },
			"Read": func() error {
				_, err := s.Read(t.Context(), sdk.ReadOptions{App: away, Limit: -1})
				return err
			},
			"Apps": func() error {
				_, err := s.Apps(t.Context(), "", 0)
				return err
			},
			"Check": func() error { return s.Check(t.Context()) },
		} {
			start := time.Now()
			err := call()
			took, limit := time.Since(start), callTimeout+dialTimeout
			if name == "Check" {
				limit = time.Second
				// If the machine is too busy to run us, the call itself is late: of several tries,
				// one has to be in time.
				for tries := 1; took > limit && tries < 5; tries++ {
					start = time.Now()
					err = call()
					took = time.Since(start)
				}
				if !contains(err.Error(), "master "+c.Nodes[1].Addr) || contains(err.Error(), "master "+c.Nodes[2].Addr) {
					t.Errorf("%s: Check says %q, want the one that is away", fault.what, err)
				}
			}
			wantUnavailable(t, s, err)
			if took > limit {
				t.Errorf("%s: %s took %s", fault.what, name, took)
			}
		}
		want(t, s, there, 1, 1, 4)
		fault.re()
		c.AwaitWhole()
		testwait.NoError(t, func() error { return s.Append(t.Context(), wide(2, 3, 4)) })
		testwait.NoError(t, func() error { return s.Check(t.Context()) })
		want(t, s, there, 1, 1, 4)
	}
	want(t, s, away, 1, 3, 4) // the node came back empty, and the batch was repeated
}

// TestClusterAppendsFindTheNewMaster: an append notices that a master is gone, and asks where its
// slots are, which the dead master cannot tell. A dead replica does not keep the scripts from the
// masters.
func TestClusterAppendsFindTheNewMaster(t *testing.T) {
	t.Parallel() // it waits
	c := redistest.StartCluster(t, 3, 1)
	s := openCluster(t, c)
	mustAppend(t, s, wide(1, 1, 2))
	for _, node := range c.Nodes[:3] {
		node.MustDo("SCRIPT", "FLUSH")
	}
	c.ReplicasOf(0)[0].Stop()
	mustAppend(t, s, wide(2, 3, 4))
	c.Nodes[1].MustDo("WAIT", "1", "0")
	c.Nodes[1].Stop()
	c.AwaitFailover(c.Nodes[1])
	testwait.NoError(t, func() error { return s.Append(t.Context(), wide(3, 5, 6)) })
	for i := range 20 {
		want(t, s, fmt.Sprint("app-", i), 1, 1, 6)
	}
}

// TestClusterSlotMoves: an app's slot moves to another node during appends and reads. The app's two
// keys move one after the other.
func TestClusterSlotMoves(t *testing.T) {
	t.Parallel() // it waits
	c := redistest.StartCluster(t, 3, 1).Patient()
	ids := map[int]string{}
	for i := range 3 {
		ids[i] = c.Nodes[i].MustDo("CLUSTER", "MYID")
	}
	for _, replicas := range []int{0, 1} {
		t.Run(fmt.Sprint(replicas, " replicas confirm"), func(t *testing.T) {
			s := openCluster(t, c, func(s *Settings) { s.WaitReplicas = replicas })
			app := appOf(c, replicas)
			from, to := c.Nodes[replicas], c.Nodes[2]
			slot := from.MustDo("CLUSTER", "KEYSLOT", stateKey(app))
			sequence, last := uint64(0), 0
			grow := func(when string) {
				t.Helper()
				sequence++
				for range 2 { // there and back
					if err := s.Append(t.Context(), batch("w", sequence, app, last+1, last+3)); err != nil {
						t.Fatalf("%s: %v", when, err)
					}
				}
				last += 3
				want(t, s, app, 1, 1, last)
			}
			move := func(key string) {
				t.Helper()
				from.MustDo("MIGRATE", to.Host, strconv.Itoa(to.Port), key, "0", "5000")
			}
			grow("before")
			to.MustDo("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[replicas])
			from.MustDo("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[2])
			grow("no key has moved")
			move(stateKey(app))
			for _, key := range []string{blocksKey(app), orderKey(app)} {
				if err := s.Append(t.Context(), batch("w", sequence+1, app, last+1, last+3)); !errors.Is(err, sdk.ErrUnavailable) {
					t.Errorf("Append while some keys have moved: %v, want %v", err, sdk.ErrUnavailable)
				}
				want(t, s, app, 1, 1, last)
				move(key)
			}
			grow("all keys have moved, and not the slot")
			for i := range 3 {
				c.Nodes[(i+2)%3].MustDo("CLUSTER", "SETSLOT", slot, "NODE", ids[2])
			}
			grow("the slot has moved")
			infos, err := s.Apps(t.Context(), "", 0)
			found := 0
			for _, info := range infos {
				if info.App == app {
					found++
				}
			}
			if err != nil || found != 1 {
				t.Errorf("listed %d times (%v)", found, err)
			}
		})
	}
}

// TestClusterDown: while some slots have no master, Redis accepts nothing at all.
func TestClusterDown(t *testing.T) {
	t.Parallel() // it waits
	c := redistest.StartCluster(t, 3, 0)
	s := openCluster(t, c)
	mustAppend(t, s, wide(1, 1, 2))
	app := appOf(c, 2)
	c.Nodes[1].Stop()
	testwait.NoError(t, func() error {
		err := s.Append(t.Context(), batch("w", 2, app, 3, 4))
		if err == nil {
			return errors.New("it is taken") // the nodes do not know it yet
		}
		wantUnavailable(t, s, err)
		if !contains(err.Error(), "CLUSTERDOWN") {
			return err
		}
		return nil
	})
}
