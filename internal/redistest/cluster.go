package redistest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/deis/logger/internal/testwait"
)

// slots is the number of hash slots of a cluster.
const slots = 16384

// nodeTimeout is the time after which a cluster considers a node down. A failover takes about twice
// as long.
const nodeTimeout = 500 * time.Millisecond

// Cluster runs a Redis Cluster on the loopback interface. Failovers change which node is master of
// what. Nodes lists the first masters before the first replicas.
type Cluster struct {
	Nodes []*Server

	tb      testing.TB
	masters int
	ids     map[*Server]string
}

// StartCluster runs a cluster until the end of the test. Its masters share the slots evenly, and
// each has so many replicas. When StartCluster returns, the cluster is whole and the replicas are
// in sync. The args are options of every node.
func StartCluster(tb testing.TB, masters, replicas int, args ...string) *Cluster {
	tb.Helper()
	return startCluster(tb, masters, replicas, func(own []string) *Server {
		return (&Server{args: append(own, args...)}).open(tb, 0)
	})
}

// StartClusterTLS does what [StartCluster] does, with nodes that speak only TLS, also among
// themselves.
func StartClusterTLS(tb testing.TB, c *Certificates, masters, replicas int, args ...string) *Cluster {
	tb.Helper()
	return startCluster(tb, masters, replicas, func(own []string) *Server {
		return StartTLS(tb, c, append(append(own, "--tls-cluster", "yes", "--tls-replication", "yes"), args...)...)
	})
}

