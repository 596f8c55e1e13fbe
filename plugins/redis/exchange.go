package redis

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"
)

// What a run costs Redis is mostly what Lua does with its bytes: it makes a string of
// its own of what it is given, and goes through every byte of it; and what a command and a
// script cost by themselves. So blocks go past the script (see docs/adr/0015 and 0016): one
// transaction pushes those of all runs onto their lists, and the script, which comes last in
// it, sees whether all is as usual, keeps the books, or takes a run away again. Whoever
// reads sees neither without the other.
//
// The script gets the blocks of a run themselves where it said that something is not as
// usual, and in a cluster, whose client makes a trip of its own of each transaction.

// Replies of append.lua. What is above replyPart says how many of the app's entries were
// stored before.
const (
	replyHad     = 0
	replyStored  = 1
	replyHealed  = 2
	replyUnusual = 3
	replyPart    = 4
)

// tripRuns is the most runs of a transaction: Redis serves nobody else meanwhile, and
// the stack of Lua has an end.
const tripRuns = 250

// trip is some runs under way: one command for a run, or a transaction.
type trip struct {
	runs     []*run
	commands []*redis.Cmd
}

// exchange sends the runs in one write and counts those that are stored. Its error is the
// first one of any run.
func (a *appending) exchange(ctx context.Context, p *pipeline) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var trips []trip
	_, failure := a.client.Pipelined(ctx, func(r redis.Pipeliner) error {
		trips = a.queue(ctx, r, p)
		return nil
	})
	var first error
	for _, t := range trips {
		for i, run := range t.runs {
			length, code, err := t.reply(i)
			if run.stray = 0; replyCode(err) == "NOSCRIPT" {
				run.stray = length
			}
			if errors.Is(err, errReply) && failure != nil {
				err = failure // no connection: that is in no reply but the pipeline's
			}
			if err = a.settle(run, code, err); err != nil && first == nil {
				first = err
			}
		}
	}
	return first
}

// queue adds the commands of all runs.
func (a *appending) queue(ctx context.Context, r redis.Pipeliner, p *pipeline) (trips []trip) {
	p.args = p.args[:0]
	plain := make([]*run, 0, len(p.runs))
	for i := range p.runs {
		one := &p.runs[i]
		if one.scripted = one.scripted || a.scripted.Load(); one.scripted {
			trips = append(trips, trip{[]*run{one}, []*redis.Cmd{a.script(ctx, r, p, one)}})
		} else {
			plain = append(plain, one)
		}
	}
	for some := range slices.Chunk(plain, tripRuns) {
		commands := make([]*redis.Cmd, 0, len(some)+3)
		commands = append(commands, r.Do(ctx, "multi"))
		for _, run := range some {
			start := len(p.args)
			p.args = append(p.args, "rpush", blocksKey(a.batch.Apps[run.app].App))
			p.elements(run)
			commands = append(commands, r.Do(ctx, p.args[start:len(p.args):len(p.args)]...))
		}
		commands = append(commands, a.script(ctx, r, p, some...), r.Do(ctx, "exec"))
		trips = append(trips, trip{some, commands})
	}
	return trips
}

// script adds the call of the append script for the runs.
func (a *appending) script(ctx context.Context, r redis.Pipeliner, p *pipeline, runs ...*run) *redis.Cmd {
	start := len(p.args)
	p.args = append(p.args, "evalsha", a.appendScript.Hash(), 2*len(runs))
	for _, run := range runs {
		p.args = append(p.args, stateKey(a.batch.Apps[run.app].App))
	}
	for _, run := range runs {
		p.args = append(p.args, blocksKey(a.batch.Apps[run.app].App))
	}
	p.args = append(p.args, a.settings.Lines, newEpoch(), a.writer, a.sequence, writers)
	for _, run := range runs {
		p.args = append(p.args, entriesText(run.offset), entriesText(run.offset+run.count))
		if run.scripted {
			p.args = append(p.args, 0)
			p.elements(run)
		} else {
			p.args = append(p.args, run.blocks)
		}
	}
	return r.Do(ctx, p.args[start:len(p.args):len(p.args)]...)
}

