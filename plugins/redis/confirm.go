package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// waitTimeout bounds how long Redis may wait for its replicas. It is well below readTimeout, so
// that Redis answers before the connection counts as broken.
const waitTimeout = time.Second

// errUnconfirmed is the error when too few replicas have an append. The append is not undone: the
// host repeats the batch until it is confirmed, and it is stored once.
var errUnconfirmed = errors.New("too few replicas have confirmed a write")

// calls implements a hook that changes nothing.
type calls struct{}

// DialHook implements [redis.Hook].
func (calls) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements [redis.Hook].
func (calls) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

// ProcessPipelineHook implements [redis.Hook].
func (calls) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// confirmation makes an append, which always is a pipeline, count only once so many replicas have
// it. It is a hook of the client of one node, since WAIT is about the connection's own writes. An
// append that finds its entries stored writes all the same (see append.lua), so this holds for it
// too.
type confirmation struct {
	calls
	replicas int
}

// ProcessPipelineHook implements [redis.Hook].
func (c confirmation) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		// The cluster's client sends again what it could not send, our WAIT included,
		// which may have come to another node than its appends.
		cmds = slices.DeleteFunc(slices.Clone(cmds), func(cmd redis.Cmder) bool { return cmd.Name() == "wait" })
		if len(cmds) == 0 {
			return nil
		}
		if name := cmds[0].Name(); name != "evalsha" && name != "eval" {
			return next(ctx, cmds)
		}
		within := waitTimeout
		if end, ok := ctx.Deadline(); ok {
			within = max(time.Millisecond, min(within, time.Until(end)/2)) // Redis reads 0 as no limit
		}
		wait := redis.NewIntCmd(ctx, "wait", c.replicas, within.Milliseconds())
		err := next(ctx, append(cmds, wait))
		switch have := wait.Val(); {
		case broken(err) || wait.Err() == nil && have >= int64(c.replicas):
			return err
		case wait.Err() != nil:
			err = wait.Err()
		default:
			err = fmt.Errorf("%w: %d within %s, LOGGER_REDIS_WAIT_REPLICAS=%d wants more", errUnconfirmed, have, within.Round(time.Millisecond), c.replicas)
		}
		for _, cmd := range cmds {
			if cmd.Err() == nil {
				cmd.SetErr(err)
			}
		}
		return err
	}
}
