package redis

import (
	"context"
	"errors"
	"slices"

	"github.com/redis/go-redis/v9"
)

// A run is stored by a transaction (see docs/adr/0017): the list of its app is watched, its keys are
// looked at, the plugin works out what becomes of them, and MULTI to EXEC push the blocks
// and set the state, unless somebody else has changed the list since. What is not as usual,
// and what somebody else changed, is given to the append script, which sees and changes all
// at one moment. So are runs of very few entries, for which a transaction would be many small
// commands, and all runs in a cluster, whose nodes take no transaction of several slots.

// Replies of append.lua. What is above replyPart says how many of the app's entries were
// stored before.
const (
	replyHad    = 0
	replyStored = 1
	replyHealed = 2
	replyLost   = 3
	replyPart   = 4
)

var (
	// errConflict: somebody else changed a list of the transaction or begins to follow its app,
	// or Redis evicted it.
	errConflict = errors.New("the log changed meanwhile")
	// errAborted: Redis took each command, and then not the transaction.
	errAborted = errors.New("the transaction was not taken")
)

// scriptRuns is the most runs of one script: Redis serves nobody else meanwhile, and the
// stack of Lua has an end.
const scriptRuns = 250

// trip is the commands of one transaction, or of one script.
type trip struct {
	runs     []*run
	commands []*redis.Cmd
}

// exchange stores the runs of this and looks at what the next changes, in one write; this
// may be nil. It counts the runs that are stored. Its error is the first one of any run.
func (l *lane) exchange(ctx context.Context, this, next *pipeline) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	looking := next.needsLook() && !l.scripted.Load()
	if looking {
		l.connect()
	}
	var trips []trip
	failure := l.pipelined(ctx, func(r redis.Pipeliner) error {
		if this != nil {
			trips = l.queue(ctx, r, this)
		} else if l.watching { // what it looked at was overtaken
			r.Do(ctx, "unwatch")
		}
		if looking {
			l.queueLook(ctx, r, next)
		}
		return nil
	})
	// What broke in the way, or was never there, watches nothing.
	l.watching = looking && (!broken(failure) || errors.Is(failure, errUnconfirmed))
	if broken(failure) {
		return failure
	}
	var first error
	forgotten := false
	for _, t := range trips {
		err := l.settle(t)
		if replyCode(err) == "NOSCRIPT" && l.loads < mostLoads {
			forgotten, err = true, nil
		}
		if err != nil && first == nil {
			first = err
		}
	}
	if forgotten && first == nil {
		l.loads++
		if l.conn != nil {
			first = l.loadTo(ctx, l.conn)
		} else {
			first = l.load(ctx)
		}
	}
	if looking && first == nil {
		first = l.takeLook(next)
	}
	if errors.Is(first, errReply) && failure != nil {
		return failure // said to the connection, before any command
	}
	return first
}

// queue adds the commands that store the runs.
func (l *lane) queue(ctx context.Context, r redis.Pipeliner, p *pipeline) (trips []trip) {
	plain, scripted := make([]*run, 0, len(p.runs)), make([]*run, 0, len(p.runs))
	for i := range p.runs {
		// Nothing was looked at if another lane found out meanwhile that all goes by script.
		if one := &p.runs[i]; one.scripted || !p.looked || !l.plan(p, one) {
			scripted = append(scripted, one)
		} else {
			plain = append(plain, one)
		}
	}
	switch {
	case len(plain) > 0:
		trips = append(trips, l.transaction(ctx, r, p, plain))
	case l.watching:
		r.Do(ctx, "unwatch")
	}
	// The scripts come after it: they change keys that are watched.
	some := scriptRuns
	if l.scripted.Load() {
		some = 1 // each app may have a slot of its own
	}
	for runs := range slices.Chunk(scripted, some) {
		trips = append(trips, trip{runs, []*redis.Cmd{l.script(ctx, r, p, runs)}})
	}
	return trips
}

