package loki

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"

	"github.com/deis/logger/host/loki/logql"
	"github.com/deis/logger/host/read"
	"github.com/deis/logger/host/scan"
	"github.com/deis/logger/sdk"
)

const (
	// messageBytes is about how much of lines one message has, unless one line has more.
	messageBytes = 256 << 10
	// droppedAtOnce is how many dropped entries one message tells.
	droppedAtOnce = 1000
	// batchTime bounds what a tail may take of a processor for the lines that come at once.
	batchTime = 2 * time.Second
)

// tailedApp is one app of a tail.
type tailedApp struct {
	*tail
	app      string
	pipeline *logql.Pipeline
	streams  *streams
	newest   time.Time // line that was seen
}

// pump sends what is kept of an app, and then what comes. It returns when ctx ends, or with what
// failed. An app that is fresh began after the tail, so that all its lines are sent.
func (t *tail) pump(ctx context.Context, app string, fresh bool) error {
	pipeline, err := logql.NewPipeline(t.target.query)
	if err != nil {
		return err
	}
	of := &tailedApp{tail: t, app: app, pipeline: pipeline, streams: newStreams(app, pipeline.Selects)}
	kept := read.Query{App: app, Lines: t.limit, Filter: t.target.filter(t.start, time.Time{})}
	if fresh {
		kept = read.Query{App: app, Lines: -1, After: read.Place{Cursor: sdk.Beginning()}}
	}
	a, err := t.api.opts.Reader.Open(ctx, kept)
	if err != nil {
		return err
	}
	defer a.Close()
	for {
		b, err := a.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := of.batch(ctx, &b); err != nil {
			return err
		}
	}
	a.Close()
	follower, err := t.api.opts.Hub.Follow(app, a.Log().At())
	if err != nil {
		return err
	}
	defer follower.Close()
	follower.Begin(a.Log())
	for {
		b, err := follower.Next(ctx)
		if err != nil {
			return err
		}
		if err := of.batch(ctx, &b); err != nil {
			return err
		}
	}
}

// batch sends what is missing before the entries as dropped, and those that pass.
func (t *tailedApp) batch(ctx context.Context, b *read.Batch) error {
	for i := range b.Gaps {
		if err := t.dropped(ctx, &b.Gaps[i]); err != nil {
			return err
		}
	}
	began := time.Now()
	var lines []line
	bytes, evaluated := 0, 0
	for i := range b.Entries {
		e := &b.Entries[i]
		t.newest = e.Time
		stream := t.streams.of(e)
		if !stream.selected {
			continue
		}
		text, labels, keep := t.pipeline.Process(e.Time, e.Message, stream.labels)
		if evaluated += len(e.Message); evaluated >= scan.GlanceBytes {
			if evaluated = 0; time.Since(began) > batchTime {
				return read.ErrSearch
			}
		}
		if !keep {
			continue
		}
		if !same(labels, stream.labels) {
			labels = clone(labels)
		}
		lines = append(lines, line{e.Time.UnixNano(), e.Position, labels, text})
		if bytes += lines[len(lines)-1].size(); bytes >= messageBytes {
			if err := t.lines(ctx, lines); err != nil {
				return err
			}
			lines, bytes, began = lines[:0], 0, time.Now()
		}
	}
	return t.lines(ctx, lines)
}

func (t *tailedApp) lines(ctx context.Context, lines []line) error {
	if len(lines) == 0 {
		return nil
	}
	// logcli reads each message over the one before: without dropped entries it would count those again.
	return t.send(ctx, func(b []byte) []byte {
		return append(appendStreams(append(b, `{"streams":`...), inTurn(lines)), `,"dropped_entries":[]}`...)
	})
}

// dropped sends one dropped entry for each line that is missing. If nobody knows how many those
// are, it is at least one.
func (t *tailedApp) dropped(ctx context.Context, g *read.Gap) error {
	left := g.Count
	if !g.Exact {
		left = max(left, 1)
	}
	at := t.newest
	if at.IsZero() {
		at = time.Now()
	}
	labels := logql.Labels{{Name: labelApp, Value: t.app}, {Name: "reason", Value: string(g.Reason)}}
	entry := append(appendLabels([]byte(`{"labels":`), labels), `,"timestamp":"`+strconv.FormatInt(at.UnixNano(), 10)+`"}`...)
	for left > 0 {
		n := min(left, droppedAtOnce)
		left -= n
		if err := t.send(ctx, func(b []byte) []byte {
			b = append(b, `{"streams":[],"dropped_entries":[`...)
			b = append(b, strings.Repeat(string(entry)+",", int(n-1))...)
			return append(append(b, entry...), `]}`...)
		}); err != nil {
			return err
		}
	}
	return nil
}

// keptBytes is how much of its buffer a tail keeps: there may be thousands of tails.
const keptBytes = 4 << 10

// send sends what message appends. The apps of a tail make their messages one after the other, so
// that a slow client holds the memory of one.
func (t *tail) send(ctx context.Context, message func([]byte) []byte) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	t.b = message(t.b[:0])
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	err := t.conn.Write(ctx, websocket.MessageText, t.b)
	if cap(t.b) > keptBytes {
		t.b = nil
	}
	return err
}
