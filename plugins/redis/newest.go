package redis

import (
	"context"
	"errors"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

const (
	// fewEntries are read without a thought for their size, and manyEntries unless
	// the app's entries were found to be long.
	fewEntries  = 128
	manyEntries = 4096
	// longEntry is the mean size of entries, in bytes, from which an app's are long.
	longEntry = pageBytes / 512
	// looks is how often a read of the newest entries guesses how many blocks have them, or
	// finds that the log changed meanwhile, before it asks the script.
	looks = 3
	// firstLook is the first guess for an app that nothing is known of.
	firstLook = 8
)

// readNewest reads the newest entries by plain commands: that costs Redis a fraction of what
// the script does, which has to take every block through Lua. It has to guess how many
// blocks it needs. It is not ok for what only the script can do: reading from the middle of a
// log, most pages of long entries, and mending a list that does not fit its state.
func (s *storage) readNewest(ctx context.Context, opts sdk.ReadOptions) (page sdk.Page, ok bool, err error) {
	key := blocksKey(opts.App)
	shape := s.shapes.of(opts.App)
	from := after(opts)
	ask := shape.guess(opts.Limit)
	if !from.IsZero() {
		ask = shape.fresh() // most likely there is little that is new
	} else if opts.Limit < 0 || shape.tooMany(opts.Limit) {
		// An estimate from a sample, which the length of Redis's own list nodes keeps
		// from being far off.
		bytes, err := s.client.MemoryUsage(ctx, key).Result()
		if err != nil && !errors.Is(err, redis.Nil) || bytes > pageBytes {
			return page, false, err
		}
	}
	for range looks {
		seen, ok, err := s.peek(ctx, opts.App, ask)
		switch {
		case err != nil:
			return page, false, err
		case !ok && s.cluster != nil:
			return page, false, nil // a full one takes no transaction, but runs scripts
		case !ok:
			continue // somebody changed it meanwhile
		}
		length := seen.length
		log, known := parseState(seen.state)
		switch {
		case !known && length == 0:
			return sdk.Page{First: 1}, true, nil
		case !known || length > 0 && uint64(length) != 2*log.blocks:
			return page, false, nil
		case length == 0:
			log.kept, log.total, log.blocks = 0, 0, 0
		}
		blocks, found := pairs(seen.elements)
		want := int(log.kept)
		if from.Epoch == log.epoch {
			want = min(want, int(log.last-min(from.Position, log.last)))
		}
		if opts.Limit >= 0 && want > opts.Limit {
			if !opts.After.IsZero() {
				return page, false, nil
			}
			want = opts.Limit
		}
		if found < want {
			if uint64(len(blocks)) == log.blocks {
				return page, false, nil // somebody wrote to the list
			}
			if size := sizeOf(blocks); size/max(found, 1) > pageBytes/want {
				return page, false, nil // by what there is of them
			}
			ask = max(2*ask, shapeOf(len(blocks), found, 0).guess(want))
			continue
		}
		page = sdk.Page{Epoch: log.epoch, First: log.last - uint64(want) + 1, Oldest: log.oldest()}
		var bytes int
		page.Entries, bytes, page.More = cut(blocks, found-want, want)
		if from.IsZero() { // of others there is little to learn from
			shape = shapeOf(len(blocks), found, bytes/max(len(page.Entries), 1))
		}
		shape.newest, shape.fetched = freshOf(blocks, want)
		s.shapes.learn(opts.App, shape)
		return page, true, nil
	}
	return page, false, nil
}

// seen is what an app's keys had at one moment: the list's length, and its newest elements.
type seen struct {
	state    string
	length   int64
	elements []string
}

// peek reads as many of the newest blocks, all if it is 0, in one write. What it saw is of
// one moment if the state is the same before and after, since whatever we change of a log
// changes its state; and the length is asked for after the elements, so what others pushed to
// the list before them shows. MULTI and EXEC would promise it, for two commands and
// replies more: they are for a cluster, whose client may send some of the commands to one node
// and the others, later, to another.
func (s *storage) peek(ctx context.Context, app string, blocks int) (seen seen, ok bool, err error) {
	var state, again *redis.StringCmd
	var length *redis.IntCmd
	var elements *redis.StringSliceCmd
	pipelined := s.client.Pipelined
	if s.cluster != nil {
		pipelined = s.client.TxPipelined
	}
	_, err = pipelined(ctx, func(p redis.Pipeliner) error {
		state = p.Get(ctx, stateKey(app))
		elements = p.LRange(ctx, blocksKey(app), -2*int64(blocks), -1)
		length = p.LLen(ctx, blocksKey(app))
		again = p.Get(ctx, stateKey(app))
		return nil
	})
	if code := replyCode(err); s.cluster != nil && (code == "EXECABORT" || code == "OOM") {
		return seen, false, nil // a full Redis takes no transaction, but runs scripts
	}
	// The error of the pipeline is that of one command.
	for _, err := range []error{err, state.Err(), elements.Err(), length.Err(), again.Err()} {
		if err != nil && !errors.Is(err, redis.Nil) {
			return seen, false, err
		}
	}
	seen.state, seen.length, seen.elements = state.Val(), length.Val(), elements.Val()
	return seen, state.Val() == again.Val(), nil
}

func sizeOf(blocks []kept) (bytes int) {
	for i := range blocks {
		bytes += len(blocks[i].data)
	}
	return bytes
}

// after is the cursor that entries are read after.
func after(opts sdk.ReadOptions) sdk.Cursor {
	if opts.After.IsZero() {
		return opts.Known
	}
	return opts.After
}

// shape is what the newest blocks of an app were like when they were read last: what a
// read may begin with.
type shape struct {
	entries float32 // of a block; 0 is not known
	long    bool
	newest  int // entries of the newest block; 0 is not known
	fetched int // how many blocks had what the last read wanted
}

func shapeOf(blocks, entries, mean int) shape {
	if blocks == 0 {
		return shape{}
	}
	return shape{entries: float32(entries) / float32(blocks), long: mean > longEntry}
}

// fresh is how many blocks have what is new since the last read, and the entry before it: the
// host has that read again. A quiet app gets a block for each entry; of a busy one it is as
// last time.
func (s shape) fresh() (blocks int) {
	switch {
	case s.newest > 8, s.newest == 0:
		return max(1, min(s.fetched, 4))
	case s.newest > 2:
		return 2
	default:
		return 4
	}
}

// freshOf is what there is to learn from a read that wanted so many of the entries.
func freshOf(blocks []kept, want int) (newest, fetched int) {
	for i := len(blocks) - 1; i >= 0 && want > 0; i-- {
		want -= blocks[i].entries
		fetched++
	}
	if len(blocks) > 0 {
		newest = blocks[len(blocks)-1].entries
	}
	return newest, fetched
}

// tooMany says that so many entries may be too much for a page.
func (s shape) tooMany(entries int) bool {
	return entries > manyEntries || s.long && entries > fewEntries
}

// guess is how many blocks have the newest entries; 0 is all.
func (s shape) guess(entries int) (blocks int) {
	switch {
	case entries < 0:
		return 0
	case s.entries == 0:
		return min(firstLook, entries)
	}
	// One eighth more, since they are not all alike.
	return min(entries, 1+int(float32(entries-1)*1.125/s.entries))
}

// shapes are those of some apps.
type shapes struct {
	mu  sync.Mutex
	app map[string]shape
}

// mostShapes bounds what is remembered. All are forgotten beyond it: a read then makes one
// trip more.
const mostShapes = 10_000

func (s *shapes) of(app string) shape {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.app[app]
}

func (s *shapes) learn(app string, is shape) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.app[app] == is {
		return
	}
	if s.app == nil || len(s.app) >= mostShapes {
		s.app = map[string]shape{}
	}
	s.app[app] = is
}
