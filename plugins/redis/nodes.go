package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// eachMaster calls f with the one Redis, or with all masters of a cluster at once. The
// error joins those of f, each with the name of its node.
func (s *storage) eachMaster(ctx context.Context, f func(context.Context, redis.Cmdable) error) error {
	if s.cluster == nil {
		return f(ctx, s.client)
	}
	masters, err := s.masters(ctx, dialTimeout)
	if err != nil {
		return err
	}
	return s.eachOf(ctx, masters, func(ctx context.Context, node *redis.Client) error { return f(ctx, node) })
}

func (s *storage) eachOf(ctx context.Context, masters []*redis.Client, f func(context.Context, *redis.Client) error) error {
	failures := make([]error, len(masters))
	var asked sync.WaitGroup
	for i, node := range masters {
		asked.Go(func() {
			if err := f(ctx, node); err != nil {
				failures[i] = fmt.Errorf("master %s: %w", node.Options().Addr, err)
			}
		})
	}
	asked.Wait()
	err := errors.Join(failures...)
	if err != nil {
		s.cluster.ReloadState(ctx) // one may be gone, and another in its place
	}
	return err
}

// masters are the cluster's, in the order of their addresses. It asks for the map of the
// cluster no longer than that: the nodes that it comes by may be the ones that do not
// answer, and what was known before may do.
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
	slices.SortFunc(masters, func(a, b *redis.Client) int { return strings.Compare(a.Options().Addr, b.Options().Addr) })
	return masters, err
}

// load gives Redis the scripts, which it forgets when it restarts and on a replica
// that takes over. In a cluster one master suffices for no error: to those that are
// away an append goes in vain anyway, and nobody else should suffer.
func (s *storage) load(ctx context.Context) error {
	var mu sync.Mutex
	loaded := false
	err := s.eachMaster(ctx, func(ctx context.Context, node redis.Cmdable) error {
		if err := s.loadTo(ctx, node); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		loaded = true
		return nil
	})
	if loaded {
		return nil
	}
	return err
}

func (s *storage) loadTo(ctx context.Context, node redis.Cmdable) error {
	for _, script := range []*redis.Script{s.appendScript, s.deleteScript} {
		if err := script.Load(ctx, node).Err(); err != nil {
			return fmt.Errorf("load script: %w", err)
		}
	}
	return nil
}

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
	probes := s.probes(ctx, masters)
	return s.eachOf(ctx, masters, func(ctx context.Context, node *redis.Client) error {
		err := s.checkNode(ctx, node, probes[node])
		if code := replyCode(err); code == "MOVED" || code == "ASK" { // the slot moved since
			return nil
		}
		return err
	})
}

// probes finds a key for each master that it would have, by trying: a master with
// very few slots goes without.
func (s *storage) probes(ctx context.Context, masters []*redis.Client) map[*redis.Client]string {
	probes := map[*redis.Client]string{}
	for i := 0; len(probes) < len(masters) && i < 64*len(masters); i++ {
		key := probeKey + ":{" + strconv.Itoa(i) + "}"
		if node, err := s.cluster.MasterForKey(ctx, key); err == nil && slices.Contains(masters, node) && probes[node] == "" {
			probes[node] = key
		}
	}
	return probes
}
