package redistest_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/internal/redistest"
)

func TestClusterFailsOver(t *testing.T) {
	c := redistest.StartCluster(t, 3, 1)
	at := c.MasterOf("key")
	c.Nodes[at].MustDo("SET", "key", "value")
	c.Nodes[at].MustDo("WAIT", "1", "0")
	c.Nodes[at].Stop()
	now := c.AwaitFailover(c.Nodes[at])
	if got := now.MustDo("GET", "key"); got != "value" {
		t.Fatalf("GET is %q after the failover, want value", got)
	}
	c.Nodes[at].Restart()
	c.AwaitWhole()
	if got := c.MasterOf("key"); c.Nodes[got] != now {
		t.Fatalf("%s is master after the old one is back, want %s", c.Nodes[got].Addr, now.Addr)
	}
}

// TestPatientClusterKeepsItsMasters: the cluster waits for a node that does not run for a while.
func TestPatientClusterKeepsItsMasters(t *testing.T) {
	c := redistest.StartCluster(t, 3, 1).Patient()
	at := c.MasterOf("key")
	c.Nodes[at].Signal(syscall.SIGSTOP)
	<-time.After(3 * time.Second) // an impatient cluster fails over in about a second
	c.Nodes[at].Signal(syscall.SIGCONT)
	c.AwaitWhole()
	if got := c.MasterOf("key"); got != at {
		t.Errorf("node %d is master after a silence, want %d", got, at)
	}
}

func TestSentinelsFailOver(t *testing.T) {
	s := redistest.StartSentinels(t, nil)
	s.AwaitMaster(s.Master)
	s.Master.MustDo("SET", "key", "value")
	s.Master.MustDo("WAIT", "1", "0")
	s.Master.Stop()
	s.AwaitMaster(s.Replica)
	if got := s.Replica.MustDo("GET", "key"); got != "value" {
		t.Fatalf("GET is %q after the failover, want value", got)
	}
}

func TestTLS(t *testing.T) {
	c := redistest.NewCertificates(t)
	s := redistest.StartTLS(t, c)
	s.MustDo("SET", "key", "value")
	if got := s.MustDo("GET", "key"); got != "value" {
		t.Fatalf("GET is %q, want value", got)
	}
	redistest.StartClusterTLS(t, c, 3, 0)
}
