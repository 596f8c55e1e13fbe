package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
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
	l := &listing{storage: s, seen: map[string]bool{}}
	if err := s.eachMaster(ctx, l.scan); err != nil {
		return nil, fmt.Errorf("list apps: %w", s.explain(err))
	}
	return l.infos, nil
}

// listing is one call of Apps. The masters of a cluster are scanned at once.
type listing struct {
	*storage
	mu    sync.Mutex
	infos []sdk.AppInfo
	// seen has the apps that a scan came by: a key may come twice, and from two nodes
	// while its slot moves.
	seen map[string]bool
}

// scan adds what one node has.
func (l *listing) scan(ctx context.Context, node redis.Cmdable) error {
	for cursor := uint64(0); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		keys, next, err := node.Scan(ctx, cursor, linesPattern, scanCount).Result()
		if err != nil {
			return err
		}
		if apps := l.fresh(keys); len(apps) > 0 {
			// By the cluster's own client: a slot may have moved since.
			infos, err := l.describe(ctx, apps)
			if err != nil {
				return err
			}
			l.mu.Lock()
			l.infos = append(l.infos, infos...)
			l.mu.Unlock()
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}

// fresh are the apps of the keys that no scan came by before.
func (l *listing) fresh(keys []string) (apps []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, key := range keys {
		if app, ours := appOfLines(key); ours && !l.seen[app] {
			l.seen[app] = true
			apps = append(apps, app)
		}
	}
	return apps
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

// describe is what is kept of the apps. One that has no entries any more is left out,
// and so is a key that is no list.
func (s *storage) describe(ctx context.Context, apps []string) ([]sdk.AppInfo, error) {
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
	infos := make([]sdk.AppInfo, 0, len(apps))
	for i, r := range all {
		for _, command := range []redis.Cmder{r.length, r.bytes, r.oldest, r.newest} {
			if err = command.Err(); err != nil {
				break
			}
		}
		switch {
		case err == nil:
			// A list whose state is gone counts from its own oldest entry.
			entries := uint64(r.length.Val())
			log, known := parseState(r.state.Val())
			if !known {
				log.last = entries
			} else {
				entries = min(entries, log.kept)
			}
			if entries == 0 {
				continue
			}
			infos = append(infos, sdk.AppInfo{
				App:     apps[i],
				Entries: entries,
				Last:    log.last,
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
