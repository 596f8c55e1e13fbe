package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

// replyCode is the first word of an error reply: the part that Redis documents as
// the kind of error, and its clients tell errors by. It is the only place where the
// text of an error is looked at. It is empty for what is no error reply.
func replyCode(err error) string {
	var reply redis.Error
	if !errors.As(err, &reply) || errors.Is(err, redis.Nil) {
		return ""
	}
	code, _, _ := strings.Cut(reply.Error(), " ")
	return code
}

// explain gives an error of go-redis its identity, and says whose it is. The
// password is in none of go-redis's or Redis's texts.
func (s *storage) explain(err error) error {
	if err == nil {
		return nil
	}
	switch replyCode(err) {
	case "":
		// No reply: refused, broken or silent connections, a deadline, a full pool.
		if errors.Is(err, context.Canceled) {
			return fmt.Errorf("redis at %s: %w", s.addr, err)
		}
		return fmt.Errorf("redis at %s is %w: %w", s.addr, sdk.ErrUnavailable, err)
	case "OOM":
		return fmt.Errorf("redis at %s is %w: %w", s.addr, sdk.ErrFull, err)
	case "NOAUTH", "WRONGPASS":
		return fmt.Errorf("redis at %s is %w: it does not accept the value of DEIS_LOGGER_REDIS_PASSWORD: %w",
			s.addr, sdk.ErrUnavailable, err)
	case "READONLY", "LOADING", "BUSY", "MASTERDOWN", "MISCONF", "NOREPLICAS", "NOPERM", "NOSCRIPT", "CLUSTERDOWN", "TRYAGAIN":
		return fmt.Errorf("redis at %s is %w: %w", s.addr, sdk.ErrUnavailable, err)
	default:
		return fmt.Errorf("redis at %s: %w", s.addr, err)
	}
}
