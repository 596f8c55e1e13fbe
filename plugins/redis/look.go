package redis

import (
	"context"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// look is what the keys of an app had while its list is watched.
type look struct {
	length *redis.Cmd
	// sizes says how many entries are in the blocks after the oldest one: as many of them
	// as the run adds blocks, so that a full log can stay as long as it is, and no more than
	// fit.
	sizes    [mostSizes]*redis.Cmd
	state    string
	followed bool
}

// queueLook adds the commands that look at the keys of all runs that are not scripted, and watch
// their lists: an append or a delete changes the list, and so does who begins to follow the
// app, see follow.go. A key that is watched costs Redis as much as a command.
func (l *lane) queueLook(ctx context.Context, r redis.Pipeliner, p *pipeline) {
	p.args = append(p.args, "watch")
	for i := range p.runs {
		if run := &p.runs[i]; !run.scripted {
			p.args = append(p.args, &run.list)
		}
	}
	p.watch = p.queued(ctx, r, 0)
	start := len(p.args)
	p.args = append(p.args, "mget")
	for i := range p.runs {
		if run := &p.runs[i]; !run.scripted {
			p.args = append(p.args, &run.state, &run.followed)
		}
	}
	p.get = p.queued(ctx, r, start)
	for i := range p.runs {
		run := &p.runs[i]
		if run.scripted {
			continue
		}
		run.look.length = p.do(ctx, r, "llen", &run.list)
		for i := range min(run.blocks, mostSizes) {
			run.look.sizes[i] = p.do(ctx, r, "lindex", &run.list, 2*i+3)
		}
	}
}

// mostSizes is the most blocks that a run makes room for. A log that is left too long is
// the script's, which trims as much as there is.
const mostSizes = 4

// takeLook takes the replies.
func (l *lane) takeLook(p *pipeline) error {
	for _, command := range []*redis.Cmd{p.watch, p.get} {
		switch err := command.Err(); {
		case replyCode(err) == "CROSSSLOT":
			// A single node of a cluster takes no command of several apps.
			l.scripted.Store(true)
			for i := range p.runs {
				p.runs[i].scripted = true
			}
			return nil
		case err != nil:
			return err
		}
	}
	values, _ := p.get.Val().([]any)
	for i := range p.runs {
		run := &p.runs[i]
		if run.scripted {
			continue
		}
		if len(values) < 2 {
			return errReply
		}
		run.look.state, _ = values[0].(string)
		_, run.look.followed = values[1].(string)
		values = values[2:]
		switch err := run.look.length.Err(); {
		case replyCode(err) == "WRONGTYPE":
			run.scripted = true
		case err != nil:
			return err
		}
	}
	p.looked = true
	return nil
}

// change is what a run makes of its app's log.
type change struct {
	state string // all of it
	last  uint64 // position of its last entry
	gone  uint64 // blocks that are trimmed
}

// plan works out the run's change. It is false where something is not as usual, which the
// script has to make sense of: see append.lua, whose rules are the same. They are these: a
// run is stored if it is above the writer's mark; and as many of the oldest blocks are trimmed as
// leave at least the entries to keep, but here only those whose size is known.
func (l *lane) plan(p *pipeline, run *run) bool {
	log, known := parseState(run.look.state)
	length, _ := run.look.length.Val().(int64)
	if !known || length == 0 || uint64(length) != 2*log.blocks {
		return false
	}
	marks := run.look.state[stateHead:]
	own := l.sequence + entriesText(run.offset)
	if at := strings.Index(marks, l.writer); at >= 0 {
		if at < markLength {
			return false
		}
		mark := marks[at-markLength : at]
		if mark > own || l.resumes(run) && mark < own {
			return false // some of it is stored, or what came before it is lost
		}
		marks = marks[:at-markLength] + marks[at+len(l.writer):]
	} else {
		marks = newest(marks, writers-1)
	}

	before := log.blocks
	stored := uint64(run.count)
	log.last += stored
	log.total += stored
	log.blocks += uint64(run.blocks)
	log.kept = min(log.kept+stored, uint64(l.settings.Lines))
	size := func(i uint64) uint64 { // entries in the i-th block, 0 if that is not known
		switch {
		case i >= before:
			return uint64(p.blocks[run.first+int(i-before)].entries)
		case i <= mostSizes && run.look.sizes[i-1] != nil:
			if text, ok := run.look.sizes[i-1].Val().(string); ok {
				return uint64(count(text))
			}
		}
		return 0
	}
	run.change = change{last: log.last}
	gone := &run.change.gone
	for log.total-log.first >= log.kept && *gone+1 < log.blocks {
		next := size(*gone + 1)
		if next == 0 || log.total-log.first < next {
			break
		}
		log.total -= log.first
		log.first = next
		*gone++
	}
	log.blocks -= *gone
	if log.total-log.kept > log.first+log.kept/slack {
		return false
	}
	head := log.text()
	run.change.state = string(head[:]) + l.sequence + entriesText(run.offset+run.count) + l.writer + marks
	return true
}

// slack is the share of the entries to keep that a log may have beyond them and the oldest
// block's, before the script trims it.
const slack = 8

// markLength is that of a batch's sequence, and of how many entries are stored of it.
const markLength = 20 + 10

// newest are those of so many writers that stored last.
func newest(marks string, writers int) string {
	stop := 0
	for range writers {
		i := strings.IndexByte(marks[stop:], '\n')
		if i < 0 {
			return marks
		}
		stop += i + 1
	}
	return marks[:stop]
}

// entriesTexts are those of short runs.
var entriesTexts = func() (texts [64]any) {
	for n := range texts {
		texts[n] = entriesText(n)
	}
	return texts
}()

// entriesArg is the text without an allocation, if possible.
func entriesArg(n int) any {
	if n < len(entriesTexts) {
		return entriesTexts[n]
	}
	return entriesText(n)
}

// entriesText is how many of an app's entries are stored, as it is in a mark.
func entriesText(n int) string {
	text := strconv.Itoa(n)
	return "0000000000"[:max(0, 10-len(text))] + text
}
