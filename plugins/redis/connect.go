package redis

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

const (
	// callTimeout bounds a call to a cluster or to what Sentinels lead to: go-redis tries several
	// nodes, each with the time limits of a single one.
	callTimeout = 3 * time.Second
	// redirects bounds how often a call follows a slot that has moved.
	redirects = 3
)

// connect makes the client. Redis need not be there yet.
func (s *storage) connect(t target) redis.UniversalClient {
	dial := redis.NewDialer(&redis.Options{DialTimeout: dialTimeout, TLSConfig: t.tls})
	client := redis.NewUniversalClient(&redis.UniversalOptions{
		Addrs: t.addrs,
		Dialer: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			s.dials.Count(err)
			return conn, err
		},
		TLSConfig:        t.tls,
		Username:         s.settings.Username,
		Password:         s.settings.Password,
		DB:               s.settings.DB,
		MasterName:       s.settings.SentinelMaster,
		SentinelPassword: s.settings.SentinelPassword,
		ClientName:       "logger",
		Protocol:         2, // there is nothing in the third version that we use

		DialTimeout:           dialTimeout,
		WriteTimeout:          readTimeout,
		ReadTimeout:           readTimeout,
		PoolTimeout:           readTimeout,
		ContextTimeoutEnabled: true,
		// A retry would be safe, but the host retries, and knows the deadline.
		MaxRetries:    -1,
		DialerRetries: 1,
		MaxRedirects:  redirects,

		PoolSize:        connections,
		MaxActiveConns:  connections,
		ReadBufferSize:  connectionBuffer,
		WriteBufferSize: connectionBuffer,
		// The pool of its own that go-redis has for pipelines falls back to the other
		// one when it cannot dial, which doubles the time until an error.
		PipelinePoolSize: -1,

		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		IsClusterMode:            s.settings.Mode == cluster,
	})
	s.cluster, _ = client.(*redis.ClusterClient)
	s.slots.Store(s.cluster != nil)
	if s.settings.Mode != single {
		client.AddHook(outermost{cluster: s.cluster})
	}
	prepare := func(node *redis.Client) {
		s.nodes.Store(node.Options().Addr, node)
		if replicas := s.settings.WaitReplicas; replicas > 0 {
			node.AddHook(confirmation{replicas: replicas})
		}
	}
	if s.cluster != nil {
		s.cluster.OnNewNode(prepare)
	} else {
		prepare(client.(*redis.Client))
	}
	return client
}

// describeTarget returns the name in errors of the Redis that the settings lead to.
func (s *Settings) describeTarget(addrs []string) string {
	list := strings.Join(addrs, ",")
	return map[string]string{
		single:   "redis at " + list,
		cluster:  "redis cluster at " + list,
		sentinel: fmt.Sprintf("redis %q of the sentinels at %s", s.SentinelMaster, list),
	}[s.Mode]
}

// outermost implements a hook that sees each call to a cluster, or to what Sentinels lead to, as a
// whole.
type outermost struct {
	calls
	cluster *redis.ClusterClient // nil if it is none
}

// ProcessHook implements [redis.Hook].
func (o outermost) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		return o.call(ctx, func(ctx context.Context) error { return next(ctx, cmd) })
	}
}

// ProcessPipelineHook implements [redis.Hook].
func (o outermost) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		return o.call(ctx, func(ctx context.Context) error { return next(ctx, cmds) })
	}
}

func (o outermost) call(ctx context.Context, call func(context.Context) error) error {
	within, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := call(within)
	if some(err) != nil && o.cluster != nil {
		// It asks for the map of the cluster anew, in the background. go-redis does so when a node
		// says that a slot has moved; a dead node does not say it.
		o.cluster.ReloadState(context.WithoutCancel(ctx)) // outlives the call
	}
	return err
}
