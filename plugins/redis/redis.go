// Package redis is the storage plugin that keeps each app's newest entries in a
// Redis list.
//
// What Redis holds of an app is a list of its entries, in blocks, oldest first, and a
// state: the epoch of the log, the position of its last entry, and for each of the writers
// that appended last the highest batch that it stored. A transaction, or a Lua script,
// changes both at once, so a reader that finds the same state before and after the list
// has what was there at one moment; and a batch that arrives again, be it long after its
// sender gave up on it, finds its own mark and is ignored.
//
// The marks are kept for the 16 writers that stored most recently in the app. A
// repetition by a writer that 16 others have displaced since, or after a Delete, is
// stored again.
package redis

import (
	"context"
	_ "embed"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

const (
	// A Redis that serves answers within milliseconds, one that forks or syncs its
	// disk within a second. Beyond these the call fails and the host tries again:
	// that is safe, and keeps a frozen Redis from freezing anyone else.
	dialTimeout  = time.Second
	writeTimeout = 2 * time.Second
	readTimeout  = 2 * time.Second
	// checkTimeout leaves the answer of Check some room within its second.
	checkTimeout = 750 * time.Millisecond

	// connections is the most that are open at once: the lanes of an append, and
	// readers, each of which is done within a millisecond.
	connections = 32
	// connectionBuffer holds a pipeline of 50 lines, or a page of 100.
	connectionBuffer = 32 << 10
)

//go:embed state.lua
var stateSource string

//go:embed append.lua
var appendSource string

//go:embed read.lua
var readSource string

var (
	_ sdk.Storage     = (*storage)(nil)
	_ sdk.AppLister   = (*storage)(nil)
	_ sdk.Checker     = (*storage)(nil)
	_ sdk.BatchCopier = (*storage)(nil)
)

// storage keeps entries in one Redis, or in a cluster: each command uses the keys of
// one app, which have one slot.
type storage struct {
	client       redis.UniversalClient
	cluster      *redis.ClusterClient // the same; nil if it is none
	scripted     atomic.Bool          // every run goes by the append script, see exchange.go
	appendScript *redis.Script
	readScript   *redis.Script
	settings     Settings
	addr         string // what the settings name, comma-separated
	name         string // the same, as an error calls it
	logger       hclog.Logger

	wakes wakes // of those who follow

	shapes shapes // of the apps' logs
	// described are logs that were listed before.
	described described

	// stopped is how far the last append came that was too slow, so that trying it
	// again goes on from there.
	mu      sync.Mutex
	stopped progress
}

// Open makes the storage. It does not need Redis to be there yet: see Check. The
// storage is an [io.Closer].
func Open(_ context.Context, settings Settings, host sdk.Host) (sdk.Storage, error) {
	target, err := settings.target()
	if err != nil {
		return nil, err
	}
	logger := host.Logger
	if logger == nil {
		logger = hclog.NewNullLogger()
	}
	// go-redis prints to stderr what it returns to us as errors anyway.
	logging.Disable()
	s := &storage{
		appendScript: redis.NewScript(stateSource + appendSource),
		readScript:   redis.NewScript(stateSource + readSource),
		settings:     settings,
		addr:         strings.Join(target.addrs, ","),
		name:         settings.describeTarget(target.addrs),
		logger:       logger,
	}
	s.client = s.connect(target)
	return s, nil
}

// Close closes the connections.
func (s *storage) Close() error { return s.client.Close() }

// newEpoch is a number that no other life of a log has: random, and not 0.
func newEpoch() string {
	for {
		if epoch := rand.Uint64(); epoch != 0 { //nolint:gosec // a name, not a secret
			return epochText(epoch)
		}
	}
}
