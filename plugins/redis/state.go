package redis

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

const (
	stateFormat = 6
	stateKept   = 17 // the epoch and the last position come before it
	stateHead   = 49
)

// state holds what Redis says of a log; see state.lua.
type state struct {
	epoch, last uint64
	kept        uint64 // entries that are kept
	entries     uint64 // entries that are stored
	blocks      uint64
	bytes       uint64 // of the blocks
	span        int64  // the longest time between the publish times of a block, in nanoseconds
	version     uint64 // of the state as a whole: every append changes it; 0 if there is none
	// whole says that the keys agree. They do unless Redis evicted one of them or another program
	// wrote to it. Then the log has to be mended.
	whole bool
}

// surplus returns how many entries are stored but not kept.
func (s *state) surplus() int { return int(s.entries - min(s.kept, s.entries)) }

// ask asks for a log's state, and for how many blocks its other keys have. It asks key by key,
// since a cluster that moves a slot answers nothing else. Call answer once the replies are there.
func (s *storage) ask(ctx context.Context, p redis.Pipeliner, app string) (answer func() (state, error)) {
	text, blocks, order := p.Get(ctx, stateKey(app)), p.XLen(ctx, blocksKey(app)), p.ZCard(ctx, orderKey(app))
	return func() (log state, err error) {
		if err := cmp.Or(some(text.Err()), some(blocks.Err()), some(order.Err())); err != nil {
			return state{}, err
		}
		b, none := []byte(text.Val()), errors.Is(text.Err(), redis.Nil)
		short := func(at int) uint64 { return uint64(binary.BigEndian.Uint32(b[at:])) }
		long := func(at int) uint64 { return binary.BigEndian.Uint64(b[at:]) }
		if len(b) >= stateHead && b[0] == stateFormat && long(1) != 0 {
			log = state{
				epoch: long(1), last: long(9), kept: short(stateKept), entries: short(21), blocks: short(25),
				bytes: long(29), span: int64(short(45)),
			}
			log.kept = min(log.kept, uint64(s.settings.Lines)) // the script does so at the next append
		}
		log.whole = none == (log.epoch == 0) && blocks.Err() == nil && order.Err() == nil &&
			uint64(blocks.Val()) == log.blocks && uint64(order.Val()) == log.blocks
		if log.whole && !none {
			h := fnv.New64a()
			_, _ = h.Write(binary.BigEndian.AppendUint64(b, uint64(s.settings.Lines)))
			log.version = max(h.Sum64(), 1)
		}
		return log, nil
	}
}

// logs asks for the states of apps.
func (s *storage) logs(ctx context.Context, apps []string) (logs []state, err error) {
	answers := make([]func() (state, error), len(apps))
	_, _ = s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, app := range apps {
			answers[i] = s.ask(ctx, p, app)
		}
		return nil
	})
	logs = make([]state, len(apps))
	for i := range apps {
		if logs[i], err = answers[i](); err != nil {
			return nil, err
		}
	}
	return logs, nil
}

// Versions implements [sdk.Versioner].
func (s *storage) Versions(ctx context.Context, apps []string) ([]uint64, error) {
	logs, err := s.logs(ctx, apps)
	if err != nil {
		return nil, fmt.Errorf("ask for versions: %w", s.explain(err))
	}
	versions := make([]uint64, len(apps))
	for i := range logs {
		versions[i] = logs[i].version
	}
	return versions, nil
}

// newEpoch returns a random number that no other life of a log has, and neither 0 nor that of
// [sdk.Beginning].
func newEpoch() string {
	return epochBytes(1 + rand.Uint64N(sdk.Beginning().Epoch-1)) //nolint:gosec // a name, not a secret
}

// epochBytes returns an epoch in the scripts' form.
func epochBytes(epoch uint64) string { return string(binary.BigEndian.AppendUint64(nil, epoch)) }
