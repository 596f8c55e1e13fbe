package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/deis/logger/sdk"
)

const (
	// lanes is how many pipelines of one append are under way at once, each on a
	// connection of its own. An app's entries are all in one lane, so they keep their
	// order.
	lanes = 4
	// smallAppend is the most entries, of those that an append has still to store, that go by
	// the script at once.
	smallAppend = 8
	// writers is how many writers an app's state remembers.
	writers = 16
	// mostLoads is how often a lane gives Redis the scripts before it gives up: one
	// time is enough unless somebody flushes them over and over.
	mostLoads = 3
)

// Append implements [sdk.Storage]. It is atomic for each run of at most
// DEIS_LOGGER_REDIS_PIPELINE_LENGTH entries of an app.
func (s *storage) Append(ctx context.Context, batch sdk.Batch) error {
	done := s.resume(batch)
	a := &appending{
		storage:  s,
		batch:    batch,
		done:     done,
		resumed:  slices.Clone(done),
		byScript: make([]bool, len(batch.Apps)),
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

// CopiesBatches implements [sdk.BatchCopier]: what goes to Redis has gone when Append returns,
// and the client writes and reads in the goroutine that calls it.
func (s *storage) CopiesBatches() bool { return true }

// progress is how many entries of each app of a batch are stored.
type progress struct {
	id   sdk.BatchID
	apps []string
	done []int
}

// resume is what is known to be stored of the batch, app by app. Without it an
// append that is too slow for its time limit would never get further than the last.
// It is a shortcut only: what Redis knows of the batch is what makes repeating safe, and
// where Redis lost it since, all is asked for again.
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
	p := progress{id: sdk.BatchID{Writer: strings.Clone(batch.ID.Writer), Sequence: batch.ID.Sequence}, done: done}
	for i := range batch.Apps {
		p.apps = append(p.apps, strings.Clone(batch.Apps[i].App))
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
	// resumed counts what an earlier try stored of each app.
	resumed []int
	// byScript are the apps whose entries go by the script from now on.
	byScript []bool
	// writer and sequence are as they are in a mark, see state.lua.
	writer, sequence string
	sendBy           time.Time // zero is no limit

	mu  sync.Mutex
	err error // of the lane that failed first; the others stop before their next pipeline
	// broken says that Redis failed, and is not just slow. It may have lost what it
	// stored before, so the next try asks for everything again.
	broken bool
}

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
	if total <= smallAppend {
		// One trip rather than two: an idle system is at its quickest.
		for _, i := range todo {
			a.byScript[i] = true
		}
	}
	width := min(lanes, len(todo), (total+a.settings.PipelineLength-1)/a.settings.PipelineLength)
	if width <= 1 {
		a.runLane(ctx, todo)
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
		running.Go(func() { a.runLane(ctx, apps) })
	}
	running.Wait()
	return a.err
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
