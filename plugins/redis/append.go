package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/deis/logger/sdk"
)

const (
	// lanes is the number of pipelines that an append has under way at once. All of an app's
	// entries go in one lane, so they keep their order.
	lanes = 4
	// scriptApps is the most apps of one call of the script: Redis serves nobody else
	// meanwhile, and the stack of Lua has an end.
	scriptApps = 250
)

// errLate is the error when lines waited too long.
var errLate = errors.New("lines waited too long for their pipeline to be sent")

// Append implements [sdk.Storage]. It is atomic for each pipeline; in a cluster, for each app of
// one.
func (s *storage) Append(ctx context.Context, batch sdk.Batch) error {
	s.appendsInFlight.Inc()
	defer s.appendsInFlight.Dec()
	a := s.appending(batch)
	// Neighbours are in different lanes.
	var apps [lanes][]int
	width := max(1, min(lanes, (batch.Len()+s.settings.PipelineLength-1)/s.settings.PipelineLength))
	for i := range batch.Apps {
		apps[i%width] = append(apps[i%width], i)
	}
	running, going := errgroup.WithContext(ctx)
	for _, lane := range apps[:width] {
		running.Go(func() error {
			p := pipelinePool.Get().(*pipeline)
			defer p.release()
			failed := a.run(ctx, going, p, lane)
			return cmp.Or(failed, a.keepBooks(ctx, &p.sums))
		})
	}
	err := running.Wait()
	if err == nil {
		return nil
	}
	if replyCode(err) == "READONLY" && s.cluster == nil {
		// If a node that became a replica refuses a single write, go-redis gives up the connection
		// to it.
		_ = s.client.RPushX(ctx, probeKey, "").Err()
	}
	return fmt.Errorf("append %d entries: %w", batch.Len(), s.explain(err))
}

// appending runs one Append. Each lane has apps of its own.
type appending struct {
	*storage
	batch sdk.Batch
	done  []int // the stored entries of each app
	// writer and sequence have the form of a mark, see state.lua.
	writer, sequence string
	begun            time.Time
}

func (s *storage) appending(batch sdk.Batch) *appending {
	return &appending{
		storage: s, batch: batch, done: make([]int, len(batch.Apps)), begun: time.Now(),
		writer:   " " + escape(batch.ID.Writer) + "\n",
		sequence: fmt.Sprintf("%020d", batch.ID.Sequence),
	}
}

// mend has the script repair an app's log. It stores nothing.
func (s *storage) mend(ctx context.Context, app string) error {
	p := pipeline{parts: []part{{args: []any{app, 0, 0}}}}
	if _, err := s.appending(sdk.Batch{Apps: make([]sdk.AppEntries, 1)}).send(ctx, &p); err != nil {
		return err
	}
	return s.keepBooks(ctx, &p.sums)
}

func (a *appending) left(app int) int { return len(a.batch.Apps[app].Entries) - a.done[app] }

// run stores all entries of the apps that are not stored yet, in one lane. If another lane failed,
// going has ended, and it stops before its next pipeline.
func (a *appending) run(ctx, going context.Context, p *pipeline, apps []int) error {
	for advanced := false; ; {
		apps = slices.DeleteFunc(apps, func(i int) bool { return a.left(i) <= 0 })
		if len(apps) == 0 || going.Err() != nil && ctx.Err() == nil {
			return nil
		}
		// Each try stores something that the tries before it did not.
		if timeout := a.settings.PipelineTimeout; advanced && timeout > 0 && time.Since(a.begun) > timeout {
			return fmt.Errorf("%w: more than %s", errLate, timeout)
		}
		a.fill(p, apps)
		stored, err := a.send(ctx, p)
		if err != nil {
			return err
		}
		advanced = advanced || stored
	}
}

// part holds consecutive entries of one app in one pipeline.
type part struct {
	app  int   // index in the batch
	args []any // the arguments of append.lua for it
}

// pipeline holds what a lane sends to Redis in one write. Its memory is reused, because allocating
// it each time would cost an append a third more processor time.
type pipeline struct {
	parts  []part
	args   []any // of the parts
	blocks []block
	buffer []byte // of the blocks
	raw    []byte // see encode
	sums   books  // of all pipelines of the lane
}

// pipelinePool has pipelines for later appends. One that had to hold very long entries is left
// to the garbage collector.
var pipelinePool = sync.Pool{New: func() any { return new(pipeline) }}

