package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/deis/logger/sdk"
)

// The index of apps has three keys, in one slot: their names, when each was active, and sums over
// all. Where the keys of the apps are in the same place, the scripts change it together with the
// apps. In a cluster the plugin changes it right after: if it dies in between, the sums miss the
// change, and the app is listed again within an hour.

// indexKeys are the keys of the index, as the scripts get them.
var indexKeys = []any{namesKey, activeKey, totalsKey}

const (
	listedApps = 500 // the most apps that are listed, counted or forgotten in one page
	describers = 8   // how many apps are looked at at once
	tendEvery  = time.Second
)

// books holds changes of the index that a script left to the plugin.
type books struct {
	stored, evicted, deleted, bytes int64
	listed, unlisted                []string
}

// keepBooks applies the changes that the scripts did not.
func (s *storage) keepBooks(ctx context.Context, b *books) (err error) {
	if s.slots.Load() && (b.stored|b.evicted|b.deleted|b.bytes != 0 || len(b.listed)+len(b.unlisted) > 0) {
		_, err = s.changeIndex(ctx, b)
	}
	return err
}

// changeIndex has a script change the index, and mend it if somebody else wrote to it. Counted is
// false if the sums are lost.
func (s *storage) changeIndex(ctx context.Context, b *books) (counted bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	args := append(make([]any, 0, 6+len(b.listed)+len(b.unlisted)), b.stored, b.evicted, b.deleted, b.bytes, time.Now().Unix(), len(b.listed))
	for _, app := range slices.Concat(b.listed, b.unlisted) {
		args = append(args, app)
	}
	return indexScript.Run(ctx, s.client, []string{namesKey, activeKey, totalsKey}, args...).Bool()
}

// Apps implements [sdk.AppLister].
func (s *storage) Apps(ctx context.Context, after string, limit int) ([]sdk.AppInfo, error) {
	if limit <= 0 || limit > listedApps {
		limit = listedApps
	}
	for {
		from := "-" // the empty name is one
		if after != "" {
			from = "(" + after
		}
		names, err := s.client.ZRangeByLex(ctx, namesKey, &redis.ZRangeBy{Min: from, Max: "+", Count: int64(limit)}).Result()
		if err != nil {
			return nil, fmt.Errorf("list apps: %w", s.explain(err))
		}
		if len(names) == 0 {
			return nil, nil
		}
		infos := make([]sdk.AppInfo, len(names))
		running, within := errgroup.WithContext(ctx)
		running.SetLimit(describers)
		for i, name := range names {
			running.Go(func() (err error) {
				infos[i], err = s.App(within, name)
				return err
			})
		}
		if err := running.Wait(); err != nil {
			return nil, err
		}
		infos = slices.DeleteFunc(infos, func(info sdk.AppInfo) bool { return info.Entries == 0 })
		if len(infos) > 0 {
			return infos, nil
		}
		after = names[len(names)-1] // Redis evicted all of these
	}
}

// App implements [sdk.AppLister].
func (s *storage) App(ctx context.Context, app string) (info sdk.AppInfo, err error) {
	err = s.anew(sdk.ReadOptions{App: app, Limit: 1}, func(v *view) error {
		info = sdk.AppInfo{App: app}
		newest, err := v.newest(ctx)
		if info.Last = newest.Last; err != nil || len(newest.Entries) == 0 {
			return err
		}
		info.Entries, info.Bytes, info.Newest = v.log.kept, v.log.bytes, newest.Entries[0].Published
		oldest, err := v.oldest(ctx, v.log.surplus()+1)
		if oldest != nil {
			info.Oldest = oldest.Published
		}
		return err
	})
	if err != nil {
		return sdk.AppInfo{App: app}, fmt.Errorf("tell of %q: %w", app, s.explain(err))
	}
	return info, nil
}

