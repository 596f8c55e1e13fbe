package loki

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/deis/logger/host/loki/logql"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/host/scan"
	"github.com/deis/logger/sdk"
)

// linesQuery says which lines are wanted.
type linesQuery struct {
	window
	query   *logql.LogQuery
	limit   int
	forward bool // if set, the oldest lines count for the limit, and come first
	// interval is the least time between two lines; 0 for none.
	interval time.Duration
}

// line holds one line of an answer.
type line struct {
	at       int64 // Unix time, ns
	position uint64
	labels   logql.Labels
	text     string
}

// size returns the number of bytes of the line's text and labels. A query may make both of any
// size.
func (l *line) size() int {
	n := len(l.text)
	for i := range l.labels {
		n += len(l.labels[i].Name) + len(l.labels[i].Value)
	}
	return n
}

// collector keeps the first lines by time, in one of the directions.
type collector struct {
	forward bool
	limit   int
	lines   []line
	bytes   int
}

func (c *collector) compare(a, b line) int {
	if c.forward {
		a, b = b, a
	}
	return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(b.position, a.position))
}

// add keeps the lines that may be among the first. It fails if they have too many bytes.
func (c *collector) add(lines ...line) error {
	for _, l := range lines {
		c.lines = append(c.lines, l)
		c.bytes += l.size()
		if len(c.lines) >= 2*c.limit || c.bytes > queryBytes {
			c.cut()
		}
		if c.bytes > queryBytes {
			return sdk.Refusef("the lines of the answer have more than %d MiB: ask for fewer with limit, or for shorter ones with line_format and drop", queryBytes>>20)
		}
	}
	return nil
}

// cut sorts the lines, and drops those beyond the limit.
func (c *collector) cut() {
	slices.SortStableFunc(c.lines, c.compare)
	for i := c.limit; i < len(c.lines); i++ {
		c.bytes -= c.lines[i].size()
		c.lines[i] = line{}
	}
	c.lines = c.lines[:min(len(c.lines), c.limit)]
}

// linesOf returns the lines that q wants, in its direction.
func (s *request) linesOf(ctx context.Context, q linesQuery) ([]line, error) {
	if !q.end.After(q.start) {
		return nil, nil
	}
	t := aim(q.query)
	apps, err := s.api.appsOf(ctx, &t, q.start)
	if err != nil {
		return nil, err
	}
	filter := t.filter(q.start, q.end.Add(-1))
	var mu sync.Mutex
	all := collector{forward: q.forward, limit: q.keep()}
	err = s.Each(ctx, apps, func(ctx context.Context, app string) error {
		found, err := s.linesOfApp(ctx, app, &q, filter)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		return all.add(found...)
	})
	if err != nil {
		return nil, err
	}
	all.cut()
	return q.thin(all.lines)
}

// thinned bounds how many lines may be read for an answer with an interval.
const thinned = 10 * maxLines

// keep returns how many lines are needed before they are thinned out.
func (q *linesQuery) keep() int {
	if q.interval > 0 {
		return thinned + 1
	}
	return q.limit
}

// thin removes lines that follow another line within the interval.
func (q *linesQuery) thin(lines []line) ([]line, error) {
	if q.interval <= 0 {
		return lines, nil
	}
	if len(lines) > thinned {
		return nil, sdk.Refusef("more than %d lines pass before interval thins them out: ask for a shorter time", thinned)
	}
	var kept []line
	for _, l := range lines {
		if n := len(kept); n == 0 || max(l.at-kept[n-1].at, kept[n-1].at-l.at) >= int64(q.interval) {
			kept = append(kept, l)
		}
	}
	return kept[:min(len(kept), q.limit)], nil
}

// linesOfApp returns the lines of one app. Storages only know the order of publishing. So it
// searches the newest published lines for the newest by their own times, then four times as many,
// and so on, until all other lines were published too early to count.
func (s *request) linesOfApp(ctx context.Context, app string, q *linesQuery, filter sdk.Filter) ([]line, error) {
	pipeline, err := logql.NewPipeline(q.query)
	if err != nil {
		return nil, err
	}
	streams := newStreams(app, pipeline.Selects)
	for ask := max(q.keep(), leastAsked); ; ask *= 4 {
		if q.forward || ask > mostAsked {
			ask = -1
		}
		found := collector{forward: q.forward, limit: q.keep()}
		seen, oldest := 0, time.Time{}
		err := s.Read(ctx, read.Query{App: app, Lines: ask, Filter: filter}, func(entries []sdk.Entry) error {
			if seen == 0 {
				oldest = entries[0].Published
			}
			seen += len(entries)
			for i := range entries {
				e := &entries[i]
				stream := streams.of(e)
				if !stream.selected {
					continue
				}
				text, labels, keep := pipeline.Process(e.Time, e.Message, stream.labels)
				if !keep {
					continue
				}
				if !same(labels, stream.labels) {
					labels = clone(labels)
				}
				if err := found.add(line{e.Time.UnixNano(), e.Position, labels, strings.Clone(text)}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		found.cut()
		n := len(found.lines)
		if ask < 0 || seen < ask || n == found.limit && oldest.Add(scan.ClockSkew).Before(time.Unix(0, found.lines[n-1].at)) {
			return found.lines, nil
		}
	}
}

// leastAsked is the number of lines that are read first. If more than mostAsked would be read, all
// are.
const leastAsked, mostAsked = 1000, 100_000

// same reports whether labels is the stream's own slice.
func same(labels, stream logql.Labels) bool {
	return len(labels) == len(stream) && (len(labels) == 0 || &labels[0] == &stream[0])
}

// clone copies labels, except those with an empty value. The copy shares no memory with the
// originals.
func clone(labels logql.Labels) logql.Labels {
	own := make(logql.Labels, 0, len(labels))
	for _, l := range labels {
		if l.Value != "" {
			own = append(own, logql.Label{Name: strings.Clone(l.Name), Value: strings.Clone(l.Value)})
		}
	}
	return own
}
