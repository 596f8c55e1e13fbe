package redis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

// replyCode returns the first word of an error reply, which Redis documents as the kind of error,
// or "" for any other error. It is the only place that looks at the text of an error.
func replyCode(err error) string {
	var reply redis.Error
	if !errors.As(err, &reply) || errors.Is(err, redis.Nil) {
		return ""
	}
	code, _, _ := strings.Cut(reply.Error(), " ")
	return code
}

// broken reports whether there are no replies: the error does not come from Redis.
func broken(err error) bool {
	return err != nil && replyCode(err) == "" && !errors.Is(err, redis.Nil)
}

// some returns the error, or nil if it says that there is no key, or one of another type.
func some(err error) error {
	if errors.Is(err, redis.Nil) || replyCode(err) == "WRONGTYPE" {
		return nil
	}
	return err
}

// explain gives an error of go-redis its identity, and names the Redis that it is about. The
// password is in none of go-redis's or Redis's texts.
func (s *storage) explain(err error) error {
	if err == nil {
		return nil
	}
	switch replyCode(err) {
	case "":
		if errors.Is(err, context.Canceled) {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	case "CROSSSLOT":
		return fmt.Errorf("%s is %w: it is a node of a cluster, want LOGGER_REDIS_MODE=cluster: %w", s.name, sdk.ErrUnavailable, err)
	case "OOM":
		return fmt.Errorf("%s is %w: %w", s.name, sdk.ErrFull, err)
	case "NOAUTH", "WRONGPASS":
		refusal := "it does not accept the value of DEIS_LOGGER_REDIS_PASSWORD"
		if s.settings.Mode == sentinel { // either may have said so
			refusal += ", or a Sentinel that of LOGGER_REDIS_SENTINEL_PASSWORD"
		}
		return fmt.Errorf("%s is %w: %s: %w", s.name, sdk.ErrUnavailable, refusal, err)
	}
	return fmt.Errorf("%s is %w: %w", s.name, sdk.ErrUnavailable, err)
}
