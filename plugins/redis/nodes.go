package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Check implements [sdk.Checker]. Beside PING it asks for a write that changes
// nothing, a push to a list that does not exist: Redis refuses it just when it
// refuses an append, for being a replica, full, or unable to save.
func (s *storage) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if s.cluster == nil {
		return s.explain(s.checkNode(ctx, s.client, probeKey))
	}
	return s.explain(s.checkCluster(ctx))
}

// checkNode asks one Redis. The probe is a key of its own, empty if it has none.
func (s *storage) checkNode(ctx context.Context, node redis.Cmdable, probe string) error {
	var role *redis.Cmd
	_, err := node.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Ping(ctx)
		if probe != "" {
			p.RPushX(ctx, probe, "")
		}
		if s.settings.WaitReplicas > 0 {
			role = p.Do(ctx, "role")
		}
		return nil
	})
	if err != nil || role == nil {
		return err
	}
	// A master's replicas are the third element.
	if parts, _ := role.Val().([]any); len(parts) == 3 {
		if replicas, _ := parts[2].([]any); len(replicas) < s.settings.WaitReplicas {
			return fmt.Errorf("it has %d replicas, and LOGGER_REDIS_WAIT_REPLICAS=%d wants them", len(replicas), s.settings.WaitReplicas)
		}
	}
	return nil
}

// checkCluster asks every master, and names those that it has no good answer of.
func (s *storage) checkCluster(ctx context.Context) error {
	masters, err := s.masters(ctx, checkTimeout/3)
	if err != nil {
		return err
	}
	// A key for each master that it would have, found by trying: one with very few slots goes
	// without.
	probes := map[*redis.Client]string{}
	for i := 0; len(probes) < len(masters) && i < 64*len(masters); i++ {
		key := probeKey + ":{" + strconv.Itoa(i) + "}"
		if node, err := s.cluster.MasterForKey(ctx, key); err == nil && slices.Contains(masters, node) {
			probes[node] = key
		}
	}
	failures := make([]error, len(masters))
	var asked sync.WaitGroup
	for i, node := range masters {
		asked.Go(func() {
			err := s.checkNode(ctx, node, probes[node])
			if code := replyCode(err); err != nil && code != "MOVED" && code != "ASK" { // else the slot moved since
				failures[i] = fmt.Errorf("master %s: %w", node.Options().Addr, err)
			}
		})
	}
	asked.Wait()
	if err = errors.Join(failures...); err != nil {
		s.cluster.ReloadState(ctx) // one may be gone, and another in its place
	}
	return err
}

// masters are the cluster's. It asks for the map of the cluster no longer than that: the nodes
// that it comes by may be the ones that do not answer, and what was known before may do.
func (s *storage) masters(ctx context.Context, limit time.Duration) (masters []*redis.Client, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var mu sync.Mutex
	err = s.cluster.ForEachMaster(ctx, func(_ context.Context, node *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		masters = append(masters, node)
		return nil
	})
	if err == nil && len(masters) == 0 {
		err = errors.New("no node knows of a master")
	}
	return masters, err
}
