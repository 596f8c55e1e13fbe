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
	// messageBytes is about the size of a message's lines, unless a single line is larger.
	messageBytes = 256 << 10
	// droppedAtOnce bounds the dropped entries of one message.
	droppedAtOnce = 1000
	// batchTime bounds the processor time of a tail for lines that come at once.
	batchTime = 2 * time.Second
)

// tailedApp follows one app of a tail.
type tailedApp struct {
	*tail
	app      string
	pipeline *logql.Pipeline
	streams  *streams
	shared   *shared
	newest   time.Time // of the lines seen
}

// pump sends the kept lines of an app, and then new ones. It returns when ctx ends or something
// fails. A fresh app began after the tail, so all of its lines are sent.
func (t *tail) pump(ctx context.Context, app string, fresh bool) error {
	pipeline, err := logql.NewPipeline(t.target.query)
	if err != nil {
		return err
	}
	shared, leave := t.api.tails.shared.join(sharedKey{t.target.query.String(), app})
	defer leave()
	of := &tailedApp{tail: t, app: app, pipeline: pipeline, streams: newStreams(app, pipeline.Selects), shared: shared}
	kept := read.Query{App: app, Lines: t.limit, Filter: t.target.filter(t.start, time.Time{})}
	if fresh {
		kept = read.Query{App: app, Lines: -1, After: read.Place{Cursor: sdk.Beginning()}}
	}
	a, err := t.api.opts.Logs.Open(ctx, kept)
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
		if err := of.batch(&b); err != nil {
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
		if err := of.batch(&b); err != nil {
			return err
		}
	}
}

// batch sends the missing lines before the entries as dropped entries, and then the entries that
// pass. The apps of a tail make their messages one after the other, so a slow client takes the
// memory of only one.
func (t *tailedApp) batch(b *read.Batch) error {
	t.writing.Lock()
	defer t.writing.Unlock()
	for i := range b.Gaps {
		if err := t.dropped(&b.Gaps[i]); err != nil {
			return err
		}
	}
	if n := len(b.Entries); n > 0 {
		t.newest = b.Entries[n-1].Time
	}
	if message, ok := t.shared.of(b); ok {
		return t.send(message)
	}
	var lines []line
	bytes, whole, spent := 0, true, time.Duration(0)
	for rest := b.Entries; len(rest) > 0; {
		n := scan.Few(rest)
		work := sdk.MeasureWork()
		for i := range rest[:n] {
			if l, ok := t.line(&rest[i]); ok {
				lines = append(lines, l)
				bytes += l.size()
			}
		}
		if spent += work(); spent > batchTime {
			return read.ErrSearch
		}
		if rest = rest[n:]; bytes >= messageBytes && len(rest) > 0 {
			if err := t.send(t.message(lines)); err != nil {
				return err
			}
			lines, bytes, whole, spent = lines[:0], 0, false, 0
		}
	}
	message := t.message(lines)
	if whole && t.shared.keep(b, message) {
		t.b = nil
	}
	return t.send(message)
}

// line returns an entry's line, if it passes.
func (t *tailedApp) line(e *sdk.Entry) (l line, ok bool) {
	stream := t.streams.of(e)
	if !stream.selected {
		return l, false
	}
	text, labels, keep := t.pipeline.Process(e.Time, e.Message, stream.labels)
	if keep && !same(labels, stream.labels) {
		labels = clone(labels)
	}
	return line{e.Time.UnixNano(), e.Position, labels, text}, keep
}

// message returns a message with the lines. It is empty if there are none.
func (t *tailedApp) message(lines []line) []byte {
	if t.b = t.b[:0]; len(lines) > 0 {
		// logcli decodes each message into the same variable: without dropped entries, it would
		// count the last ones again.
		t.b = append(appendStreams(append(t.b, `{"streams":`...), inTurn(lines), nil), `,"dropped_entries":[]}`...)
	}
	return t.b
}

// dropped sends one dropped entry for each missing line. If nobody knows how many are missing, it
// sends at least one.
func (t *tailedApp) dropped(g *read.Gap) error {
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
		t.b = append(t.b[:0], `{"streams":[],"dropped_entries":[`...)
		t.b = append(t.b, strings.Repeat(string(entry)+",", int(n-1))...)
		t.b = append(append(t.b, entry...), `]}`...)
		if err := t.send(t.b); err != nil {
			return err
		}
	}
	return nil
}

// keptBytes bounds the buffer that a tail keeps, because there may be thousands of tails.
const keptBytes = 4 << 10

// send sends a message, unless it is empty. If that takes too long, the tail ends.
func (t *tail) send(message []byte) (err error) {
	if len(message) > 0 {
		t.late.Reset(sendTimeout)
		// A context that ends would cost half as much as the rest; instead, run closes the
		// connection.
		err = t.conn.Write(context.Background(), websocket.MessageText, message)
		t.late.Stop()
	}
	if cap(t.b) > keptBytes {
		t.b = nil
	}
	return err
}