// Totals implements [sdk.AppLister]. Sums that Redis lost, or that another program overwrote, are 0
// until they are counted anew in the background.
func (s *storage) Totals(ctx context.Context) (sdk.Totals, error) {
	var apps *redis.IntCmd
	var sums *redis.SliceCmd
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		apps = p.ZCard(ctx, namesKey)
		sums = p.HMGet(ctx, totalsKey, "stored", "evicted", "deleted", "bytes")
		return nil
	})
	if some(err) != nil {
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

// Delete implements [sdk.Storage]. Everything about the app goes at once.
func (s *storage) Delete(ctx context.Context, app string) error {
	if err := s.remove(ctx, app, time.Time{}); err != nil {
		return fmt.Errorf("delete %q: %w", app, s.explain(err))
	}
	return nil
}

// remove deletes the keys of an app. If before is not zero, it does so only if the last entry came
// before that, and the entries count as evicted.
func (s *storage) remove(ctx context.Context, app string, before time.Time) error {
	keys, since, as := []string{stateKey(app), blocksKey(app), orderKey(app)}, "", "deleted"
	if !before.IsZero() {
		since, as = strconv.FormatInt(before.Unix(), 10), "evicted"
	}
	if !s.slots.Load() {
		keys = append(keys, namesKey, activeKey, totalsKey)
	}
	// This comes first, so that a log that begins right after is on the list.
	if err := s.keepBooks(ctx, &books{unlisted: []string{app}}); err != nil {
		return err
	}
	answer, err := deleteScript.Run(ctx, s.client, keys, app, since, as, s.settings.Lines, time.Now().Unix()).Int64Slice()
	if err != nil {
		return err
	}
	sums := &books{evicted: answer[0], deleted: answer[1], bytes: answer[2]}
	if answer[3] > 0 { // it is there again, or still
		sums.listed = []string{app}
	}
	return s.keepBooks(ctx, sums)
}

// tend forgets apps that got no entry for keep, again and again until ctx ends. Several hosts may
// do so at once.
func (s *storage) tend(ctx context.Context, keep time.Duration) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			since := time.Time{} // nothing is forgotten
			if keep > 0 {
				since = now.Add(-keep)
			}
			if err := s.forget(ctx, since); err != nil && ctx.Err() == nil {
				s.logger.Debug("the apps are not tended for now", "error", s.explain(err))
			}
		}
	}
}

// forget removes the apps that got no entry since. Before that it mends the index.
func (s *storage) forget(ctx context.Context, since time.Time) error {
	if counted, err := s.changeIndex(ctx, &books{}); err != nil {
		return err
	} else if !counted {
		return s.recount(ctx)
	}
	old := redis.ZRangeBy{Min: "-inf", Max: "(" + strconv.FormatInt(since.Unix(), 10), Count: listedApps}
	for {
		apps, err := s.client.ZRangeByScore(ctx, activeKey, &old).Result()
		for i := 0; i < len(apps) && err == nil; i++ {
			err = s.remove(ctx, apps[i], since)
		}
		if err != nil || len(apps) < listedApps {
			return err
		}
	}
}

// recount makes the sums anew from what the apps keep. They may miss what is appended meanwhile.
func (s *storage) recount(ctx context.Context) error {
	entries, bytes := uint64(0), uint64(0)
	for page := int64(0); ; page += listedApps {
		apps, err := s.client.ZRange(ctx, namesKey, page, page+listedApps-1).Result()
		if err != nil {
			return err
		}
		if len(apps) == 0 {
			break
		}
		logs, err := s.logs(ctx, apps)
		if err != nil {
			return err
		}
		for _, log := range logs {
			entries, bytes = entries+log.kept, bytes+log.bytes
		}
	}
	if counted, err := s.changeIndex(ctx, &books{}); counted || err != nil {
		return err // another host was faster
	}
	_, err := s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, totalsKey)
		p.HSet(ctx, totalsKey, "stored", entries, "bytes", bytes)
		return nil
	})
	return err
}
