package main

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/deis/logger/sdk"
)

// pageBytes bounds the memory of one page. What is more is left to the next Read.
const pageBytes = 1 << 20

// The three ways to read: the newest entries, backward from a place; what is left of a
// history, behind a place; and what arrived after a position.
const (
	newest = ` AND position <= ? AND (published, position) < (?, ?) ORDER BY published DESC, position DESC LIMIT ?`
	behind = ` AND position <= ? AND (published, position) > (?, ?) ORDER BY published, position LIMIT ?`
	after  = ` AND position > ? ORDER BY position LIMIT ?`
)

// maxInt is beyond every position and every time.
const maxInt = 1<<63 - 1

// Read answers a page of entries. It is one transaction, so that the page is of one moment,
// whatever is appended and deleted beside it. The SDK applies the filter.
func (s *storage) Read(ctx context.Context, opts sdk.ReadOptions) (page sdk.Page, err error) {
	tx, err := s.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return page, told(ctx, err)
	}
	defer func() { _ = tx.Rollback() }()
	var log, epoch, last int64
	err = tx.QueryRowContext(ctx, `SELECT id, epoch, last FROM logs WHERE app = ?`, opts.App).Scan(&log, &epoch, &last)
	if errors.Is(err, sql.ErrNoRows) {
		return sdk.Page{}, nil
	}
	if err != nil {
		return page, told(ctx, err)
	}
	page = sdk.Page{Epoch: uint64(epoch), Last: uint64(last)}
	limit := int64(s.Lines)
	if opts.Limit >= 0 {
		limit = min(limit, int64(opts.Limit)) // nothing is sized by what the caller asks for
	}
	switch cursor := opts.After; {
	case cursor.IsZero():
		before := sdk.Cursor{Position: maxInt, Published: maxInt, Entry: maxInt}
		if opts.Before.Epoch == page.Epoch {
			before.Position = opts.Before.Position
			if opts.Before.InHistory() {
				before = opts.Before
			}
		}
		err = s.readEntries(ctx, tx, &page, newest, log, int64(before.Position), before.Published, int64(before.Entry), limit)
		slices.Reverse(page.Entries)
	case cursor.Epoch != page.Epoch: // it comes before everything
		err = s.readEntries(ctx, tx, &page, after, log, 0, limit)
	default:
		position := int64(min(cursor.Position, maxInt))
		if cursor.InHistory() {
			err = s.readEntries(ctx, tx, &page, behind, log, position, cursor.Published, int64(cursor.Entry), limit)
		}
		if err == nil && len(page.Entries) == 0 {
			err = s.readEntries(ctx, tx, &page, after, log, position, limit)
		}
	}
	if err != nil {
		return sdk.Page{}, told(ctx, err)
	}
	return page, nil
}

// readEntries fills the page with the entries of a log that the condition selects.
func (s *storage) readEntries(ctx context.Context, tx *sql.Tx, page *sdk.Page, condition string, args ...any) error {
	const columns = `SELECT position, published, seconds, nanos, utc_offset, source,
		process, release, pod, container, stream, host, message, cut_bytes, partial, level, size FROM entries WHERE log = ?`
	rows, err := tx.QueryContext(ctx, columns+condition, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for total := int64(0); rows.Next(); {
		if total > pageBytes {
			page.More = true
			return nil
		}
		var e sdk.Entry
		var published, seconds, nanos, offset, cut, size int64
		if err := rows.Scan(&e.Position, &published, &seconds, &nanos, &offset, &e.Source,
			&e.Process, &e.Release, &e.Pod, &e.Container, &e.Stream, &e.Host, &e.Message, &cut, &e.Partial, &e.Level, &size); err != nil {
			return err
		}
		e.Time, e.Published, e.CutBytes = sdk.At(seconds, nanos, int(offset)), time.Unix(0, published).UTC(), uint64(cut)
		page.Entries = append(page.Entries, e)
		total += size
	}
	return rows.Err()
}

// infos selects what the rows of logs say: it walks through no entries.
const infos = `SELECT app, kept, last, bytes, (SELECT min(published) FROM entries WHERE log = id),
	(SELECT max(published) FROM entries WHERE log = id) FROM logs`

// Apps lists the apps after a name.
func (s *storage) Apps(ctx context.Context, after string, limit int) ([]sdk.AppInfo, error) {
	if limit <= 0 {
		limit = 1000
	}
	return s.infos(ctx, infos+` WHERE app > ? ORDER BY app LIMIT ?`, after, limit)
}

// App tells of one app.
func (s *storage) App(ctx context.Context, app string) (sdk.AppInfo, error) {
	found, err := s.infos(ctx, infos+` WHERE app = ?`, app)
	if err != nil || len(found) == 0 {
		return sdk.AppInfo{App: app}, err
	}
	return found[0], nil
}

func (s *storage) infos(ctx context.Context, query string, args ...any) ([]sdk.AppInfo, error) {
	rows, err := s.reader.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, told(ctx, err)
	}
	defer func() { _ = rows.Close() }()
	var found []sdk.AppInfo
	for rows.Next() {
		var info sdk.AppInfo
		var oldest, newest int64
		if err := rows.Scan(&info.App, &info.Entries, &info.Last, &info.Bytes, &oldest, &newest); err != nil {
			return nil, told(ctx, err)
		}
		info.Oldest, info.Newest = time.Unix(0, oldest).UTC(), time.Unix(0, newest).UTC()
		found = append(found, info)
	}
	return found, told(ctx, rows.Err())
}

// Totals sums up all apps.
func (s *storage) Totals(ctx context.Context) (t sdk.Totals, err error) {
	row := s.reader.QueryRowContext(ctx, `SELECT apps, entries, bytes, evicted, deleted FROM totals`)
	err = row.Scan(&t.Apps, &t.Entries, &t.Bytes, &t.Evicted, &t.Deleted)
	t.Stored = t.Entries + t.Evicted + t.Deleted
	return t, told(ctx, err)
}
