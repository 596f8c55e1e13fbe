package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

const (
	// lanes is how many pipelines of one append are under way at once. An app's entries are
	// all in one lane, so they keep their order.
	lanes = 4
	// writers is how many writers an app's state remembers.
	writers = sdk.MarkedWriters
	// scriptApps is the most apps of one call of the script: Redis serves nobody else
	// meanwhile, and the stack of Lua has an end.
	scriptApps = 250
	// mostStalls is how often in a row Redis may store nothing of a pipeline, and say no more
	// than where to cut it, what it lost, or that it forgot the script.
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
	a := &appending{
		storage:  s,
		batch:    batch,
		done:     s.resume(batch),
		cuts:     make([]int, len(batch.Apps)),
		writer:   " " + escape(batch.ID.Writer) + "\n",
		sequence: fmt.Sprintf("%020d", batch.ID.Sequence),
	}
	if s.settings.PipelineTimeout > 0 {
		a.sendBy = time.Now().Add(s.settings.PipelineTimeout)
	}
	if err := a.run(ctx); err != nil {
		if errors.Is(err, errLate) {
			s.keep(batch, a.done)
		}
		return fmt.Errorf("append %d entries: %w", batch.Len(), s.explain(err))
	}
	return nil
}

// progress is how many entries of each app of a batch are stored.
type progress struct {
	id   sdk.BatchID
	done map[string]int
}

// resume is what is known to be stored of the batch, app by app. Without it an append that is
// too slow for its time limit would never get further than the last. After any other error
// all is asked for again, since Redis may have lost it.
func (s *storage) resume(batch sdk.Batch) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := make([]int, len(batch.Apps))
	if s.stopped.id == batch.ID {
		for i := range batch.Apps {
			done[i] = min(s.stopped.done[batch.Apps[i].App], len(batch.Apps[i].Entries))
		}
	}
	s.stopped = progress{}
	return done
}

func (s *storage) keep(batch sdk.Batch, done []int) {
	p := progress{sdk.BatchID{Writer: strings.Clone(batch.ID.Writer), Sequence: batch.ID.Sequence}, map[string]int{}}
	for i := range batch.Apps {
		p.done[strings.Clone(batch.Apps[i].App)] = done[i]
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = p
}

// appending is one Append under way. Each lane has apps of its own.
type appending struct {
	*storage
	batch sdk.Batch
	done  []int // the stored entries of each app
	cuts  []int // where a block of each app has to end, if that is above done
	// writer and sequence are as they are in a mark, see state.lua.
	writer, sequence string
	sendBy           time.Time // zero is no limit

	mu  sync.Mutex
	err error // of the lane that failed first; the others stop before their next pipeline
}

// run sends everything, in as many lanes as there is work for.
func (a *appending) run(ctx context.Context) error {
	todo := make([]int, 0, len(a.batch.Apps))
	total := 0
	for i := range a.batch.Apps {
		if n := a.left(i); n > 0 {
			todo = append(todo, i)
			total += n
		}
	}
	width := max(1, min(lanes, len(todo), (total+a.settings.PipelineLength-1)/a.settings.PipelineLength))
	if width == 1 {
		a.runLane(ctx, todo)
		return a.err
	}
	// Consecutive apps share a lane, each about the same number of entries.
	var running sync.WaitGroup
	for ; width > 0; width-- {
		n, share := 0, total/width
		for entries := 0; n < len(todo) && (n == 0 || entries < share || width == 1); n++ {
			entries += a.left(todo[n])
			total -= a.left(todo[n])
		}
		apps := todo[:n:n]
		todo = todo[n:]
		running.Go(func() { a.runLane(ctx, apps) })
	}
	running.Wait()
	return a.err
}

func (a *appending) left(app int) int { return len(a.batch.Apps[app].Entries) - a.done[app] }

// runLane stores all entries of the apps that are not stored yet.
func (a *appending) runLane(ctx context.Context, apps []int) {
	p := pipelinePool.Get().(*pipeline)
	defer p.release()
	var sums books
	defer func() { // also of what was stored before an error
		if err := a.keepBooks(ctx, &sums); err != nil {
			a.fail(err)
		}
	}()
	for stalls, first := 0, true; ; first = false {
		apps = slices.DeleteFunc(apps, func(i int) bool { return a.left(i) <= 0 })
		if len(apps) == 0 || a.failure() != nil {
			return
		}
		// The first pipeline of a lane goes at once: so every try gets somewhere.
		if !first && !a.sendBy.IsZero() && time.Now().After(a.sendBy) {
			a.fail(fmt.Errorf("%w: more than %s", errLate, a.settings.PipelineTimeout))
			return
		}
		a.fill(p, apps)
		progress, err := a.send(ctx, p, &sums)
		if stalls++; progress {
			stalls = 0
		}
		if err == nil && stalls > mostStalls {
			err = errReply
		}
		if err != nil {
			a.fail(err)
			return
		}
	}
}

func (a *appending) failure() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

func (a *appending) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.err = err
	}
}

// part is consecutive entries of one app in one pipeline.
type part struct {
	app    int // index in the batch
	offset int // of its first entry among the app's
	blocks []block
	keys   [2]string // state and first run
}

// pipeline is what goes to Redis in one write. Its memory is used again and again.
type pipeline struct {
	parts  []part
	blocks []block
	buffer []byte
	args   []any
}

