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

	"github.com/deis/logger/sdk"
)

// scanCount is how many keys Redis looks at in one step of a scan, and the most
// apps that are asked about in one pipeline.
const scanCount = 500

// describeCount is how many apps are described in one pipeline, which has two blocks of
// each.
const describeCount = 50

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
		keys, next, err := node.Scan(ctx, cursor, blocksPattern, scanCount).Result()
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
		if app, ours := appOfBlocks(key); ours && !l.seen[app] {
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
func (s *storage) describe(ctx context.Context, apps []string) (infos []sdk.AppInfo, err error) {
	infos, apps, err = s.described.unchanged(ctx, s.client, apps)
	if err != nil {
		return nil, err
	}
	for some := range slices.Chunk(apps, describeCount) {
		if infos, err = s.describeSome(ctx, some, infos); err != nil {
			return nil, err
		}
	}
	return infos, nil
}

// describeSome appends what is kept of the apps.
func (s *storage) describeSome(ctx context.Context, apps []string, infos []sdk.AppInfo) ([]sdk.AppInfo, error) {
	type replies struct {
		length, bytes  *redis.IntCmd
		state          *redis.StringCmd
		oldest, newest *redis.StringSliceCmd
	}
	all := make([]replies, len(apps))
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, app := range apps {
			key := blocksKey(app)
			all[i] = replies{
				length: p.LLen(ctx, key),
				bytes:  p.MemoryUsage(ctx, key),
				state:  p.Get(ctx, stateKey(app)),
				oldest: p.LRange(ctx, key, 0, 1),
				newest: p.LRange(ctx, key, -2, -1),
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
		if err != nil {
			if gone(err) {
				continue
			}
			return nil, err
		}
		length := uint64(r.length.Val())
		log, known := parseState(r.state.Val())
		info := sdk.AppInfo{
			App:     apps[i],
			Entries: log.kept,
			Last:    log.last,
			Bytes:   uint64(r.bytes.Val()),
			Oldest:  published(r.oldest.Val(), int(log.total-log.kept)),
			Newest:  published(r.newest.Val(), maxEntries),
		}
		if length > 0 && (!known || length != 2*log.blocks || log.total-log.kept >= log.first) {
			err = s.makeOut(ctx, &info)
		}
		switch {
		case err != nil && !gone(err):
			return nil, err
		case err == nil && length > 0 && info.Entries > 0:
			infos = append(infos, info)
			s.described.keep(log, info)
		}
	}
	return infos, nil
}

// makeOut describes an app whose list is not what its state tells of, or whose oldest entry
// is not in the oldest block: only the script knows what there is.
func (s *storage) makeOut(ctx context.Context, info *sdk.AppInfo) error {
	newest, err := s.Read(ctx, sdk.ReadOptions{App: info.App, Limit: 1})
	if err != nil {
		return err
	}
	if newest.Epoch == 0 { // it is gone meanwhile
		info.Entries = 0
		return nil
	}
	before := sdk.Cursor{Epoch: newest.Epoch, Position: newest.Oldest - 1}
	oldest, err := s.Read(ctx, sdk.ReadOptions{App: info.App, Limit: 1, After: before})
	if err != nil {
		return err
	}
	info.Last = newest.End().Position
	info.Entries = info.Last - before.Position
	if len(newest.Entries) > 0 && len(oldest.Entries) > 0 {
		info.Newest, info.Oldest = when(&newest.Entries[0]), when(&oldest.Entries[0])
	}
	return nil
}

// gone says that a command found no list in the place of the app's.
func gone(err error) bool {
	return errors.Is(err, redis.Nil) || replyCode(err) == "WRONGTYPE"
}

// published is the time of the i-th entry of a block, or the last if it has not so many;
// zero for one that cannot be read. That is when the transport took it, or else its own.
func published(elements []string, i int) time.Time {
	blocks, n := pairs(elements)
	if n == 0 {
		return time.Time{}
	}
	var e sdk.Entry
	blocks[0].at(min(i, n-1), &e)
	return when(&e)
}

func when(e *sdk.Entry) time.Time {
	if e.Published.IsZero() {
		return e.Time
	}
	return e.Published
}
