package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// maxRecord bounds the size of one record: the server's longest line can be configured, and JSON
// makes text up to six times longer.
const maxRecord = 64 << 20

// maxQuery bounds how long the query of a URL may be. A longer one, for instance with the cursor of
// many apps, goes into the body.
const maxQuery = 4 << 10

const ndjson = "application/x-ndjson"

// Stream reads one answer record by record. It is not safe for concurrent use.
type Stream struct {
	body   io.ReadCloser
	reader *bufio.Reader
	date   time.Time // when the answer began, by the server's clock
	place  place
	live   bool // the answer is a tail: it ends by a record, and otherwise is lost
}

// place tells how far an answer has come: the last cursor, and the places of apps since then.
type place struct {
	cursor string
	since  map[string]string // nil for none
}

// note updates the place from a record. If an entry of several apps has no cursor, it has a place
// in its app's log.
func (p *place) note(r *Record) {
	switch at := r.Place(); {
	case at != "":
		*p = place{cursor: at}
	case r.App != "" && r.AppCursor != "":
		if p.since == nil {
			p.since = map[string]string{}
		}
		p.since[r.App] = r.AppCursor
	}
}

// String returns the cursor to go on from.
func (p *place) String() string {
	if len(p.since) == 0 {
		return p.cursor
	}
	var b strings.Builder
	b.WriteString(p.cursor)
	for _, app := range slices.Sorted(maps.Keys(p.since)) {
		b.WriteString("," + app + "=" + p.since[app])
	}
	return b.String()
}

// Logs asks for what is kept of an app. The caller closes the stream, which ends with [io.EOF].
func (c *Client) Logs(ctx context.Context, app string, q Query) (*Stream, error) {
	return c.open(ctx, app, "/logs", q, true)
}

// LogsOfApps asks for what is kept of several apps, in the order of publishing. Each is a name, or
// a pattern in which * stands for any characters. Query.Lines counts the lines of all apps
// together, and a cursor is a place in all of their logs.
func (c *Client) LogsOfApps(ctx context.Context, apps []string, q Query) (*Stream, error) {
	path, values, err := several(apps, "/logs", q)
	if err != nil {
		return nil, err
	}
	return c.openPath(ctx, path, values, q, true)
}

// tail asks for what is kept and what comes, of app or, unless apps is nil, of apps. The answer
// waits for apps that have no log. If no app has one, it waits only if wait is set; otherwise tail
// fails with [CodeAppUnknown].
func (c *Client) tail(ctx context.Context, app string, apps []string, q Query, wait bool) (s *Stream, err error) {
	if apps == nil {
		s, err = c.open(ctx, app, "/tail", q, wait)
	} else {
		var path string
		var values url.Values
		if path, values, err = several(apps, "/tail", q); err == nil {
			s, err = c.openPath(ctx, path, values, q, wait)
		}
	}
	if s != nil {
		s.live = true
	}
	return s, err
}

// several returns the path and the own parameters of a request for several apps.
func several(apps []string, what string, q Query) (path string, values url.Values, err error) {
	for _, app := range apps {
		if !ValidPattern(app) {
			return "", nil, badApp(app)
		}
	}
	values = url.Values{"app": apps}
	if q.FewCursors {
		values.Set("cursors", "few")
	}
	return "/v1" + what, values, nil
}

func (c *Client) open(ctx context.Context, app, what string, q Query, wait bool) (*Stream, error) {
	path, err := appPath(app, what)
	if err != nil {
		return nil, err
	}
	return c.openPath(ctx, path, url.Values{}, q, wait)
}

func (c *Client) openPath(ctx context.Context, path string, values url.Values, q Query, wait bool) (*Stream, error) {
	maps.Copy(values, q.values())
	if !wait {
		values.Set("wait", "false")
	}
	method := http.MethodGet
	if values.Has("app") && len(values.Encode()) > maxQuery {
		method = http.MethodPost
	}
	resp, err := c.do(ctx, method, path, values, ndjson)
	if err != nil {
		return nil, err
	}
	s := &Stream{body: resp.Body, reader: bufio.NewReaderSize(resp.Body, 64<<10)}
	if resp.StatusCode != http.StatusNoContent {
		if err := wantType(resp, ndjson); err != nil {
			_ = resp.Body.Close()
			return nil, err
		}
	}
	if s.date, err = http.ParseTime(resp.Header.Get("Date")); err != nil {
		s.date = time.Now()
	}
	return s, nil
}

// endUntil is the reason of an answer that ends because it has come to the end of its query.
const endUntil = "until"

// Next returns the next entry, gap or heartbeat. At the end of the answer the error is [io.EOF]. If
// the server ends the answer early and says why, the error is an [EndedError]; if the connection
// breaks, a [LostError].
func (s *Stream) Next() (Record, error) {
	for {
		line, err := s.line()
		if err != nil {
			return Record{}, err
		}
		if len(line) <= 1 {
			continue
		}
		r, err := parseRecord(line)
		if err != nil {
			return Record{}, err
		}
		s.place.note(&r)
		switch r.Kind {
		case KindEntry, KindGap, KindHeartbeat:
			return r, nil
		case KindEnd:
			if r.Reason == endUntil {
				return Record{}, io.EOF
			}
			return Record{}, &EndedError{Reason: oneLine(r.Reason)}
		}
	}
}

// line returns the next line with its newline. A line that is cut off before its newline is an
// error.
func (s *Stream) line() ([]byte, error) {
	var line []byte
	for {
		part, err := s.reader.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case errors.Is(err, bufio.ErrBufferFull):
			if len(line) > maxRecord {
				return nil, fmt.Errorf("a record of more than %d bytes", maxRecord)
			}
		case errors.Is(err, io.EOF) && len(line) == 0 && !s.live:
			return nil, io.EOF
		case errors.Is(err, io.EOF):
			return nil, &LostError{io.ErrUnexpectedEOF}
		default:
			return nil, &LostError{err}
		}
	}
}

// Waiting reports whether Next would wait, since the next record has not wholly arrived: a good
// moment to flush what was written.
func (s *Stream) Waiting() bool {
	n := s.reader.Buffered()
	if n == 0 {
		return true
	}
	b, _ := s.reader.Peek(n) // as many as there are
	return bytes.IndexByte(b, '\n') < 0
}

// Cursor returns the cursor after everything that Next returned; empty if nothing came.
func (s *Stream) Cursor() string { return s.place.String() }

// Close closes the answer.
func (s *Stream) Close() error { return s.body.Close() }