func startCluster(tb testing.TB, masters, replicas int, start func(args []string) *Server) *Cluster {
	tb.Helper()
	c := &Cluster{tb: tb, masters: masters, ids: map[*Server]string{}}
	buses := map[*Server]string{}
	for range masters * (1 + replicas) {
		// By default, the port of the bus is 10000 above the node's, which may be beyond the last
		// port.
		bus, err := freePort()
		if err != nil {
			tb.Fatalf("start a cluster: %v", err)
		}
		node := start([]string{
			"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus),
			"--cluster-node-timeout", strconv.FormatInt(nodeTimeout.Milliseconds(), 10),
			// A replica takes over even if it was without its master for long.
			"--cluster-replica-validity-factor", "0",
		})
		c.Nodes = append(c.Nodes, node)
		buses[node] = strconv.Itoa(bus)
		c.ids[node] = node.MustDo("CLUSTER", "MYID")
	}
	first := c.Nodes[0]
	for i, node := range c.Nodes {
		// Otherwise all nodes begin with the same epoch, and need long to settle that.
		node.MustDo("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		if i > 0 {
			first.MustDo("CLUSTER", "MEET", node.Host, strconv.Itoa(node.Port), buses[node])
		}
	}
	for i, node := range c.Nodes[:masters] {
		node.MustDo("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(i*slots/masters), strconv.Itoa((i+1)*slots/masters-1))
	}
	for i, node := range c.Nodes[masters:] {
		testwait.NoError(tb, func() error {
			_, err := node.Do("CLUSTER", "REPLICATE", c.ids[c.Nodes[i%masters]])
			return err
		})
	}
	c.AwaitWhole()
	return c
}

// Patient makes nodes consider another node down only after a minute of silence. It is for tests
// that stop none: a busy machine may not run a node for [nodeTimeout], and then a replica would
// take over.
func (c *Cluster) Patient() *Cluster {
	c.tb.Helper()
	for _, node := range c.Nodes {
		node.MustDo("CONFIG", "SET", "cluster-node-timeout", "60000")
	}
	c.AwaitWhole()
	return c
}

// Addrs returns the addresses of all nodes.
func (c *Cluster) Addrs() []string { return addrs(c.Nodes) }

// ReplicasOf returns the replicas that the node had at first.
func (c *Cluster) ReplicasOf(master int) (replicas []*Server) {
	for i := c.masters + master; i < len(c.Nodes); i += c.masters {
		replicas = append(replicas, c.Nodes[i])
	}
	return replicas
}

// MasterOf returns the index of the node that the running nodes consider the key's master.
func (c *Cluster) MasterOf(key string) int {
	c.tb.Helper()
	for _, node := range c.Nodes {
		_, err := node.Do("GET", key)
		if err == nil {
			return c.index(node.Addr)
		}
		if refused, ok := err.(*ReplyError); ok && refused.Code() == "MOVED" { //nolint:errorlint // Do wraps none
			return c.index(refused.Text[strings.LastIndexByte(refused.Text, ' ')+1:])
		}
	}
	c.tb.Fatalf("no node knows who has %q", key)
	return -1
}

func (c *Cluster) index(addr string) int {
	for i, node := range c.Nodes {
		if node.Addr == addr {
			return i
		}
	}
	c.tb.Fatalf("no node has the address %s", addr)
	return -1
}

// AwaitWhole waits until every running node sees all slots served and no node down, and every
// replica is in sync with its master.
func (c *Cluster) AwaitWhole() {
	c.tb.Helper()
	testwait.NoError(c.tb, func() error {
		for _, node := range c.running() {
			info, err := node.Do("CLUSTER", "INFO")
			if err != nil {
				return err
			}
			for _, want := range []string{
				"cluster_state:ok", fmt.Sprint("cluster_slots_ok:", slots),
				fmt.Sprint("cluster_known_nodes:", len(c.Nodes)), fmt.Sprint("cluster_size:", c.masters),
			} {
				if !strings.Contains(info, want+"\r\n") {
					return fmt.Errorf("%s lacks %q: %.80q", node.Addr, want, info)
				}
			}
			role, err := node.Do("ROLE")
			if err != nil {
				return err
			}
			if strings.HasPrefix(role, "slave\n") && !strings.Contains(role, "\nconnected\n") {
				return fmt.Errorf("replica %s is not in step", node.Addr)
			}
			nodes, err := node.Do("CLUSTER", "NODES")
			if err != nil {
				return err
			}
			if strings.Contains(nodes, "fail") && len(c.running()) == len(c.Nodes) {
				return fmt.Errorf("%s misses a node", node.Addr)
			}
			if n := strings.Count(nodes, " slave ") + strings.Count(nodes, ",slave "); n != len(c.Nodes)-c.masters {
				return fmt.Errorf("%s sees %d replicas", node.Addr, n)
			}
		}
		return nil
	})
}

// AwaitFailover waits until all nodes see another node serve the slots of the stopped one. It
// returns that node.
func (c *Cluster) AwaitFailover(stopped *Server) (now *Server) {
	c.tb.Helper()
	testwait.NoError(c.tb, func() error {
		now = nil
		for _, node := range c.running() {
			info, err := node.Do("CLUSTER", "INFO")
			if err != nil {
				return err
			}
			if !strings.Contains(info, "cluster_state:ok\r\n") {
				return fmt.Errorf("%s sees the cluster broken", node.Addr)
			}
			nodes, err := node.Do("CLUSTER", "NODES")
			if err != nil {
				return err
			}
			for line := range strings.Lines(nodes) {
				fields := strings.Fields(line)
				if fields[0] == c.ids[stopped] && len(fields) > 8 {
					return fmt.Errorf("%s still gives it slots", node.Addr)
				}
			}
		}
		for i, node := range c.Nodes {
			if node == stopped && i < c.masters {
				for _, replica := range c.ReplicasOf(i) {
					if role, err := replica.Do("ROLE"); err == nil && strings.HasPrefix(role, "master\n") {
						now = replica
					}
				}
			}
		}
		if now == nil {
			return fmt.Errorf("none of its replicas is master")
		}
		return nil
	})
	return now
}

func (c *Cluster) running() (nodes []*Server) {
	for _, node := range c.Nodes {
		node.mu.Lock()
		if node.process != nil {
			nodes = append(nodes, node)
		}
		node.mu.Unlock()
	}
	return nodes
}
