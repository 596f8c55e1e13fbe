package redis

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

// described remembers what was found out of logs, so that of one that has not changed
// since, which most have not, no block has to be fetched again for the times of its oldest
// and newest entry: listing 10,000 apps would take 100 MB out of Redis each time.
type described struct {
	mu  sync.Mutex
	app map[string]description
}

type description struct {
	state state
	info  sdk.AppInfo
}

// mostDescribed bounds what is remembered, to some 20 MB. All is forgotten beyond it.
const mostDescribed = 100_000

// keep remembers a log whose list is what its state says.
func (d *described) keep(log state, info sdk.AppInfo) {
	if info.Last != log.last || info.Entries != log.kept {
		return // it had to be made out in another way
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.app == nil || len(d.app) >= mostDescribed {
		d.app = make(map[string]description)
	}
	d.app[info.App] = description{log, info}
}

func (d *described) of(app string) (description, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	known, ok := d.app[app]
	return known, ok
}

// unchanged describes those of the apps that are as they were, and returns the others.
func (d *described) unchanged(ctx context.Context, client redis.UniversalClient, apps []string) (infos []sdk.AppInfo, others []string, err error) {
	type replies struct {
		known         description
		length, bytes *redis.IntCmd
		state         *redis.StringCmd
	}
	asked := make([]replies, 0, len(apps))
	_, err = client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, app := range apps {
			known, ok := d.of(app)
			if !ok {
				others = append(others, app)
				continue
			}
			key := blocksKey(app)
			asked = append(asked, replies{known, p.LLen(ctx, key), p.MemoryUsage(ctx, key), p.Get(ctx, stateKey(app))})
		}
		return nil
	})
	if err != nil && !gone(err) {
		return nil, nil, err
	}
	for _, r := range asked {
		log, ok := parseState(r.state.Val())
		if err := errors.Join(r.length.Err(), r.bytes.Err(), r.state.Err()); err != nil || !ok || log != r.known.state || uint64(r.length.Val()) != 2*log.blocks {
			others = append(others, r.known.info.App)
			continue
		}
		r.known.info.Bytes = uint64(r.bytes.Val())
		infos = append(infos, r.known.info)
	}
	return infos, others, nil
}
