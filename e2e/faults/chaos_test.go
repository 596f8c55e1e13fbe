package faults

import (
	"fmt"
	"syscall"
	"time"
)

// fault does something harmful to the system. When it returns, what it did to Redis or nsqd is
// undone. What it did to a process is the host's to mend.
type fault struct {
	name   string
	weight int
	ends   part // what it ends, at the worst
	do     func(s *soak)
}

// part names a part of the system; each part includes those before it.
type part int

const (
	connections part = iota
	plugins
	host
)

// common are the faults that do not need Redis.
var common = []fault{
	{"the storage plugin is killed", 3, plugins, func(s *soak) { s.signalIfUp("storage", syscall.SIGKILL) }},
	{"the storage plugin is frozen", 1, plugins, func(s *soak) { s.signalIfUp("storage", syscall.SIGSTOP) }},
	{"the aggregator plugin is killed", 3, plugins, func(s *soak) { s.signalIfUp("aggregator", syscall.SIGKILL) }},
	{"the aggregator plugin is frozen", 1, plugins, func(s *soak) { s.signalIfUp("aggregator", syscall.SIGSTOP) }},
	{"the connection to nsqd is cut", 2, connections, func(s *soak) { s.tap.cut() }},
	{"nsqd is restarted", 1, connections, func(s *soak) {
		if s.ended {
			// What a host that ended had in flight counts as delivered for the first time
			// now: nsqd keeps no attempts on disk.
			s.repeats = true
			s.reader.allowRepeats(true)
		}
		s.queue.Stop()
		s.goOn(s.upTo(time.Second))
		s.queue.Restart()
	}},
	{"the host is killed", 1, host, func(s *soak) {
		s.ended = true
		s.reader.expect(true)
		if lived := s.logger.Kill(); lived > time.Second {
			s.t.Errorf("a plugin process lived %s longer than its host", lived)
		}
		s.launch()
	}},
	{"the host is stopped", 1, host, func(s *soak) {
		// Stopped in order, but maybe right after another fault: what a dead consumer
		// had comes again to a host that does not know it.
		s.ended = true
		s.reader.expect(true)
		s.stop(s.memory)
		s.launch()
	}},
}

// ofRedis are the faults of Redis.
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

// signalIfUp leaves alone a plugin that has just no process.
func (s *soak) signalIfUp(kind string, sig syscall.Signal) {
	s.t.Helper()
	if pid := s.logger.Plugin(kind).PID; pid != 0 {
		// It may have been ended since.
		if err := syscall.Kill(pid, sig); err != nil {
			s.t.Logf("the %s plugin is gone already: %v", kind, err)
		}
	}
}

// tell has Redis run a command, once it can: it may just be loading what it persisted.
func (s *soak) tell(args ...string) {
	s.t.Helper()
	s.logger.Until(fmt.Sprintf("Redis does %q", args), func() bool {
		_, err := s.redis.Do(args...)
		return err == nil
	})
}