// transaction adds the one that stores the runs.
func (l *lane) transaction(ctx context.Context, r redis.Pipeliner, p *pipeline, runs []*run) trip {
	t := trip{runs, make([]*redis.Cmd, 0, 2*len(runs)+3)}
	t.commands = append(t.commands, p.do(ctx, r, "multi"))
	for _, run := range runs {
		start := len(p.args)
		p.args = append(p.args, "rpush", &run.list)
		p.elements(run)
		t.commands = append(t.commands, p.queued(ctx, r, start))
		if run.change.gone > 0 {
			t.commands = append(t.commands, p.do(ctx, r, "ltrim", &run.list, 2*run.change.gone, "-1"))
		}
	}
	start := len(p.args)
	p.args = append(p.args, "mset")
	for _, run := range runs {
		p.args = append(p.args, &run.state, &run.change.state)
	}
	t.commands = append(t.commands, p.queued(ctx, r, start))
	t.commands = append(t.commands, p.do(ctx, r, "exec"))
	for _, run := range runs {
		if run.look.followed {
			p.do(ctx, r, "publish", &run.followed, run.change.last)
		}
	}
	return t
}

// script adds the call of the append script for the runs.
func (l *lane) script(ctx context.Context, r redis.Pipeliner, p *pipeline, runs []*run) *redis.Cmd {
	start := len(p.args)
	p.args = append(p.args, "evalsha", l.appendScript.Hash(), 2*len(runs))
	for _, run := range runs {
		p.args = append(p.args, &run.state)
	}
	for _, run := range runs {
		p.args = append(p.args, &run.list)
	}
	p.args = append(p.args, l.settings.Lines, newEpoch(), l.writer, l.sequence, writers)
	for _, run := range runs {
		resumed := 0
		if l.resumes(run) {
			resumed = 1
		}
		p.args = append(p.args, entriesArg(run.offset), entriesArg(run.offset+run.count), resumed, run.blocks)
		p.elements(run)
	}
	return p.queued(ctx, r, start)
}

// resumes says that an earlier try stored what comes before the run.
func (l *lane) resumes(run *run) bool { return run.offset > 0 && run.offset == l.resumed[run.app] }

// elements adds those of the list that the run becomes. They are pointers, so that nothing
// is allocated for each.
func (p *pipeline) elements(run *run) {
	for i := range p.blocks[run.first : run.first+run.blocks] {
		b := &p.blocks[run.first+i]
		p.args = append(p.args, b, b.entries)
	}
}

// settle takes the outcome of a trip. Its error is the first one of any run.
func (l *lane) settle(t trip) (first error) {
	codes, err := t.reply()
	slots := replyCode(err) == "CROSSSLOT" && len(t.runs) > 1
	if slots { // a single node of a cluster takes nothing of several apps
		l.scripted.Store(true)
	}
	if slots || errors.Is(err, errConflict) || errors.Is(err, errAborted) {
		for _, run := range t.runs { // Redis tells a script why
			l.byScript[run.app] = true
		}
		return nil
	}
	for i, run := range t.runs {
		of := err
		if of == nil {
			of = l.store(run, codes[i])
		}
		if of != nil && first == nil {
			first = of
		}
	}
	return first
}

// store takes what the script says of a run, or replyStored.
func (l *lane) store(run *run, code any) error {
	if err, failed := code.(error); failed {
		return err
	}
	n, ok := code.(int64)
	switch stored := int(n - replyPart); {
	case !ok, n < replyHad:
		return errReply
	case n == replyLost:
		l.done[run.app], l.resumed[run.app] = 0, 0 // Redis lost it since: all of it again
		return nil
	case n < replyPart:
		l.done[run.app] = run.offset + run.count
	case stored <= run.offset || stored >= run.offset+run.count:
		return errReply
	default:
		l.done[run.app] = stored
	}
	if n == replyHealed {
		l.logger.Warn("threw away keys of another type in the place of an app's log", "key", run.list)
	}
	return nil
}

// reply is what Redis answered for each run.
func (t *trip) reply() (codes []any, err error) {
	last := t.commands[len(t.commands)-1]
	for _, command := range t.commands[:len(t.commands)-1] {
		if err := command.Err(); err != nil { // Redis refuses a command when that is queued
			return nil, err
		}
	}
	answers, _ := last.Val().([]any)
	if len(t.commands) == 1 {
		if err := last.Err(); err != nil || len(answers) == len(t.runs) {
			return answers, err
		}
		return nil, errReply
	}
	switch err := last.Err(); {
	case errors.Is(err, redis.Nil):
		return nil, errConflict
	case replyCode(err) == "EXECABORT":
		return nil, errAborted
	case err != nil:
		return nil, err
	}
	if len(answers) != len(t.commands)-2 {
		return nil, errReply
	}
	for _, answer := range answers {
		if err, failed := answer.(error); failed {
			return nil, err
		}
	}
	codes = make([]any, len(t.runs))
	for i := range codes {
		codes[i] = int64(replyStored)
	}
	return codes, nil
}
