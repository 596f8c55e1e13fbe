package faults

import (
	"fmt"
	"syscall"
	"time"
)

// fault damages the system. Its do undoes the damage to Redis or nsqd before it returns. Damage to
// a process is the host's to repair.
type fault struct {
	name   string
	weight int
	ends   part // the greatest part that it may end
	do     func(s *soak)
}

// part names a part of the system. Whatever ends a part also ends the parts before it.
type part int

const (
	connections part = iota
	plugins
	host
)

// common has the faults that need no Redis.
var common = []fault{
	{"the storage plugin is killed", 3, plugins, func(s *soak) { s.signalIfUp("storage", syscall.SIGKILL) }},
	{"the storage plugin is frozen", 1, plugins, func(s *soak) { s.signalIfUp("storage", syscall.SIGSTOP) }},
	{"the aggregator plugin is killed", 3, plugins, func(s *soak) { s.signalIfUp("aggregator", syscall.SIGKILL) }},
	{"the aggregator plugin is frozen", 1, plugins, func(s *soak) { s.signalIfUp("aggregator", syscall.SIGSTOP) }},
	{"the connection to nsqd is cut", 2, connections, func(s *soak) { s.tap.cut() }},
	{"nsqd is restarted", 1, connections, func(s *soak) {
		if s.ended {
			// nsqd keeps no counts of attempts on disk. After its restart, messages that were in
			// flight to a host that ended count as delivered for the first time.
			s.repeats = true
			s.asker.allowRepeats(true)
		}
		s.queue.Stop()
		s.goOn(s.upTo(time.Second))
		s.queue.Restart()
	}},
	{"the host is killed", 1, host, func(s *soak) {
		s.ended = true
		s.asker.expect(true)
		if lived := s.logger.Kill(); lived > time.Second {
			s.t.Errorf("a plugin process lived %s longer than its host", lived)
		}
		s.launch()
	}},
	{"the host is stopped", 1, host, func(s *soak) {
		// The host stops in order, but maybe right after another fault. Messages that a dead
		// consumer had then come again, to a host that does not know them.
		s.ended = true
		s.asker.expect(true)
		s.stop(s.memory)
		s.launch()
	}},
}

// ofRedis has the faults of Redis.
var ofRedis = []fault{
	{"Redis is restarted", 2, connections, func(s *soak) {
		s.redis.Stop()
		s.meanwhile(time.Second)
		s.redis.Restart()
	}},
	{"Redis is frozen", 1, connections, func(s *soak) {
		s.redis.Signal(syscall.SIGSTOP)
		s.meanwhile(4 * time.Second)
		s.redis.Signal(syscall.SIGCONT)
	}},
	{"Redis answers nobody", 1, connections, func(s *soak) {
		s.tell("CLIENT", "PAUSE", fmt.Sprint(s.upTo(4*time.Second).Milliseconds()), "ALL")
	}},
	{"Redis is full", 1, connections, func(s *soak) {
		s.tell("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1")
		s.meanwhile(2 * time.Second)
		s.tell("CONFIG", "SET", "maxmemory", "0")
	}},
	{"Redis is read-only", 1, connections, func(s *soak) {
		s.tell("REPLICAOF", "127.0.0.1", "1")
		s.meanwhile(2 * time.Second)
		s.tell("REPLICAOF", "NO", "ONE")
	}},
	{"the connections to Redis are cut", 2, connections, func(s *soak) { s.cut.cut() }},
	{"replies of Redis are lost", 2, connections, func(s *soak) { s.cut.armed.Store(int32(1 + s.rng.IntN(5))) }},
}

// signalIfUp signals the plugin of that kind, unless it has no process just now.
func (s *soak) signalIfUp(kind string, sig syscall.Signal) {
	s.t.Helper()
	if pid := s.logger.Plugin(kind).PID; pid != 0 {
		// The process may have ended meanwhile.
		if err := syscall.Kill(pid, sig); err != nil {
			s.t.Logf("the %s plugin is gone already: %v", kind, err)
		}
	}
}

// tell has Redis run a command. It tries again while Redis loads what it persisted.
func (s *soak) tell(args ...string) {
	s.t.Helper()
	s.logger.Until(fmt.Sprintf("Redis does %q", args), func() bool {
		_, err := s.redis.Do(args...)
		return err == nil
	})
}
