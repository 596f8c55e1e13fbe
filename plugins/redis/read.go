package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

const (
	// pageBytes is about how much a page holds; it goes over the wire to the host in
	// pieces of this size anyway.
	pageBytes = 1 << 20
	// fewEntries are read without a thought for their size, and manyEntries unless
	// the app's entries were found to be long.
	fewEntries  = 128
	manyEntries = 4096
	// longEntry is the mean size of entries, in bytes, from which an app's are long.
	longEntry = pageBytes / 512
)

// errReply is the error of a reply that our script does not give.
var errReply = errors.New("the reply is not one of our script")

// Read implements [sdk.Storage]. Whatever is asked for, a page is of one moment.
func (s *storage) Read(ctx context.Context, opts sdk.ReadOptions) (sdk.Page, error) {
	page, err := s.read(ctx, opts)
	if err != nil {
		return sdk.Page{}, fmt.Errorf("read %q: %w", opts.App, s.explain(err))
	}
	return page, nil
}

func (s *storage) read(ctx context.Context, opts sdk.ReadOptions) (page sdk.Page, err error) {
	if err := ctx.Err(); err != nil {
		return page, err
	}
	if opts.After.IsZero() && opts.Known.IsZero() && opts.Limit != 0 {
		page, ok, err := s.readNewest(ctx, opts)
		if ok || err != nil {
			return page, err
		}
	}
	epoch, from, known := "", opts.After, 0
	if from.IsZero() && !opts.Known.IsZero() {
		from, known = opts.Known, 1
	}
	if !from.IsZero() {
		epoch = epochText(from.Epoch)
	}
	args := []any{max(opts.Limit, -1), epoch, from.Position, newEpoch(), pageBytes, known}
	for try := 1; ; try++ {
		reply, err := s.readScript.EvalSha(ctx, s.client, []string{stateKey(opts.App), linesKey(opts.App)}, args...).Slice()
		if err == nil {
			return pageOf(reply)
		}
		if replyCode(err) != "NOSCRIPT" || try > loads {
			return page, err
		}
		if err := s.load(ctx); err != nil {
			return page, err
		}
	}
}

// readNewest reads the newest entries in one transaction: that costs Redis a fifth
// of what the script does, which has to take every entry through Lua. It is not ok
// for what only the script can do: cutting a page of long entries, mending a list
// whose state is gone, and reading from a Redis that is full.
func (s *storage) readNewest(ctx context.Context, opts sdk.ReadOptions) (page sdk.Page, ok bool, err error) {
	key := linesKey(opts.App)
	start := -int64(opts.Limit)
	_, long := s.long.Load(opts.App)
	if opts.Limit < 0 || opts.Limit > manyEntries || long && opts.Limit > fewEntries {
		// An estimate from a sample, which the length of Redis's own list nodes keeps
		// from being far off.
		bytes, err := s.client.MemoryUsage(ctx, key).Result()
		if err != nil && !errors.Is(err, redis.Nil) || bytes > pageBytes {
			return page, false, err
		}
	}
	if opts.Limit < 0 {
		start = 0
	}
	var state *redis.StringCmd
	var length *redis.IntCmd
	var values *redis.StringSliceCmd
	_, err = s.client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		state = p.Get(ctx, stateKey(opts.App))
		length = p.LLen(ctx, key)
		values = p.LRange(ctx, key, start, -1)
		return nil
	})
	switch code := replyCode(err); {
	case code == "EXECABORT" || code == "OOM":
		return page, false, nil // a full Redis takes no transaction, but runs scripts
	case err != nil && !errors.Is(err, redis.Nil):
		return page, false, err
	}
	log, known := parseState(state.Val())
	switch {
	case !known && length.Val() == 0:
		return sdk.Page{First: 1}, true, nil
	case !known || log.kept < uint64(length.Val()):
		return page, false, nil
	}
	all := values.Val()
	page = sdk.Page{Epoch: log.epoch, First: log.last - uint64(len(all)) + 1, Oldest: log.last - uint64(length.Val()) + 1}
	kept := s.fit(opts.App, all)
	page.Entries, page.More = decodeAll(all[:kept]), kept < len(all)
	return page, true, nil
}

