package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/deis/logger/sdk"
)

const (
	// lanes is how many pipelines of one append are under way at once. An app's entries are
	// all in one lane, so they keep their order.
	lanes = 4
	// scriptApps is the most apps of one call of the script: Redis serves nobody else
	// meanwhile, and the stack of Lua has an end.
	scriptApps = 250
	// mostStalls is how often in a row Redis may take nothing of a pipeline, and say no more than
	// what it lost, or that it forgot the script.
	mostStalls = 10
)

var (
	// errLate is the cause when lines waited too long.
	errLate = errors.New("lines waited too long for their pipeline to be sent")
	// errReply is the cause when Redis answers what our script does not.
	errReply = errors.New("it answered something else than the script does")
)

// Append implements [sdk.Storage]. It is atomic for each pipeline, except that a cluster
// takes the apps one by one.
func (s *storage) Append(ctx context.Context, batch sdk.Batch) error {
	a := s.appending(batch)
	// Neighbours are in different lanes.
	var apps [lanes][]int
	width := max(1, min(lanes, (batch.Len()+s.settings.PipelineLength-1)/s.settings.PipelineLength))
	for i := range batch.Apps {
		apps[i%width] = append(apps[i%width], i)
	}
	var running errgroup.Group
	for _, lane := range apps[:width] {
		running.Go(func() error {
			p := pipelinePool.Get().(*pipeline)
			defer p.release()
			failed := a.run(ctx, p, lane)
			err := cmp.Or(failed, a.keepBooks(ctx, &p.sums))
			if err != nil {
				a.failed.Store(true)
			}
			return err
		})
	}
	err := running.Wait()
	if err == nil {
		return nil
	}
	if replyCode(err) == "READONLY" && s.cluster == nil {
		// go-redis gives up the connection to what became a replica if it says so to a write
		// by itself.
		_ = s.client.RPushX(ctx, probeKey, "").Err()
	}
	return fmt.Errorf("append %d entries: %w", batch.Len(), s.explain(err))
}

// appending is one Append under way. Each lane has apps of its own.
type appending struct {
	*storage
	batch sdk.Batch
	done  []int // the stored entries of each app
	// writer and sequence are as they are in a mark, see state.lua.
	writer, sequence string
	sendBy           time.Time // zero is no limit
	// failed says that a lane failed. The others stop before their next pipeline.
	failed atomic.Bool
}

func (s *storage) appending(batch sdk.Batch) *appending {
	a := &appending{
		storage: s, batch: batch, done: make([]int, len(batch.Apps)),
		writer:   " " + escape(batch.ID.Writer) + "\n",
		sequence: fmt.Sprintf("%020d", batch.ID.Sequence),
	}
	if s.settings.PipelineTimeout > 0 {
		a.sendBy = time.Now().Add(s.settings.PipelineTimeout)
	}
	return a
}

// mend lets the script make whole what is left of an app's log, and stores nothing.
func (s *storage) mend(ctx context.Context, app string) error {
	p := pipeline{parts: []part{{}}}
	a := s.appending(sdk.Batch{Apps: []sdk.AppEntries{{App: app}}})
	if _, _, err := a.send(ctx, &p); err != nil {
		return err
	}
	return s.keepBooks(ctx, &p.sums)
}

func (a *appending) left(app int) int { return len(a.batch.Apps[app].Entries) - a.done[app] }

// run stores all entries of the apps that are not stored yet, in one lane.
func (a *appending) run(ctx context.Context, p *pipeline, apps []int) error {
	for stalls, advanced := 0, false; stalls <= mostStalls; stalls++ {
		apps = slices.DeleteFunc(apps, func(i int) bool { return a.left(i) <= 0 })
		switch {
		case len(apps) == 0 || a.failed.Load():
			return nil
		case advanced && !a.sendBy.IsZero() && time.Now().After(a.sendBy):
			// Each try stores something that the tries before it did not.
			return fmt.Errorf("%w: more than %s", errLate, a.settings.PipelineTimeout)
		}
		a.fill(p, apps)
		taken, stored, err := a.send(ctx, p)
		if err != nil {
			return err
		}
		if advanced = advanced || stored; taken {
			stalls = -1
		}
	}
	return errReply
}

// part is consecutive entries of one app in one pipeline.
type part struct {
	app    int // index in the batch
	offset int // of its first entry among the app's
	blocks []block
}

