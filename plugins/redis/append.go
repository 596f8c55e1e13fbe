package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/deis/logger/sdk"
)

const (
	// lanes is how many pipelines of one append are under way at once, each on a
	// connection of its own. An app's entries are all in one lane, so they keep their
	// order.
	lanes = 4
	// writers is how many writers an app's state remembers.
	writers = 16
	// loads is how often an append gives Redis the scripts before it gives up: one
	// time is enough unless somebody flushes them over and over.
	loads = 3
)

// Append implements [sdk.Storage]. It is atomic for each run of at most
// DEIS_LOGGER_REDIS_PIPELINE_LENGTH entries of an app.
func (s *storage) Append(ctx context.Context, batch sdk.Batch) error {
	done := s.resume(batch)
	a := &appending{
		storage:  s,
		batch:    batch,
		done:     done,
		writer:   " " + escape(batch.ID.Writer) + "\n",
		sequence: fmt.Sprintf("%020d", batch.ID.Sequence),
	}
	if s.settings.PipelineTimeout > 0 {
		a.sendBy = time.Now().Add(s.settings.PipelineTimeout)
	}
	if err := a.run(ctx); err != nil {
		if !a.broken {
			s.keep(batch, done)
		}
		return fmt.Errorf("append %d entries: %w", batch.Len(), err)
	}
	return nil
}

// progress is how many entries of each app of a batch are stored.
type progress struct {
	id   sdk.BatchID
	apps []string
	done []int
}

// resume is what is known to be stored of the batch, app by app. Without it an
// append that is too slow for its time limit would never get further than the last.
// It is a shortcut only: what Redis knows of the batch is what makes repeating safe.
func (s *storage) resume(batch sdk.Batch) []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.stopped
	if known.id == batch.ID && slices.EqualFunc(known.apps, batch.Apps, func(app string, a sdk.AppEntries) bool {
		return app == a.App
	}) {
		s.stopped = progress{}
		return known.done
	}
	return make([]int, len(batch.Apps))
}

