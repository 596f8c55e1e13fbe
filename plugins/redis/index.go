package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

// The apps have an index of three keys, in one slot: their names, when each was active, and
// sums over all. Where the keys of the apps are in the same place, the scripts change it
// together with the apps. In a cluster the plugin does, right after: if it dies in between,
// the sums stay as they are, and an app is put on the list again within an hour.

// indexKeys are what the scripts get.
var indexKeys = []any{namesKey, activeKey, totalsKey}

const (
	listedApps    = 500 // the most apps that are listed in one page
	describers    = 8   // how many apps are looked at at once
	forgottenApps = 100 // how many apps are asked for at once that may have to be forgotten
)

// books are changes of the index that a script left to the plugin.
type books struct {
	stored, evicted, deleted, bytes int64
	listed, unlisted                []string
}

// keepBooks writes them down.
func (s *storage) keepBooks(ctx context.Context, b *books) error {
	if !s.slots.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for field, n := range map[string]int64{"stored": b.stored, "evicted": b.evicted, "deleted": b.deleted, "bytes": b.bytes} {
			if n != 0 {
				p.HIncrBy(ctx, totalsKey, field, n)
			}
		}
		for _, app := range b.listed {
			p.ZAdd(ctx, namesKey, redis.Z{Member: app})
			p.ZAdd(ctx, activeKey, redis.Z{Member: app, Score: float64(time.Now().Unix())})
		}
		for _, app := range b.unlisted {
			p.ZRem(ctx, namesKey, app)
			p.ZRem(ctx, activeKey, app)
		}
		return nil
	})
	if replyCode(err) == "WRONGTYPE" { // somebody else's: it goes, and fills again
		for _, key := range []string{namesKey, activeKey, totalsKey} {
			err = s.client.Del(ctx, key).Err()
		}
	}
	return err
}

// relist is after how long an app that is active is put on the list again.
func (s *storage) relist() time.Duration {
	relist := time.Hour
	if keep := time.Duration(s.settings.Retention); keep > 0 {
		relist = min(relist, keep/8)
	}
	return max(relist, time.Second)
}

// Apps implements [sdk.AppLister].
func (s *storage) Apps(ctx context.Context, after string, limit int) ([]sdk.AppInfo, error) {
	if limit <= 0 || limit > listedApps {
		limit = listedApps
	}
	for {
		from := "-"
		if after != "" {
			from = "(" + after
		}
		names, err := s.client.ZRangeByLex(ctx, namesKey, &redis.ZRangeBy{Min: from, Max: "+", Count: int64(limit)}).Result()
		if some(err) != nil {
			return nil, fmt.Errorf("list apps: %w", s.explain(err))
		}
		if len(names) == 0 {
			return nil, nil
		}
		infos, failures := make([]sdk.AppInfo, len(names)), make([]error, len(names))
		var running sync.WaitGroup
		for worker := range describers {
			running.Go(func() {
				for i := worker; i < len(names); i += describers {
					infos[i], failures[i] = s.App(ctx, names[i])
				}
			})
		}
		running.Wait()
		for _, err := range failures {
			if err != nil {
				return nil, err
			}
		}
		infos = slices.DeleteFunc(infos, func(info sdk.AppInfo) bool { return info.Entries == 0 })
		if len(infos) > 0 {
			return infos, nil
		}
		after = names[len(names)-1] // Redis evicted all of these
	}
}

// App implements [sdk.AppLister].
func (s *storage) App(ctx context.Context, app string) (sdk.AppInfo, error) {
	info := sdk.AppInfo{App: app}
	v := s.view(sdk.ReadOptions{App: app})
	v.back, v.from = true, "+"
	if err := v.look(ctx, 1); err != nil {
		return info, fmt.Errorf("tell of %q: %w", app, s.explain(err))
	}
	if info.Last = v.log.last; len(v.index) == 0 || v.log.kept == 0 {
		return info, nil
	}
	oldest, err := s.Read(ctx, sdk.ReadOptions{App: app, Limit: 1, After: v.page.End().HistoryBegin()})
	if err == nil && len(oldest.Entries) > 0 {
		info.Entries, info.Bytes = v.log.kept, v.log.bytes
		info.Oldest, info.Newest = oldest.Entries[0].Published, time.Unix(0, v.index[0].at).UTC()
	}
	return info, err
}

