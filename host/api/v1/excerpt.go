package v1

import (
	"context"
	"net/url"
	"strconv"

	"github.com/deis/logger/host/excerpt"
	"github.com/deis/logger/host/fields"
	"github.com/deis/logger/host/follow"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// excerptNames are the parameters that choose, or show, lines for one client alone. They are for
// the logs and tails of one app.
var excerptNames = []string{"context", "context_before", "context_after", "group", "fields"}

// lineChoice holds what those parameters ask for.
type lineChoice struct {
	before, behind int // lines of context
	group          bool
	fields         fields.Names
}

func (c *lineChoice) isZero() bool { return c.before+c.behind == 0 && !c.group && len(c.fields) == 0 }

func parseChoice(values url.Values) (c lineChoice, err error) {
	for _, list := range []struct {
		name string
		to   []*int
	}{{"context", []*int{&c.before, &c.behind}}, {"context_before", []*int{&c.before}}, {"context_after", []*int{&c.behind}}} {
		text := values.Get(list.name)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 || n > excerpt.MaxContext {
			return c, sdk.Refusef("%s=%.40q: want a number of lines from 0 to %d", list.name, text, excerpt.MaxContext)
		}
		for _, to := range list.to {
			*to = n
		}
	}
	if text := values.Get("group"); text != "" {
		if c.group, err = strconv.ParseBool(text); err != nil {
			return c, sdk.Refusef("group=%.40q: want true or false", text)
		}
	}
	c.fields, err = fields.Parse(values["fields"])
	return c, err
}

// chosen holds what is chosen and shown for one client alone. A nil chosen means nothing of that.
type chosen struct {
	*excerpt.Answer
	fields fields.Names
}

// open begins an answer. If lines are to be chosen, they come from what it returns beside it.
func (v *API) open(ctx context.Context, q read.Query, c *lineChoice) (*read.Answer, *chosen, error) {
	if c.isZero() {
		a, err := v.opts.Logs.Open(ctx, q)
		return a, nil, err
	}
	q.Groups = c.group
	a, err := excerpt.Open(ctx, v.opts.Logs, q, excerpt.Options{Filter: q.Filter, Before: c.before, After: c.behind})
	if err != nil {
		return nil, nil, err
	}
	return a.Answer, &chosen{a, c.fields}, nil
}

// chosenTail gives what is chosen of what comes.
type chosenTail struct {
	*follow.Follower
	chosen *chosen
}

func (t chosenTail) Next(ctx context.Context) (read.Batch, error) {
	b, err := t.Follower.Next(ctx)
	if err != nil {
		return b, err
	}
	// What the follower gave is taken, whenever the next heartbeat is due.
	return t.chosen.Live(context.WithoutCancel(ctx), &b)
}

func (t chosenTail) At() read.Place { return t.chosen.At() }

// apart appends what is shown in the place of lines that were left out.
func (c *chosen) apart(b []byte, p *read.Span, i int) []byte {
	if c != nil && p.Apart(i) {
		b = append(b, "--\n"...)
	}
	return b
}

// shown returns the entry as it is shown as text: with its fields, if it has some that are asked
// for.
func (c *chosen) shown(e *sdk.Entry) *sdk.Entry {
	if c == nil {
		return e
	}
	values := c.fields.Values(e.Message)
	if values == nil {
		return e
	}
	own := *e
	own.Message = c.fields.Text(values)
	return &own
}

// mark appends to an entry's record what is told of it for this client alone.
func (c *chosen) mark(b []byte, p *read.Span, i int) []byte {
	if c == nil {
		return b
	}
	b = b[:len(b)-1]
	if values := c.fields.Values(p.Entries[i].Message); values != nil {
		b = c.fields.AppendObject(append(b, `,"fields":`...), values)
	}
	if p.Context(i) {
		b = append(b, `,"context":true`...)
	}
	if p.Apart(i) {
		b = append(b, `,"apart":true`...)
	}
	return append(b, '}')
}
