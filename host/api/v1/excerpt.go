package v1

import (
	"context"
	"net/url"
	"strconv"

	"github.com/deis/logger/host/excerpt"
	"github.com/deis/logger/host/fields"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

// excerptNames are the parameters that choose, or show, lines for one client alone. They are for
// the logs and tails of one app.
var excerptNames = []string{"context", "context_before", "context_after", "group", "fields"}

// lineChoice is what they say.
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

// chosen is what is chosen and shown for one client alone. A nil one is nothing of that.
type chosen struct {
	*excerpt.Answer
	fields fields.Names
}

// open begins an answer. If lines are to be chosen, they come from what it returns beside it.
func (v *API) open(ctx context.Context, q read.Query, c *lineChoice) (*read.Answer, *chosen, error) {
	if c.isZero() {
		a, err := v.opts.Reader.Open(ctx, q)
		return a, nil, err
	}
	q.Groups = c.group
	a, err := excerpt.Open(ctx, v.opts.Reader, q, excerpt.Options{Filter: q.Filter, Before: c.before, After: c.behind})
	if err != nil {
		return nil, nil, err
	}
	return a.Answer, &chosen{a, c.fields}, nil
}

// read has the sink send an answer, or what is chosen of it.
func (s *sink) read(a *read.Answer, c *chosen) {
	if s.answer, s.chosen = a, c; c != nil {
		s.answer = c
	}
	s.looked(a.Log().At())
}

// looked says that all up to the place was looked at. Some lines before it may still be held.
func (s *sink) looked(p read.Place) {
	if s.chosen != nil {
		p = s.chosen.At()
	}
	s.at(p)
}

// live sends what is wanted of a batch that came behind what is kept.
func (s *sink) live(ctx context.Context, b *read.Batch) error {
	if s.chosen == nil {
		return s.batch(ctx, b)
	}
	out, err := s.chosen.Live(ctx, b)
	if err != nil {
		return err
	}
	return s.batch(ctx, &out)
}

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
