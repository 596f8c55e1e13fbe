package v1

import (
	"context"
	"net/http"
	"time"

	"github.com/deis/logger/host/follow"
	"github.com/deis/logger/sdk"
)

// readLogs answers what is kept. What follows a cursor begins with its oldest.
func (v *API) readLogs(w http.ResponseWriter, r *http.Request) error {
	app, err := appName(r)
	if err != nil {
		return err
	}
	values, err := parameters(r, logsNames)
	if err != nil {
		return err
	}
	q, err := parseQuery(values, time.Now())
	if err != nil {
		return err
	}
	format, err := q.chooseFormat(r, false)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), v.opts.StorageTimeout)
	defer cancel()
	q.pages = true
	s, reading, err := v.find(ctx, app, &q)
	if err != nil {
		return err
	}
	defer reading.Close()
	if !s.exists {
		return appUnknown(app)
	}
	reader := follow.NewReader(v.opts.Storage, app, s.after)
	var b follow.Batch
	if s.page != nil {
		b, s.page = reader.Take(*s.page), nil
	}
	out := v.newSink(w, app, format, q.filter)
	out.reading = reading
	v.sendLogs(r.Context(), out, &q, reader, b, s)
	return nil
}

// sendLogs sends the first batch and what follows it, up to the end that the log had.
func (v *API) sendLogs(ctx context.Context, out *sink, q *query, reader *follow.Reader, b follow.Batch, s start) {
	out.cursor = s.after
	out.begin()
	if out.format == "json" {
		_ = out.write(append(appendQuoted([]byte(`{"app":`), out.app), `,"entries":[`...))
	}
	for {
		part, last := bound(b, out, q, s)
		if err := out.batch(&part); err != nil {
			return // the client left
		}
		if last || !part.More {
			break
		}
		var err error
		if b, err = v.readOn(ctx, out.reading, reader); err != nil {
			v.opts.Logger.Warn("an answer is cut off", "app", out.app, "error", err)
			if out.format == "ndjson" || out.format == "sse" {
				out.end("storage_away")
			}
			panic(http.ErrAbortHandler) // so that the client sees that it is not whole
		}
	}
	if out.cursor == sdk.Beginning() {
		out.cursor = s.end
	}
	if out.format == "json" {
		b := append([]byte(`],"cursor":"`), out.cursor.String()...)
		b = append(append(b, `","gaps":[`...), out.gaps...)
		_ = out.write(append(b, "]}\n"...)) // a client that left needs no end
	}
}

// bound cuts a batch where the answer ends: at the end that the log had, and, after a
// cursor, when there are as many lines as asked for.
func bound(b follow.Batch, out *sink, q *query, s start) (follow.Batch, bool) {
	last := false
	if end := b.End(); end.Epoch != s.end.Epoch || end.Position >= s.end.Position {
		last = true
		if end.Epoch == s.end.Epoch {
			b = b.Cut(len(b.Entries) - int(min(end.Position-s.end.Position, uint64(len(b.Entries)))))
		}
	}
	if q.after.IsZero() || q.lines < 0 {
		return b, last
	}
	wanted := q.lines - out.sent
	for i := range b.Entries {
		if !q.filter.wants(&b.Entries[i]) {
			continue
		}
		if wanted--; wanted <= 0 {
			return b.Cut(i + 1), true
		}
	}
	return b, last
}

// readOn reads a further page; each has the whole time, once it has its turn.
func (v *API) readOn(ctx context.Context, reading Reading, reader *follow.Reader) (follow.Batch, error) {
	wait, cancel := context.WithTimeout(ctx, v.writeTimeout)
	defer cancel()
	if err := reading.Again(wait); err != nil {
		return follow.Batch{}, err
	}
	ctx, cancel = context.WithTimeout(ctx, v.opts.StorageTimeout)
	defer cancel()
	b, err := reader.Next(ctx)
	reading.Done(batchBytes(b.Entries))
	return b, err
}

// deleteLogs answers 204 once the app has no lines.
func (v *API) deleteLogs(w http.ResponseWriter, r *http.Request) error {
	app, err := appName(r)
	if err != nil {
		return err
	}
	if _, err := parameters(r, nil); err != nil {
		return err
	}
	// A delete that was begun is not given up when its client leaves.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), v.opts.StorageTimeout)
	defer cancel()
	if err := v.opts.Storage.Delete(ctx, app); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
