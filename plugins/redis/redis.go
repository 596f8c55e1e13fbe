// Package redis is the storage plugin that keeps each app's newest entries in Redis.
//
// For each app Redis has a stream of blocks of entries in the order of arrival, a sorted set that
// has the blocks in the order of publishing, and a state. One Lua script has all the rules of
// appending (append.lua). Reading is plain commands, and its rules are in Go (read.go). The state
// changes together with everything else, and says which batches are stored: it has a mark for each
// of the 16 writers that stored most recently in the app. A batch is stored again if it is repeated
// after 16 other writers have displaced its writer, or after a Delete.
package redis

import (
	"cmp"
	"context"
	_ "embed"
	"os"
	"runtime/debug"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

const (
	// A healthy Redis answers within milliseconds; one that forks or syncs its disk, within a
	// second. After these times the call fails, and the host tries again.
	dialTimeout = time.Second
	readTimeout = 2 * time.Second // and that of a write
	// checkTimeout leaves some of Check's second for its answer.
	checkTimeout = 750 * time.Millisecond
	// connections bounds the open connections. They serve the lanes of an append and readers, each
	// of which takes less than a millisecond.
	connections = 32
	// connectionBuffer holds a pipeline of 50 lines, or a page of 100.
	connectionBuffer = 32 << 10
)

var (
	//go:embed state.lua
	stateSource string
	//go:embed append.lua
	appendSource string
	//go:embed delete.lua
	deleteSource string
	//go:embed index.lua
	indexSource string
	//go:embed since.lua
	sinceSource string // which is so short that it is sent each time

	appendScript = stateSource + appendSource
	appendHash   = redis.NewScript(appendScript).Hash()
	deleteScript = redis.NewScript(stateSource + deleteSource)
	indexScript  = redis.NewScript(stateSource + indexSource)
)

var _ interface {
	sdk.Storage
	sdk.AppLister
	sdk.Checker
	sdk.Follower
	sdk.Versioner
	sdk.Exposer
} = (*storage)(nil)

// storage keeps entries in one Redis, or in a cluster.
type storage struct {
	*measured

	client   redis.UniversalClient
	cluster  *redis.ClusterClient // the same; nil if it is none
	slots    atomic.Bool          // each app has a slot of its own: a call of a script has one app
	settings Settings
	name     string // what the settings lead to, as an error calls it
	logger   hclog.Logger

	close     context.CancelFunc
	tended    chan struct{} // closed after close
	followers sdk.Followers // by state key
}

// garbage bounds how much the heap may grow between two collections, in percent. Little lives in it
// for longer than a call, so with Go's default of 100, collecting would take much of a search's
// time.
const garbage = 200

// Serve runs the plugin, of that version: it is the whole main function.
func Serve(version string) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
	sdk.ServeStorage(sdk.Info{
		Name: "redis", Version: version, Inspectable: true,
		Doc: "keeps each app's newest lines in Redis",
	}, Open)
}

// Open makes the storage. Redis need not be there yet: see Check. The storage is an [io.Closer].
func Open(_ context.Context, settings Settings, host sdk.Host) (sdk.Storage, error) {
	target, err := settings.target()
	if err != nil {
		return nil, err
	}
	// go-redis also prints to stderr the errors that it returns to us.
	logging.Disable()
	s := &storage{
		measured: newMeasured(),
		settings: settings,
		name:     settings.describeTarget(target.addrs),
		logger:   cmp.Or[hclog.Logger](host.Logger, hclog.NewNullLogger()),
		tended:   make(chan struct{}),
	}
	s.client = s.connect(target)
	s.followers.Listen = s.listen
	var ctx context.Context
	ctx, s.close = context.WithCancel(context.Background())
	go func() {
		defer close(s.tended)
		if !host.Inspect {
			s.tend(ctx, time.Duration(settings.Retention))
		}
	}()
	return s, nil
}

// Close closes the connections.
func (s *storage) Close() error {
	s.close()
	<-s.tended
	return s.client.Close()
}