// pipelinePool has pipelines for later appends. One that had to hold very long entries is left to the
// garbage collector.
var pipelinePool = sync.Pool{New: func() any { return new(pipeline) }}

const pooledBytes = 256 << 10

func (p *pipeline) release() {
	if cap(p.buffer) <= pooledBytes {
		clear(p.args[:cap(p.args)]) // the apps' names
		clear(p.parts[:cap(p.parts)])
		pipelinePool.Put(p)
	}
}

// fill makes the next pipeline of the apps, none of which is done.
func (a *appending) fill(p *pipeline, apps []int) {
	p.parts, p.blocks, p.buffer = p.parts[:0], p.blocks[:0], p.buffer[:0]
	length := a.settings.PipelineLength
	p.blocks = slices.Grow(p.blocks, min(length, a.batch.Len())) // parts point into it
	room := length
	for _, i := range apps[:min(len(apps), scriptApps)] {
		n := a.left(i)
		if room == 0 || n > room && n <= length && room <= length/4 {
			return // what an app costs it costs once, in the next pipeline
		}
		n = min(n, room)
		a.add(p, i, n)
		room -= n
	}
}

// add encodes so many entries of the app that are not stored yet.
func (a *appending) add(p *pipeline, app, n int) {
	name, at := a.batch.Apps[app].App, a.done[app]
	entries := a.batch.Apps[app].Entries[:at+n]
	most := max(1, a.settings.Lines/blockShare)
	first := len(p.blocks)
	for at < len(entries) {
		some := most
		if cut := a.cuts[app]; cut > at {
			some = min(some, cut-at)
		}
		var b block
		b, p.buffer = encode(p.buffer, entries[at:], some)
		p.blocks = append(p.blocks, b)
		at += b.entries
	}
	p.parts = append(p.parts, part{
		app: app, offset: a.done[app],
		blocks: p.blocks[first:], keys: [2]string{stateKey(name), runKey(name, 0)},
	})
}

// send gives the pipeline to the script: to one call of it, unless each app has a slot of its
// own. It reports whether anything was stored that was not known to be.
func (a *appending) send(ctx context.Context, p *pipeline, sums *books) (progress bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	some, index := len(p.parts), indexKeys
	slots := a.slots.Load()
	if slots {
		some, index = 1, nil
	}
	p.args = p.args[:0]
	commands := make([]*redis.Cmd, 0, len(p.parts)/some)
	_, failure := a.client.Pipelined(ctx, func(r redis.Pipeliner) error {
		for parts := range slices.Chunk(p.parts, some) {
			commands = append(commands, a.call(ctx, r, p, parts, index))
		}
		return nil
	})
	if broken(failure) {
		return false, failure
	}
	for i, command := range commands {
		more, of := a.take(command, p.parts[i*some:min(len(p.parts), (i+1)*some)], sums)
		progress = progress || more
		switch replyCode(of) {
		case "NOSCRIPT":
			of = a.load(ctx)
		case "CROSSSLOT": // a single node of a cluster takes nothing of several apps
			if !slots {
				a.slots.Store(true)
				of = nil
			}
		}
		if err == nil {
			err = of
		}
	}
	if errors.Is(err, errReply) && failure != nil {
		err = failure // said to the connection, before any command
	}
	return progress, err
}

// call adds the call of the script for the parts.
func (a *appending) call(ctx context.Context, r redis.Pipeliner, p *pipeline, parts []part, index []any) *redis.Cmd {
	start := len(p.args)
	p.args = append(p.args, "evalsha", a.appendScript.Hash(), 2*len(parts)+len(index))
	for i := range parts {
		p.args = append(p.args, &parts[i].keys[0], &parts[i].keys[1])
	}
	p.args = append(p.args, index...)
	p.args = append(p.args, len(parts), a.settings.Lines, newEpoch(), &a.writer, &a.sequence, writers,
		time.Now().Unix(), int64(a.relist()/time.Second))
	for i := range parts {
		part := &parts[i]
		p.args = append(p.args, &a.batch.Apps[part.app].App, part.offset, len(part.blocks))
		for j := range part.blocks {
			b := &part.blocks[j]
			p.args = append(p.args, b.numbers[:], b)
		}
	}
	return r.Do(ctx, p.args[start:len(p.args):len(p.args)]...)
}

// take takes the script's answer for the parts.
func (a *appending) take(command *redis.Cmd, parts []part, sums *books) (progress bool, err error) {
	answer, err := command.Int64Slice()
	if err != nil {
		return false, err
	}
	if len(answer) != 2*len(parts)+5 {
		return false, errReply
	}
	for i := range parts {
		part := &parts[i]
		done, cut := int(answer[2*i]), answer[2*i+1]
		entries := a.batch.Apps[part.app].Entries
		if done < 0 || done > len(entries) {
			return false, errReply
		}
		progress = progress || done > part.offset
		a.done[part.app] = done
		if cut > 0 {
			for done < len(entries) && published(&entries[done])/1000 < cut {
				done++
			}
			a.cuts[part.app] = done
		}
	}
	sum := answer[2*len(parts):]
	if a.slots.Load() {
		sums.stored += sum[0]
		sums.evicted += sum[1]
		sums.bytes += sum[2]
		if sum[3] > 0 {
			sums.listed = append(sums.listed, a.batch.Apps[parts[0].app].App)
		}
	}
	if sum[4] > 0 {
		a.logger.Warn("threw away keys that are not what the logs of apps need", "keys", sum[4])
	}
	return progress, nil
}
