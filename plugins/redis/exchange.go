package redis

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// What a run costs Redis is mostly what Lua does with its entries: it makes a string of
// its own of each, and goes through every byte of it. So entries go past the script
// (see docs/adr/0015): a transaction pushes them onto the list, and the script, which
// comes next in it, sees whether all is as usual, keeps the books, or takes them away
// again. Whoever reads sees neither without the other.
//
// The script gets the entries themselves where it said that something is not as usual,
// and in a cluster, whose client makes a trip of its own of each transaction.

// Replies of append.lua.
const (
	replyHad     = 0
	replyStored  = 1
	replyHealed  = 2
	replyUnusual = 3
)

// trip is a run under way: one command, or the four of a transaction.
type trip []*redis.Cmd

// exchange sends the runs in one write and counts those that are stored. Its error is the
// first one of any run.
func (a *appending) exchange(ctx context.Context, p *pipeline) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	trips := make([]trip, len(p.runs))
	_, failure := a.client.Pipelined(ctx, func(r redis.Pipeliner) error {
		for i := range p.runs {
			trips[i] = a.queue(ctx, r, p, &p.runs[i])
		}
		return nil
	})
	var first error
	for i := range p.runs {
		run := &p.runs[i]
		length, code, err := trips[i].reply()
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
	return first
}

// queue adds the commands of a run.
func (a *appending) queue(ctx context.Context, r redis.Pipeliner, p *pipeline, run *run) trip {
	app := a.batch.Apps[run.app].App
	run.scripted = run.scripted || a.scripted
	pushed, values := run.count, p.values[run.first:run.first+run.count]
	if run.scripted {
		pushed = 0
	}
	args := make([]any, 0, 12+len(values))
	args = append(args, "evalsha", a.appendScript.Hash(), 2, stateKey(app), linesKey(app),
		a.settings.Lines, newEpoch(), a.writer, a.mark(run.offset+run.count), a.mark(run.offset), writers, pushed)
	if run.scripted {
		return trip{r.Do(ctx, withValues(args, values)...)}
	}
	return trip{
		r.Do(ctx, "multi"),
		r.Do(ctx, withValues(append(make([]any, 0, 2+len(values)), "rpush", linesKey(app)), values)...),
		r.Do(ctx, args...),
		r.Do(ctx, "exec"),
	}
}

// withValues appends pointers, so that nothing is allocated for each value.
func withValues(args []any, values []value) []any {
	for i := range values {
		args = append(args, &values[i])
	}
	return args
}

// mark is what append.lua remembers of the writer once so many of an app's entries
// are stored.
func (a *appending) mark(offset int) string {
	return fmt.Sprintf("%020d%010d", a.batch.ID.Sequence, offset)
}

// reply is what the script answered, or the first error: Redis says why it refuses a
// command when that is queued. Length is the list's once the entries were pushed, 0 if
// they were not.
func (t trip) reply() (length, code int64, err error) {
	for _, command := range t {
		if err := command.Err(); err != nil {
			return 0, 0, err
		}
	}
	answer := t[len(t)-1].Val()
	if len(t) > 1 {
		answers, _ := answer.([]any)
		if len(answers) != 2 {
			return 0, 0, errReply
		}
		length, _ = answers[0].(int64)
		answer = answers[1]
	}
	if err, failed := answer.(error); failed {
		return length, 0, err
	}
	code, ok := answer.(int64)
	if !ok || code < replyHad || code > replyUnusual {
		return length, 0, errReply
	}
	return length, code, nil
}

// settle takes the outcome of a run.
func (a *appending) settle(run *run, code int64, err error) error {
	switch {
	case err != nil:
		return err
	case code == replyUnusual && run.scripted:
		return errReply
	case code == replyUnusual:
		run.scripted = true
		return nil
	case code == replyHealed:
		a.logger.Warn("threw away keys of another type in the place of an app's log",
			"key", linesKey(a.batch.Apps[run.app].App))
	}
	a.done[run.app] = run.offset + run.count
	return nil
}

// sweep takes away what was pushed while Redis had forgotten the script. The script would
// do so too, but for a log whose state is gone it cannot know.
func (a *appending) sweep(ctx context.Context, runs []run) error {
	_, err := a.client.Pipelined(ctx, func(r redis.Pipeliner) error {
		for i := range runs {
			if run := &runs[i]; run.stray > 0 {
				sweepScript.Eval(ctx, r, []string{linesKey(a.batch.Apps[run.app].App)}, run.stray, -run.count-1)
			}
		}
		return nil
	})
	return err
}

var sweepScript = redis.NewScript(`
if redis.call('LLEN', KEYS[1]) == tonumber(ARGV[1]) then
  redis.call('LTRIM', KEYS[1], 0, ARGV[2])
end
return 0`)
