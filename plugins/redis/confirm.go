package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// waitTimeout is how long Redis may wait for its replicas. It is well below
// readTimeout, so that the answer is Redis's and not a connection that broke.
const waitTimeout = time.Second

// errUnconfirmed is the cause when too few replicas have an append. It is not undone:
// the same batch is appended again, and once it is confirmed it was stored once.
var errUnconfirmed = errors.New("too few replicas have confirmed the append")

// confirmation makes an append count only once so many replicas have it. It is a hook
// of the client of one node, since WAIT speaks of the connection's own writes: it
// goes at the end of each pipeline of appends. An append that finds its entries there
// already writes all the same (see append.lua), so that this holds for it, too.
type confirmation struct{ replicas int }

// DialHook implements [redis.Hook].
func (c confirmation) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook implements [redis.Hook]. Appends are always in pipelines.
func (c confirmation) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

// ProcessPipelineHook implements [redis.Hook].
func (c confirmation) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		// The cluster's client sends again what it could not send, our WAIT included,
		// which may have come to another node than its appends.
		cmds = slices.DeleteFunc(slices.Clone(cmds), func(cmd redis.Cmder) bool { return cmd.Name() == "wait" })
		if len(cmds) == 0 {
			return nil
		}
		if !slices.ContainsFunc(cmds, isAppend) {
			return next(ctx, cmds)
		}
		wait := redis.NewIntCmd(ctx, "wait", c.replicas, waitTimeout.Milliseconds())
		err := next(ctx, append(cmds, wait))
		if broken(err) {
			return err
		}
		if waitErr := wait.Err(); waitErr != nil {
			err = waitErr
		} else if have := wait.Val(); have < int64(c.replicas) {
			err = fmt.Errorf("%w: %d of %d within %s", errUnconfirmed, have, c.replicas, waitTimeout)
		} else {
			return err
		}
		for _, cmd := range cmds {
			if cmd.Err() == nil {
				cmd.SetErr(err)
			}
		}
		return err
	}
}

// isAppend knows the commands that no other pipeline has.
func isAppend(cmd redis.Cmder) bool { return cmd.Name() == "evalsha" || cmd.Name() == "eval" }