func (p *pipeline) release() {
	if cap(p.buffer)+cap(p.raw) <= 512<<10 {
		clear(p.args[:cap(p.args)]) // the batch's memory
		p.sums = books{}
		pipelinePool.Put(p)
	}
}

// fill makes the next pipeline for the apps, none of which is done.
func (a *appending) fill(p *pipeline, apps []int) {
	length, room := a.settings.PipelineLength, a.settings.PipelineLength
	p.parts, p.args, p.buffer = p.parts[:0], p.args[:0], p.buffer[:0]
	p.blocks = slices.Grow(p.blocks[:0], min(length, a.batch.Len())) // the arguments point into it
	for _, i := range apps[:min(len(apps), scriptApps)] {
		n := a.left(i)
		if room == 0 || n > room && n <= length && room <= length/4 {
			return // what an app costs it costs once, in the next pipeline
		}
		n = min(n, room)
		room -= n
		app, at, begin, first := &a.batch.Apps[i], a.done[i], len(p.args), len(p.blocks)
		p.args = append(p.args, app.App, at, 0)
		for end := at + n; at < end; {
			var b block
			b, p.buffer, p.raw = encode(p.buffer, p.raw, app.Entries[at:end], max(1, a.settings.Lines/blockShare))
			p.blocks = append(p.blocks, b)
			last := &p.blocks[len(p.blocks)-1]
			p.args = append(p.args, last.label[:], last)
			at += b.entries
		}
		p.args[begin+2] = len(p.blocks) - first
		p.parts = append(p.parts, part{i, p.args[begin:]})
	}
}

// send gives the pipeline to the script, and reports whether Redis stored anything that it did not
// have.
func (a *appending) send(ctx context.Context, p *pipeline) (stored bool, err error) {
	stored, err = a.try(ctx, p, "evalsha", appendHash)
	if replyCode(err) == "NOSCRIPT" { // what Redis has stored of it already does no harm
		return a.try(ctx, p, "eval", appendScript)
	}
	return stored, err
}

// try gives the pipeline to one call of the script, or in a cluster, where each app has a slot
// of its own, to one for each app.
func (a *appending) try(ctx context.Context, p *pipeline, command, script string) (stored bool, err error) {
	each, index := len(p.parts), indexKeys
	if a.slots.Load() {
		each, index = 1, nil
	}
	var calls []*redis.Cmd
	began := time.Now()
	_, failure := a.client.Pipelined(ctx, func(r redis.Pipeliner) error {
		for parts := range slices.Chunk(p.parts, each) {
			args := append(make([]any, 0, 16+6*len(parts)+len(p.args)*len(parts)/len(p.parts)),
				command, script, 3*len(parts)+len(index))
			for i := range parts {
				app := parts[i].args[0].(string)
				args = append(args, stateKey(app), blocksKey(app), orderKey(app))
			}
			args = append(append(args, index...), len(parts), a.settings.Lines, newEpoch(), a.writer, a.sequence,
				sdk.MarkedWriters, time.Now().Unix())
			for i := range parts {
				args = append(args, parts[i].args...)
			}
			calls = append(calls, r.Do(ctx, args...))
		}
		return nil
	})
	a.pipelineTook.Observe(time.Since(began).Seconds())
	a.pipelines.Count(failure)
	if broken(failure) {
		return false, failure
	}
	for i, call := range calls {
		added, of := a.take(call, p, p.parts[i*each:min(len(p.parts), (i+1)*each)])
		stored, err = stored || added, cmp.Or(err, of)
	}
	return stored, cmp.Or(failure, err) // it may be said to the connection, before any command
}

// take notes the script's answer for the parts.
func (a *appending) take(call *redis.Cmd, p *pipeline, parts []part) (stored bool, err error) {
	answer, err := call.Int64Slice()
	if err != nil {
		return false, err
	}
	for i := range parts {
		a.done[parts[i].app] = int(answer[i])
	}
	sum := answer[len(parts):]
	if a.slots.Load() {
		p.sums.stored, p.sums.evicted, p.sums.bytes = p.sums.stored+sum[0], p.sums.evicted+sum[1], p.sums.bytes+sum[2]
		if sum[3] > 0 {
			p.sums.listed = append(p.sums.listed, parts[0].args[0].(string))
		}
	}
	if sum[4] > 0 {
		a.logger.Warn("mended what Redis had lost of its keys, or another program had overwritten", "logs", sum[4])
	}
	return sum[0] > 0, nil
}
