package excerpt

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/deis/logger/host/read"
	"github.com/deis/logger/sdk"
)

const (
	// newestBytes bounds the memory for the newest matches until the whole log has been searched.
	newestBytes = 8 << 20
	// batchBytes is about how much of that memory is rendered and given at once.
	batchBytes = 1 << 20
)

// errLarge tells that the matches take too much memory.
var errLarge = fmt.Errorf("the matches and the lines around them take more than %d MiB: ask for fewer lines, for less context, or for all (lines=-1)", newestBytes>>20)

// item holds a gap or a line.
type item struct {
	gap  *read.Gap
	line read.Line
}

// newestMatches holds the end of an excerpt, from its newest matches on.
type newestMatches struct {
	items   []item
	bytes   int
	matches int
	end     read.Place
	given   bool // all of it was given
}

// newestOf returns the newest matches among what next gives until [io.EOF], with the lines around
// them; before is the number of lines before a match. It holds them until next ends, and fails with
// [sdk.ErrTooExpensive] if they take too much memory.
func newestOf(ctx context.Context, matches, before int, next func(context.Context) (read.Batch, error)) (*newestMatches, error) {
	n := new(newestMatches)
	for {
		b, err := next(ctx)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return nil, err
		}
		n.end = b.End
		for i := range b.Gaps {
			n.items = append(n.items, item{gap: &b.Gaps[i]})
		}
		for _, l := range b.Chosen() {
			l.Entry = clone(&l.Entry)
			if n.add(l, matches, before); n.bytes > newestBytes {
				return nil, fmt.Errorf("%w: %w", errLarge, sdk.ErrTooExpensive)
			}
		}
	}
}

// add adds a line, and removes what is no longer around one of the newest matches.
func (n *newestMatches) add(l read.Line, matches, before int) {
	n.items, n.bytes = append(n.items, item{line: l}), n.bytes+size(&l)
	if l.Context {
		return
	}
	if n.matches++; n.matches > matches {
		n.matches--
		n.cut(before)
	}
}

// cut turns the oldest match into context, and removes all lines before the second match except
// those just before it.
func (n *newestMatches) cut(before int) {
	second, seen := -1, 0
	for seen < 2 {
		second++
		if it := &n.items[second]; it.gap == nil && !it.line.Context {
			seen++
			it.line.Context = seen == 1
		}
	}
	from := second
	for from > 0 && second-from < before && !n.items[from].line.Apart && n.items[from-1].gap == nil {
		from--
	}
	for i := range n.items[:from] {
		if n.items[i].gap == nil {
			n.bytes -= size(&n.items[i].line)
		}
	}
	n.items = n.items[from:]
	n.items[0].line.Apart = false
}

// next returns a batch of what was found, and [io.EOF] after the last one.
func (n *newestMatches) next() (read.Batch, error) {
	if n.given {
		return read.Batch{}, io.EOF
	}
	var gaps []read.Gap
	var lines []read.Line
	bytes := 0
	for i, it := range n.items {
		if len(lines) > 0 && (it.gap != nil || bytes >= batchBytes) {
			n.items = n.items[i:]
			return read.NewBatch(gaps, lines, lines[len(lines)-1].Place, true), nil
		}
		if it.gap != nil {
			gaps = append(gaps, *it.gap)
			continue
		}
		lines, bytes = append(lines, it.line), bytes+size(&it.line)
	}
	n.items, n.given = nil, true
	return read.NewBatch(gaps, lines, n.end, false), nil
}
