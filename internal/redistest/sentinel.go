package redistest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deis/logger/internal/testwait"
)

// MasterName is the Sentinels' name of their master.
const MasterName = "logs"

// Sentinels runs Sentinels that watch a master and its replica, and fail over within about a
// second.
type Sentinels struct {
	Master, Replica *Server
	Sentinels       []*Server

	tb testing.TB
}

// StartSentinels runs a master, its replica and three Sentinels, and waits until the Sentinels know
// all of them. The args are options of master and replica. Each of the directives is a line of a
// Sentinel's configuration.
func StartSentinels(tb testing.TB, directives []string, args ...string) *Sentinels {
	tb.Helper()
	s := &Sentinels{tb: tb, Master: Start(tb, args...)}
	s.Replica = Start(tb, append([]string{"--replicaof", fmt.Sprintf("%s %d", s.Master.Host, s.Master.Port)}, args...)...)
	for range 3 {
		s.Sentinels = append(s.Sentinels, s.startSentinel(directives))
	}
	testwait.NoError(tb, func() error {
		for _, sentinel := range s.Sentinels {
			for what, want := range map[string]int{"REPLICAS": 1, "SENTINELS": 2} {
				reply, err := sentinel.Do("SENTINEL", what, MasterName)
				if err != nil {
					return err
				}
				if got := strings.Count("\n"+reply, "\nrunid\n"); got != want {
					return fmt.Errorf("sentinel %s knows %d %s", sentinel.Addr, got, strings.ToLower(what))
				}
			}
		}
		return nil
	})
	return s
}

func (s *Sentinels) startSentinel(directives []string) *Server {
	s.tb.Helper()
	sentinel := &Server{}
	sentinel.conf = func() error {
		if _, err := os.Stat(sentinel.confFile()); err == nil {
			return nil // a restart: the Sentinel has stored its state there
		}
		lines := append([]string{
			"bind " + sentinel.Host,
			fmt.Sprint("port ", sentinel.Port),
			"dir " + sentinel.dir,
			"logfile " + sentinel.logFile(),
			fmt.Sprintf("sentinel monitor %s %s %d 2", MasterName, s.Master.Host, s.Master.Port),
			"sentinel down-after-milliseconds " + MasterName + " 500",
			"sentinel failover-timeout " + MasterName + " 3000",
		}, directives...)
		return os.WriteFile(sentinel.confFile(), []byte(strings.Join(lines, "\n")+"\n"), 0o600)
	}
	return sentinel.open(s.tb, 0)
}

// confFile returns the path of a Sentinel's configuration.
func (s *Server) confFile() string { return filepath.Join(s.dir, "sentinel.conf") }

// Addrs returns the Sentinels' addresses.
func (s *Sentinels) Addrs() []string { return addrs(s.Sentinels) }

// AwaitMaster waits until the server is a master and all Sentinels consider it the master.
func (s *Sentinels) AwaitMaster(server *Server) {
	s.tb.Helper()
	testwait.NoError(s.tb, func() error {
		if role, err := server.Do("ROLE"); err != nil || !strings.HasPrefix(role, "master\n") {
			return fmt.Errorf("the role of %s is %.40q (%w)", server.Addr, role, err)
		}
		want := fmt.Sprintf("%s\n%d", server.Host, server.Port)
		for _, sentinel := range s.Sentinels {
			if got, err := sentinel.Do("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName); err != nil || got != want {
				return fmt.Errorf("sentinel %s says %q (%w)", sentinel.Addr, got, err)
			}
		}
		return nil
	})
}

func addrs(servers []*Server) []string {
	all := make([]string, len(servers))
	for i, s := range servers {
		all[i] = s.Addr
	}
	return all
}