func (s *storage) keep(batch sdk.Batch, done []int) {
	p := progress{id: batch.ID, done: done}
	for i := range batch.Apps {
		p.apps = append(p.apps, batch.Apps[i].App)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = p
}

// appending is one Append under way.
type appending struct {
	*storage
	batch sdk.Batch
	// done counts the stored entries of each app. Each lane has apps of its own.
	done []int
	// writer and sequence are as they are in a mark, see state.lua.
	writer, sequence string
	sendBy           time.Time // zero is no limit

	mu  sync.Mutex
	err error // of the lane that failed first; the others stop before their next pipeline
	// broken says that Redis failed, and is not just slow. It may have lost what it
	// stored before, so the next try asks for everything again.
	broken bool
}

// errLate is the cause when lines waited too long.
var errLate = errors.New("lines waited too long for their pipeline to be sent")

// run sends everything, in as many lanes as there is work for.
func (a *appending) run(ctx context.Context) error {
	todo := make([]int, 0, len(a.batch.Apps))
	total := 0
	for i := range a.batch.Apps {
		if n := len(a.batch.Apps[i].Entries) - a.done[i]; n > 0 {
			todo = append(todo, i)
			total += n
		}
	}
	width := min(lanes, len(todo), (total+a.settings.PipelineLength-1)/a.settings.PipelineLength)
	if width <= 1 {
		a.lane(ctx, todo)
		return a.err
	}
	// Consecutive apps share a lane, each about the same number of entries.
	var running sync.WaitGroup
	for ; width > 0; width-- {
		n, share := 0, total/width
		for entries := 0; n < len(todo) && (n == 0 || entries < share || width == 1); n++ {
			entries += len(a.batch.Apps[todo[n]].Entries) - a.done[todo[n]]
			total -= len(a.batch.Apps[todo[n]].Entries) - a.done[todo[n]]
		}
		apps := todo[:n]
		todo = todo[n:]
		running.Go(func() { a.lane(ctx, apps) })
	}
	running.Wait()
	return a.err
}

// lane stores the entries of the apps, pipeline after pipeline. No pipeline has two
// runs of one app: the second must not be stored if the first is not.
func (a *appending) lane(ctx context.Context, apps []int) {
	p := pooled.Get().(*pipeline)
	defer p.release()
	for first := true; len(apps) > 0; first = false {
		p.runs = p.runs[:0]
		left := apps
		for room := a.settings.PipelineLength; room > 0 && len(left) > 0; {
			i := left[0]
			entries := a.batch.Apps[i].Entries[a.done[i]:]
			switch length := a.settings.PipelineLength; {
			case len(entries) <= room:
				left = left[1:]
			case len(entries) <= length && room <= length/4:
				// Redis runs the script for all of them in the next pipeline, rather
				// than in both.
				room = 0
				continue
			default:
				entries = entries[:room]
			}
			p.add(i, a.done[i], entries)
			room -= len(entries)
		}
		// The first pipeline of a lane goes at once: so every try gets somewhere.
		if !first && !a.sendBy.IsZero() && time.Now().After(a.sendBy) {
			a.fail(fmt.Errorf("%s is %w: %w: more than %s",
				a.name, sdk.ErrUnavailable, errLate, a.settings.PipelineTimeout))
			return
		}
		if a.failed() {
			return
		}
		if err := a.send(ctx, p); err != nil {
			a.fail(err)
			return
		}
		apps = left
	}
}

// send stores the runs of the pipeline and counts those that are.
func (a *appending) send(ctx context.Context, p *pipeline) error {
	for try := 1; len(p.runs) > 0; try++ {
		p.encode(a.batch.Apps, blockLimit(a.settings.Lines))
		err := a.exchange(ctx, p)
		p.runs = slices.DeleteFunc(p.runs, func(r run) bool { return a.done[r.app] == r.offset+r.count })
		if replyCode(err) == "NOSCRIPT" {
			if swept := a.sweep(ctx, p); swept != nil {
				err = swept
			} else if try <= loads {
				err = a.load(ctx)
			}
		}
		if err != nil {
			return a.explain(err)
		}
	}
	return nil
}

func (a *appending) failed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err != nil
}

func (a *appending) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.err = err
	}
	a.broken = a.broken || !errors.Is(err, errLate)
}

// run is consecutive entries of one app in one pipeline.
type run struct {
	app    int // index in the batch
	offset int // of its first entry among the app's
	count  int
	first  int // index of its first block in the pipeline
	blocks int
	// scripted says that the script gets the blocks. Stray is how many elements the list
	// had once they were pushed, and the script did not run; 0 is none.
	scripted bool
	stray    int64
}

// pipeline is what goes to Redis in one write. Its memory is used again and again.
type pipeline struct {
	runs []run
	encoder
	args []any
}

// pooled pipelines are for the lanes of later appends. One that had to hold very long
// entries is left to the garbage collector.
var pooled = sync.Pool{New: func() any { return new(pipeline) }}

const pooledBytes = 256 << 10

func (p *pipeline) release() {
	if cap(p.buffer) <= pooledBytes {
		clear(p.args[:cap(p.args)]) // the apps' names
		pooled.Put(p)
	}
}

func (p *pipeline) add(app, offset int, entries []sdk.Entry) {
	p.runs = append(p.runs, run{app: app, offset: offset, count: len(entries)})
}

// encode makes the blocks of all runs.
func (p *pipeline) encode(apps []sdk.AppEntries, most int) {
	p.reset()
	for i := range p.runs {
		run := &p.runs[i]
		run.first = len(p.blocks)
		p.encoder.add(apps[run.app].Entries[run.offset:run.offset+run.count], most)
		run.blocks = len(p.blocks) - run.first
	}
}