// fit is how many of the values a page holds. It remembers whether the app's are
// long, so that many of them are not read again without asking for their size first.
func (s *storage) fit(app string, values []string) (kept int) {
	kept, bytes := len(values), 0
	for i, v := range values {
		if bytes += len(v); bytes > pageBytes && kept == len(values) {
			kept = max(i, 1)
		}
	}
	switch {
	case bytes > longEntry*len(values):
		s.long.Store(app, struct{}{})
	case len(values) > fewEntries:
		s.long.Delete(app)
	}
	return kept
}

// state is the head of an app's state; see append.lua.
type state struct {
	epoch, last uint64
	// kept is how many entries the list has, unless Redis evicted it.
	kept uint64
}

func parseState(text string) (s state, ok bool) {
	const epochEnd, lastEnd, keptEnd = 20, 36, 52
	if len(text) <= keptEnd || text[keptEnd] != '\n' {
		return s, false
	}
	var err [3]error
	s.epoch, err[0] = strconv.ParseUint(text[:epochEnd], 10, 64)
	s.last, err[1] = strconv.ParseUint(text[epochEnd:lastEnd], 10, 64)
	s.kept, err[2] = strconv.ParseUint(text[lastEnd:keptEnd], 10, 64)
	return s, errors.Join(err[:]...) == nil && s.kept <= s.last
}

// pageOf takes the reply of read.lua.
func pageOf(reply []any) (page sdk.Page, err error) {
	if len(reply) != 5 {
		return page, errReply
	}
	epoch, _ := reply[0].(string)
	first, _ := reply[1].(string)
	more, _ := reply[2].(int64)
	elements, ok := reply[3].([]any)
	oldest, _ := reply[4].(string)
	if !ok {
		return page, errReply
	}
	if page.Epoch, err = strconv.ParseUint(epoch, 10, 64); err != nil {
		return page, errReply
	}
	if page.First, err = strconv.ParseUint(first, 10, 64); err != nil {
		return page, errReply
	}
	if page.Oldest, err = strconv.ParseUint(oldest, 10, 64); err != nil {
		return page, errReply
	}
	values := make([]string, len(elements))
	for i := range elements {
		values[i], _ = elements[i].(string)
	}
	page.Entries = decodeAll(values)
	page.More = more == 1
	return page, nil
}

// Delete implements [sdk.Storage]. All that is known of the app goes, in one command.
func (s *storage) Delete(ctx context.Context, app string) error {
	err := ctx.Err()
	if err == nil {
		err = s.remove(ctx, app)
	}
	if err != nil {
		return fmt.Errorf("delete %q: %w", app, s.explain(err))
	}
	return nil
}

// remove deletes the keys of an app at once, and then counts what was in them: in a
// cluster, no command could do both. What is not counted because the connection breaks
// in between is missing in the books, no more.
func (s *storage) remove(ctx context.Context, app string) error {
	reply, err := deleteScript.Run(ctx, s.client, []string{stateKey(app), linesKey(app)}).Slice()
	if err != nil {
		return err
	}
	if len(reply) != 2 {
		return fmt.Errorf("an answer of %d parts", len(reply))
	}
	state, _ := reply[0].(string)
	kept, _ := reply[1].(int64)
	if log, known := parseState(state); known {
		kept = min(kept, int64(log.kept))
		return s.depart(ctx, int64(log.last)-kept, kept)
	}
	return s.depart(ctx, 0, kept)
}

// deleteScript deletes, and answers the state and how many entries there were; 0 if the
// key was no list. A full Redis takes a script, and no transaction.
var deleteScript = redis.NewScript(`
local state = redis.pcall('GET', KEYS[1])
local length = redis.pcall('LLEN', KEYS[2])
redis.call('UNLINK', KEYS[1], KEYS[2])
if type(state) ~= 'string' then state = '' end
if type(length) ~= 'number' then length = 0 end
return {state, length}`)

func (s *storage) depart(ctx context.Context, evicted, deleted int64) error {
	if evicted+deleted == 0 {
		return nil
	}
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.HIncrBy(ctx, departedKey, "evicted", evicted)
		p.HIncrBy(ctx, departedKey, "deleted", deleted)
		return nil
	})
	if replyCode(err) == "OOM" {
		return nil // the log is gone, which is what counts
	}
	return err
}