// elements adds those of the list that the run becomes. They are pointers, so that nothing
// is allocated for each.
func (p *pipeline) elements(run *run) {
	for i := range p.blocks[run.first : run.first+run.blocks] {
		b := &p.blocks[run.first+i]
		p.args = append(p.args, b, b.entries)
	}
}

// entriesText is how many of an app's entries are stored, as it is in a mark.
func entriesText(n int) string {
	if n == 0 {
		return "0000000000"
	}
	text := strconv.Itoa(n)
	return "0000000000"[:max(0, 10-len(text))] + text
}

// reply is what the script answered for the i-th run, or the first error: Redis says why
// it refuses a command when that is queued. Length is the list's once the blocks were
// pushed, 0 if they were not.
func (t *trip) reply(i int) (length, code int64, err error) {
	for _, command := range t.commands {
		if err := command.Err(); err != nil {
			return 0, 0, err
		}
	}
	answer := t.commands[len(t.commands)-1].Val()
	if len(t.commands) > 1 {
		answers, _ := answer.([]any)
		if len(answers) != len(t.runs)+1 {
			return 0, 0, errReply
		}
		length, _ = answers[i].(int64)
		answer = answers[len(t.runs)]
	}
	if err, failed := answer.(error); failed {
		return length, 0, err
	}
	codes, _ := answer.([]any)
	if len(codes) != len(t.runs) {
		return length, 0, errReply
	}
	if err, failed := codes[i].(error); failed {
		return length, 0, err
	}
	code, ok := codes[i].(int64)
	if !ok || code < replyHad {
		return length, 0, errReply
	}
	return length, code, nil
}

// settle takes the outcome of a run.
func (a *appending) settle(run *run, code int64, err error) error {
	switch {
	case replyCode(err) == "CROSSSLOT" && !run.scripted:
		// A single node of a cluster takes no transaction of several apps.
		a.scripted.Store(true)
		run.scripted = true
		return nil
	case replyCode(err) == "EXECABORT" && !run.scripted:
		// Redis took each command and then not the transaction. It tells a script why.
		run.scripted = true
		return nil
	case err != nil:
		return err
	case code == replyUnusual && run.scripted:
		return errReply
	case code == replyUnusual:
		run.scripted = true
		return nil
	case code >= replyPart:
		stored := int(code - replyPart)
		if stored <= run.offset || stored >= run.offset+run.count {
			return errReply
		}
		a.done[run.app] = stored
		run.count -= stored - run.offset
		run.offset = stored
		return nil
	case code == replyHealed:
		a.logger.Warn("threw away keys of another type in the place of an app's log",
			"key", blocksKey(a.batch.Apps[run.app].App))
	}
	a.done[run.app] = run.offset + run.count
	return nil
}

// sweep takes away what was pushed while Redis had forgotten the script. The script would
// do so too, but for a log whose state or list is gone it cannot know.
func (a *appending) sweep(ctx context.Context, p *pipeline) error {
	_, err := a.client.Pipelined(ctx, func(r redis.Pipeliner) error {
		for i := range p.runs {
			if run := &p.runs[i]; run.stray > 0 {
				p.args = append(p.args[:0], run.stray)
				p.elements(run)
				sweepScript.Eval(ctx, r, []string{blocksKey(a.batch.Apps[run.app].App)}, p.args...)
			}
		}
		return nil
	})
	return err
}

// sweepScript takes nothing away that somebody else has stored since: the list is as long as
// it was then, and ends in what was pushed.
var sweepScript = redis.NewScript(`
local pushed = #ARGV - 1
if redis.call('LLEN', KEYS[1]) ~= tonumber(ARGV[1]) then
  return 0
end
for i, element in ipairs(redis.call('LRANGE', KEYS[1], -pushed, -1)) do
  if element ~= ARGV[i + 1] then
    return 0
  end
end
redis.call('LTRIM', KEYS[1], 0, -(pushed + 1))
return 1`)
