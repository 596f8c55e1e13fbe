package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

// scanCount is how many keys Redis looks at in one step of a scan, and the most
// apps that are asked about in one pipeline.
const scanCount = 500

// Apps implements [sdk.AppLister]. It walks the keys of the database: there is no
// index of the apps, which eviction by Redis could make wrong and which in a cluster
// no write could keep together with an app's keys. A million keys take about a
// second of small steps, between which Redis serves others.
func (s *storage) Apps(ctx context.Context) ([]sdk.AppInfo, error) {
	var infos []sdk.AppInfo
	seen := map[string]bool{} // a scan may come by a key twice
	for cursor := uint64(0); ; {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("list apps: %w", s.explain(err))
		}
		keys, next, err := s.client.Scan(ctx, cursor, linesPattern, scanCount).Result()
		if err != nil {
			return nil, fmt.Errorf("list apps: %w", s.explain(err))
		}
		var apps []string
		for _, key := range keys {
			if app, ours := appOfLines(key); ours && !seen[app] {
				seen[app] = true
				apps = append(apps, app)
			}
		}
		if len(apps) > 0 {
			if infos, err = s.describe(ctx, infos, apps); err != nil {
				return nil, fmt.Errorf("list apps: %w", s.explain(err))
			}
		}
		if cursor = next; cursor == 0 {
			return infos, nil
		}
	}
}

// Departed implements [sdk.Accountant]. What Redis itself evicts or forgets is not known.
func (s *storage) Departed(ctx context.Context) (sdk.Departed, error) {
	values, err := s.client.HMGet(ctx, departedKey, "evicted", "deleted").Result()
	if err != nil {
		return sdk.Departed{}, fmt.Errorf("count what is gone: %w", s.explain(err))
	}
	count := func(value any) uint64 {
		text, _ := value.(string) // nil before the first delete
		n, _ := strconv.ParseUint(text, 10, 64)
		return n
	}
	return sdk.Departed{Evicted: count(values[0]), Deleted: count(values[1])}, nil
}

// describe appends what is kept of the apps. One that has no entries any more is
// left out, and so is a key that is no list.
func (s *storage) describe(ctx context.Context, infos []sdk.AppInfo, apps []string) ([]sdk.AppInfo, error) {
	type replies struct {
		length, bytes  *redis.IntCmd
		oldest, newest *redis.StringCmd
		state          *redis.StringCmd
	}
	all := make([]replies, len(apps))
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, app := range apps {
			key := linesKey(app)
			all[i] = replies{
				length: p.LLen(ctx, key),
				bytes:  p.MemoryUsage(ctx, key),
				oldest: p.LIndex(ctx, key, 0),
				newest: p.LIndex(ctx, key, -1),
				state:  p.Get(ctx, stateKey(app)),
			}
		}
		return nil
	})
	if err != nil && !gone(err) {
		return nil, err
	}
	for i, r := range all {
		for _, command := range []redis.Cmder{r.length, r.bytes, r.oldest, r.newest} {
			if err = command.Err(); err != nil {
				break
			}
		}
		switch {
		case err == nil:
			// A list whose state is gone counts from its own oldest entry.
			_, last, known := parseState(r.state.Val())
			if !known {
				last = uint64(r.length.Val())
			}
			infos = append(infos, sdk.AppInfo{
				App:     apps[i],
				Entries: uint64(r.length.Val()),
				Last:    last,
				Bytes:   uint64(r.bytes.Val()),
				Oldest:  published(r.oldest.Val()),
				Newest:  published(r.newest.Val()),
			})
		case !gone(err):
			return nil, err
		}
	}
	return infos, nil
}

// gone says that a command found no list in the place of the app's.
func gone(err error) bool {
	return errors.Is(err, redis.Nil) || replyCode(err) == "WRONGTYPE"
}

// published is when the transport took the entry, or else its own time; the zero
// time for a value that cannot be read.
func published(value string) time.Time {
	e := decodeAll([]string{value})[0]
	if e.Published.IsZero() {
		return e.Time
	}
	return e.Published
}
