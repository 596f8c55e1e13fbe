package redis

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

// pageBytes is about how much a page holds; it goes over the wire to the host in
// pieces of this size anyway.
const pageBytes = 1 << 20

// errReply is the error of a reply that none of our scripts and transactions gives.
var errReply = errors.New("the reply is not one that was asked for")

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
	if opts.Limit != 0 {
		page, ok, err := s.readNewest(ctx, opts)
		if ok || err != nil {
			return page, err
		}
	}
	epoch, from, known := "", after(opts), 0
	if opts.After.IsZero() {
		known = 1
	}
	if !from.IsZero() {
		epoch = epochText(from.Epoch)
	}
	args := []any{max(opts.Limit, -1), epoch, from.Position, newEpoch(), pageBytes, known, s.settings.Lines}
	for try := 1; ; try++ {
		reply, err := s.readScript.EvalSha(ctx, s.client, []string{stateKey(opts.App), blocksKey(opts.App)}, args...).Slice()
		if err == nil {
			return pageOf(reply)
		}
		if replyCode(err) != "NOSCRIPT" || try > mostLoads {
			return page, err
		}
		if err := s.load(ctx); err != nil {
			return page, err
		}
	}
}

// pageOf takes the reply of read.lua.
func pageOf(reply []any) (page sdk.Page, err error) {
	if len(reply) != 7 {
		return page, errReply
	}
	epoch, _ := reply[0].(string)
	first, _ := reply[1].(string)
	skip, _ := reply[2].(int64)
	want, _ := reply[3].(int64)
	more, _ := reply[4].(int64)
	elements, ok := reply[5].([]any)
	oldest, _ := reply[6].(string)
	if !ok || len(epoch) != 8 {
		return page, errReply
	}
	page.Epoch = binary.BigEndian.Uint64([]byte(epoch))
	if page.First, err = strconv.ParseUint(first, 10, 64); err != nil {
		return page, errReply
	}
	if page.Oldest, err = strconv.ParseUint(oldest, 10, 64); err != nil {
		return page, errReply
	}
	blocks := make([]kept, len(elements)/2)
	for i := range blocks {
		blocks[i].data, _ = elements[2*i].(string)
		n, _ := elements[2*i+1].(int64)
		blocks[i].entries = int(max(n, 1))
	}
	entries, _, cut := cut(blocks, int(skip), int(want))
	page.Entries = entries
	page.More = cut || more == 1 && len(entries) > 0
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
	keys := []string{stateKey(app), blocksKey(app)}
	reply, err := deleteScript.Run(ctx, s.client, keys, newEpoch(), s.settings.Lines).Int64Slice()
	if err != nil {
		return err
	}
	if len(reply) != 2 {
		return fmt.Errorf("an answer of %d parts", len(reply))
	}
	return s.depart(ctx, reply[0], reply[1])
}

// deleteScript deletes, and answers how many entries were gone already and how many
// there were; 0 if the keys were of other types. A full Redis takes a script, and no
// transaction.
var deleteScript = redis.NewScript(stateSource + `
local state = redis.pcall('GET', KEYS[1])
local length = redis.pcall('LLEN', KEYS[2])
if type(state) ~= 'string' then state = false end
local _, last, kept = '', 0, 0
if type(length) == 'number' then
  _, last, kept = look(state, KEYS[2], length, tonumber(ARGV[2]), ARGV[1])
end
redis.call('UNLINK', KEYS[1], KEYS[2])
return {last - kept, kept}`)

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
