package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/sdk"
)

// lane stores the entries of some of the apps of a batch, pipeline after pipeline.
type lane struct {
	*appending
	apps []int // indexes in the batch
	// conn is one connection, since WATCH holds for the one that it came by; nil until
	// something is watched. Watching says that something is.
	conn     *redis.Conn
	watching bool
	loads    int // how often it gave Redis the scripts
}

// place is where a lane is: at the entry of one of its apps. Of the apps after that,
// all that is not stored is to come.
type place struct{ app, entry int }

// A pipeline of at least shortRuns runs which have fewer than shortRun entries on average goes
// by the script: that costs Redis no more, and us half.
const shortRuns, shortRun = 8, 4

// runLane stores all entries of the apps that are not stored yet.
func (a *appending) runLane(ctx context.Context, apps []int) {
	l := &lane{appending: a, apps: apps}
	defer l.close(ctx)
	if err := l.run(ctx); err != nil {
		a.fail(err)
		if l.conn != nil && replyCode(err) == "READONLY" {
			// go-redis gives up the connection to what became a replica if it says so to a
			// write by itself.
			_ = l.conn.RPushX(ctx, probeKey, "").Err()
		}
	}
}

// run sends a pipeline in one write with the look at what the next one changes: so a
// pipeline costs one trip, and only the first of a lane a second one. Where something came
// in between, the lane looks again.
func (l *lane) run(ctx context.Context) error {
	this, next := pooled.Get().(*pipeline), pooled.Get().(*pipeline)
	defer func() { this.release(); next.release() }()
	start := l.fill(this, place{})
	for first := true; len(this.runs) > 0; first = false {
		// The first pipeline of a lane goes at once: so every try gets somewhere.
		if !first && !l.sendBy.IsZero() && time.Now().After(l.sendBy) {
			return fmt.Errorf("%s is %w: %w: more than %s",
				l.name, sdk.ErrUnavailable, errLate, l.settings.PipelineTimeout)
		}
		if l.failed() {
			return nil
		}
		if this.needsLook() {
			if err := l.exchange(ctx, nil, this); err != nil {
				return l.explain(err)
			}
		}
		end := l.fill(next, start)
		if err := l.exchange(ctx, this, next); err != nil {
			return l.explain(err)
		}
		if !l.stored(this) {
			start = l.fill(this, place{})
			continue
		}
		this, next, start = next, this, end
	}
	return nil
}

// stored says that all of the pipeline is.
func (l *lane) stored(p *pipeline) bool {
	for i := range p.runs {
		if run := &p.runs[i]; l.done[run.app] != run.offset+run.count {
			return false
		}
	}
	return true
}

// fill makes the pipeline that begins at the place, and returns where the one after it
// does. No pipeline has two runs of one app: the second must not be stored if the first is
// not.
func (l *lane) fill(p *pipeline, at place) place {
	p.reset()
	length := l.settings.PipelineLength
	most := blockLimit(l.settings.Lines)
fill:
	for room := length; room > 0 && at.app < len(l.apps); {
		i := l.apps[at.app]
		at.entry = max(at.entry, l.done[i])
		app := &l.batch.Apps[i]
		entries := app.Entries[at.entry:]
		whole := len(entries) <= room
		switch {
		case whole:
		case len(entries) <= length && room <= length/4:
			// What a run costs it costs once, in the next pipeline.
			break fill
		default:
			entries = entries[:room]
		}
		room -= len(entries)
		if len(entries) > 0 {
			p.add(app.App, i, at.entry, entries, most)
			p.runs[len(p.runs)-1].scripted = l.byScript[i] || l.scripted.Load()
		}
		at.entry += len(entries)
		if whole {
			at = place{app: at.app + 1}
		}
	}
	if n := len(p.runs); n >= shortRuns && len(p.blocks) == n && p.entries() < shortRun*n {
		for i := range p.runs {
			p.runs[i].scripted = true
		}
	}
	return at
}

// pipelined sends commands over the lane's connection, if it has one.
func (l *lane) pipelined(ctx context.Context, f func(redis.Pipeliner) error) error {
	var err error
	if l.conn != nil {
		_, err = l.conn.Pipelined(ctx, f)
	} else {
		_, err = l.client.Pipelined(ctx, f)
	}
	return err
}

// connect gives the lane its connection. There is none of a whole cluster.
func (l *lane) connect() {
	if single, ok := l.client.(*redis.Client); ok && l.conn == nil {
		l.conn = single.Conn()
	}
}

// unwatchTimeout bounds what comes after the append's own deadline. A connection that is as
// slow is not used again.
const unwatchTimeout = 100 * time.Millisecond

// close returns the connection to those that anybody uses.
func (l *lane) close(ctx context.Context) {
	if l.conn == nil {
		return
	}
	if l.watching { // else whose transaction comes next is told of a conflict
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unwatchTimeout)
		defer cancel()
		_ = l.conn.Do(ctx, "unwatch").Err() // a connection that is broken is not used again
	}
	_ = l.conn.Close()
}

// run is consecutive entries of one app in one pipeline.
type run struct {
	app    int // index in the batch
	offset int // of its first entry among the app's
	count  int
	first  int // index of its first block in the pipeline
	blocks int

	state, list, followed string // keys; commands get pointers, which need no memory of their own

	// scripted says that the script gets the blocks.
	scripted bool
	look     look
	change   change
}

// pipeline is what goes to Redis in one write. Its memory is used again and again.
type pipeline struct {
	runs []run
	encoder
	args []any
	// looked says that the lists of all runs but those that are scripted are watched, and their
	// keys known.
	looked     bool
	watch, get *redis.Cmd // of the look
}

// pooled pipelines are for later appends. One that had to hold very long entries is left
// to the garbage collector.
var pooled = sync.Pool{New: func() any { return new(pipeline) }}

const pooledBytes = 256 << 10

func (p *pipeline) release() {
	if cap(p.buffer) <= pooledBytes {
		p.reset()
		clear(p.args[:cap(p.args)]) // the apps' names
		clear(p.runs[:cap(p.runs)])
		p.watch, p.get = nil, nil
		pooled.Put(p)
	}
}

func (p *pipeline) reset() {
	p.runs, p.args, p.looked = p.runs[:0], p.args[:0], false
	p.encoder.reset()
}

// do adds a command to those that are sent. Its arguments are in the pipeline's memory.
func (p *pipeline) do(ctx context.Context, r redis.Pipeliner, args ...any) *redis.Cmd {
	start := len(p.args)
	p.args = append(p.args, args...)
	return p.queued(ctx, r, start)
}

// queued adds the command whose arguments begin at the start.
func (p *pipeline) queued(ctx context.Context, r redis.Pipeliner, start int) *redis.Cmd {
	return r.Do(ctx, p.args[start:len(p.args):len(p.args)]...)
}

// add adds a run and encodes its blocks.
func (p *pipeline) add(app string, index, offset int, entries []sdk.Entry, most int) {
	first := len(p.blocks)
	p.encoder.add(entries, most)
	state, list, followed := allKeys(app)
	p.runs = append(p.runs, run{
		app: index, offset: offset, count: len(entries),
		first: first, blocks: len(p.blocks) - first,
		state: state, list: list, followed: followed,
	})
}

func (p *pipeline) entries() (n int) {
	for i := range p.runs {
		n += p.runs[i].count
	}
	return n
}

func (p *pipeline) needsLook() bool {
	if p.looked {
		return false
	}
	for i := range p.runs {
		if !p.runs[i].scripted {
			return true
		}
	}
	return false
}

// errLate is the cause when lines waited too long.
var errLate = errors.New("lines waited too long for their pipeline to be sent")
