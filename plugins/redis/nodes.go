package redis

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// probeScript pushes to a list that does not exist, which writes nothing. Redis refuses it exactly
// when it refuses an append: as a replica, when full, or when unable to save.
const probeScript = "return redis.pcall('RPUSHX', KEYS[1], '')"

// probes is the number of keys that Check tries in a cluster: enough that each master has one,
// unless it has very few slots.
const probes = 256

// Check implements [sdk.Checker]. It sends probes the way an append sends entries, so replicas have
// to confirm them if they have to confirm an append. In a cluster each master gets a probe, and the
// error names a master that gave no good answer.
func (s *storage) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	keys := []string{probeKey}
	for i := 0; s.cluster != nil && i < probes; i++ {
		keys = append(keys, probeKey+":{"+strconv.Itoa(i)+"}")
	}
	sent := make([]*redis.Cmd, len(keys))
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, key := range keys {
			sent[i] = p.Eval(ctx, probeScript, []string{key})
		}
		return nil
	})
	for i := 0; s.cluster != nil && err != nil && i < len(keys); i++ {
		// go-redis may give an error of one master to all calls, but a value only to answered ones.
		if master, _ := s.cluster.MasterForKey(ctx, keys[i]); master != nil && sent[i].Val() == nil {
			return s.explain(fmt.Errorf("master %s: %w", master.Options().Addr, sent[i].Err()))
		}
	}
	return s.explain(err)
}