// Totals implements [sdk.AppLister]. What Redis itself evicts of the keys is not known.
func (s *storage) Totals(ctx context.Context) (sdk.Totals, error) {
	var apps *redis.IntCmd
	var sums *redis.SliceCmd
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		apps = p.ZCard(ctx, namesKey)
		sums = p.HMGet(ctx, totalsKey, "stored", "evicted", "deleted", "bytes")
		return nil
	})
	if err != nil && replyCode(err) != "WRONGTYPE" {
		return sdk.Totals{}, fmt.Errorf("sum up: %w", s.explain(err))
	}
	var n [4]uint64
	for i, value := range sums.Val() {
		text, _ := value.(string) // nil before the first append
		n[i], _ = strconv.ParseUint(text, 10, 64)
	}
	return sdk.Totals{
		Apps: uint64(apps.Val()), Entries: n[0] - min(n[0], n[1]+n[2]), Bytes: n[3], Stored: n[0], Evicted: n[1], Deleted: n[2],
	}, nil
}

// Versions implements [sdk.Versioner].
func (s *storage) Versions(ctx context.Context, apps []string) ([]uint64, error) {
	states := make([]asked, len(apps))
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, app := range apps {
			states[i] = s.ask(ctx, p, app)
		}
		return nil
	})
	versions := make([]uint64, len(apps))
	for i := range apps {
		if err = some(err); err == nil {
			_, versions[i], err = s.answer(states[i])
		}
	}
	if err != nil {
		return nil, fmt.Errorf("ask for versions: %w", s.explain(err))
	}
	return versions, nil
}

// Delete implements [sdk.Storage]. All that is known of the app goes at once.
func (s *storage) Delete(ctx context.Context, app string) error {
	if err := s.remove(ctx, app, time.Time{}); err != nil {
		return fmt.Errorf("delete %q: %w", app, s.explain(err))
	}
	return nil
}

// remove deletes the keys of an app, if before is not zero only if its last entry came before
// that; then the entries count as evicted.
func (s *storage) remove(ctx context.Context, app string, before time.Time) error {
	keys, since, as := []string{stateKey(app), blocksKey(app), orderKey(app)}, "", "deleted"
	if !before.IsZero() {
		since, as = strconv.FormatInt(before.Unix(), 10), "evicted"
	}
	slots := s.slots.Load()
	if slots { // first, so that a log that begins right after is on the list
		if err := s.keepBooks(ctx, &books{unlisted: []string{app}}); err != nil {
			return err
		}
	} else {
		keys = append(keys, namesKey, activeKey, totalsKey)
	}
	answer, err := deleteScript.Run(ctx, s.client, keys, app, since, as).Int64Slice()
	switch {
	case replyCode(err) == "CROSSSLOT" && !slots:
		s.slots.Store(true)
		return s.remove(ctx, app, before)
	case err != nil:
		return err
	case len(answer) != 3:
		return errReply
	case !slots:
		return nil
	case since != "" && answer[2] >= before.Unix():
		return s.keepBooks(ctx, &books{listed: []string{app}})
	case since != "":
		return s.keepBooks(ctx, &books{evicted: answer[0], bytes: -answer[1]})
	}
	return s.keepBooks(ctx, &books{deleted: answer[0], bytes: -answer[1]})
}

// tend forgets apps that got no entry for that long, round by round, until ctx ends. Several
// hosts may do so at once.
func (s *storage) tend(ctx context.Context, keep time.Duration) {
	round := time.NewTicker(min(max(keep/16, time.Second), 10*time.Minute))
	defer round.Stop()
	for {
		select {
		case <-round.C:
		case <-ctx.Done():
			return
		}
		before := time.Now().Add(-keep)
		old := redis.ZRangeBy{Min: "-inf", Max: "(" + strconv.FormatInt(before.Unix(), 10), Count: forgottenApps}
		for more := true; more; {
			apps, err := s.client.ZRangeByScore(ctx, activeKey, &old).Result()
			for i := 0; i < len(apps) && err == nil; i++ {
				err = s.remove(ctx, apps[i], before)
			}
			if more = err == nil && len(apps) == forgottenApps; some(err) != nil && ctx.Err() == nil {
				s.logger.Warn("apps that get no lines stay for now", "error", s.explain(err))
			}
		}
	}
}
