package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/redis/go-redis/v9"
)

// Check implements [sdk.Checker]. Beside PING it asks for a write that changes nothing, a push to a
// list that does not exist: Redis refuses it exactly when it refuses an append: as a replica, when
// full, or when unable to save.
func (s *storage) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	if s.cluster == nil {
		return s.explain(s.checkNode(ctx, s.client, probeKey))
	}
	return s.explain(s.checkCluster(ctx))
}

// checkNode asks one Redis. The probe is a key that belongs to that node, empty if there is none.
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

// checkCluster asks every master, and names one that gave no good answer.
func (s *storage) checkCluster(ctx context.Context) error {
	// The nodes that are asked for the map of the cluster may not answer; the old map may do.
	within, cancel := context.WithTimeout(ctx, checkTimeout/3)
	defer cancel()
	var masters atomic.Int64
	err := s.cluster.ForEachMaster(within, func(_ context.Context, node *redis.Client) error {
		masters.Add(1)
		err := s.checkNode(ctx, node, s.probeOf(ctx, node))
		if code := replyCode(err); err == nil || code == "MOVED" || code == "ASK" { // the slot moved since
			return nil
		}
		s.cluster.ReloadState(ctx) // it may be gone, with another in its place
		return fmt.Errorf("master %s: %w", node.Options().Addr, err)
	})
	if err == nil && masters.Load() == 0 {
		return errors.New("no node knows of a master")
	}
	return err
}

// probeOf finds, by trying, a key that belongs to the master. For one with very few slots it may
// find none.
func (s *storage) probeOf(ctx context.Context, node *redis.Client) string {
	for i := range 256 {
		key := probeKey + ":{" + strconv.Itoa(i) + "}"
		if master, err := s.cluster.MasterForKey(ctx, key); err == nil && master == node {
			return key
		}
	}
	return ""
}