// pipeline is what a lane sends to Redis in one write. Its memory is used again and again: without
// that, an append takes a third more processor time.
type pipeline struct {
	parts  []part
	blocks []block
	buffer []byte // of the blocks
	raw    []byte // see encode
	args   []any
	sums   books // of all pipelines of the lane
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

// fill makes the next pipeline of the apps, none of which is done.
func (a *appending) fill(p *pipeline, apps []int) {
	length := a.settings.PipelineLength
	p.parts, p.buffer = p.parts[:0], p.buffer[:0]
	p.blocks = slices.Grow(p.blocks[:0], min(length, a.batch.Len())) // parts point into it
	room := length
	for _, i := range apps[:min(len(apps), scriptApps)] {
		n := a.left(i)
		if room == 0 || n > room && n <= length && room <= length/4 {
			return // what an app costs it costs once, in the next pipeline
		}
		n = min(n, room)
		room -= n
		app, at, first := &a.batch.Apps[i], a.done[i], len(p.blocks)
		for end := at + n; at < end; {
			var b block
			b, p.buffer, p.raw = encode(p.buffer, p.raw, app.Entries[at:end], max(1, a.settings.Lines/blockShare))
			p.blocks = append(p.blocks, b)
			at += b.entries
		}
		p.parts = append(p.parts, part{i, a.done[i], p.blocks[first:]})
	}
}

// send gives the pipeline to the script. It reports whether Redis has taken anything of it, and
// whether Redis stored anything that it did not have.
func (a *appending) send(ctx context.Context, p *pipeline) (taken, stored bool, err error) {
	taken, stored, err = a.try(ctx, p, "evalsha", appendHash)
	if replyCode(err) == "NOSCRIPT" { // what Redis took of it before does no harm
		taken, stored, err = a.try(ctx, p, "eval", appendScript)
	}
	return taken, stored, err
}

// try gives the pipeline to one call of the script, or in a cluster, where each app has a slot
// of its own, to one for each app.
func (a *appending) try(ctx context.Context, p *pipeline, command, script string) (taken, stored bool, err error) {
	each, index := len(p.parts), indexKeys
	if a.slots.Load() {
		each, index = 1, nil
	}
	p.args = p.args[:0]
	var commands []*redis.Cmd
	_, failure := a.client.Pipelined(ctx, func(r redis.Pipeliner) error {
		for parts := range slices.Chunk(p.parts, each) {
			start := len(p.args)
			p.args = append(p.args, command, script)
			a.call(p, parts, index)
			commands = append(commands, r.Do(ctx, p.args[start:len(p.args):len(p.args)]...))
		}
		return nil
	})
	if broken(failure) {
		return false, false, failure
	}
	for i, command := range commands {
		more, added, of := a.take(command, p, p.parts[i*each:min(len(p.parts), (i+1)*each)])
		if errors.Is(of, errReply) && failure != nil {
			of = failure // said to the connection, before any command
		}
		taken, stored, err = taken || more, stored || added, cmp.Or(err, of)
	}
	return taken, stored, err
}

// call adds what the script gets to the arguments.
func (a *appending) call(p *pipeline, parts []part, index []any) {
	p.args = append(p.args, 3*len(parts)+len(index))
	for i := range parts {
		app := a.batch.Apps[parts[i].app].App
		p.args = append(p.args, stateKey(app), blocksKey(app), orderKey(app))
	}
	p.args = append(p.args, index...)
	p.args = append(p.args, len(parts), a.settings.Lines, newEpoch(), a.writer, a.sequence, sdk.MarkedWriters,
		time.Now().Unix(), int64(a.relist()/time.Second))
	for i := range parts {
		part := &parts[i]
		p.args = append(p.args, a.batch.Apps[part.app].App, part.offset, len(part.blocks))
		for j := range part.blocks {
			p.args = append(p.args, part.blocks[j].label[:], &part.blocks[j])
		}
	}
}

// take takes the script's answer for the parts.
func (a *appending) take(command *redis.Cmd, p *pipeline, parts []part) (taken, stored bool, err error) {
	answer, err := command.Int64Slice()
	if of := command.Err(); of != nil {
		return false, false, of
	}
	if err != nil || len(answer) != len(parts)+5 {
		return false, false, errReply
	}
	for i := range parts {
		part, done := &parts[i], int(answer[i])
		if done < 0 || done > len(a.batch.Apps[part.app].Entries) {
			return false, false, errReply
		}
		taken = taken || done > part.offset
		a.done[part.app] = done
	}
	sum := answer[len(parts):]
	if a.slots.Load() {
		p.sums.stored += sum[0]
		p.sums.evicted += sum[1]
		p.sums.bytes += sum[2]
		if sum[3] > 0 {
			p.sums.listed = append(p.sums.listed, a.batch.Apps[parts[0].app].App)
		}
	}
	if sum[4] > 0 {
		a.logger.Warn("mended what Redis had lost of its keys, or another program had overwritten", "logs", sum[4])
	}
	return taken, sum[0] > 0, nil
}
