package main

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/deis/logger/sdk"
)

// pageBytes bounds the memory of one page. What is more is left to the next Read.
const pageBytes = 2 << 20

// Read answers the newest entries, or those that follow a cursor. It is one transaction,
// so that the page is of one moment, whatever is appended and deleted beside it.
func (s *storage) Read(ctx context.Context, opts sdk.ReadOptions) (page sdk.Page, err error) {
	tx, err := s.reader.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return page, told(ctx, err)
	}
	defer func() { _ = tx.Rollback() }()
	var log, epoch, last int64
	err = tx.QueryRowContext(ctx, `SELECT id, epoch, last FROM logs WHERE app = ?`, opts.App).Scan(&log, &epoch, &last)
	if errors.Is(err, sql.ErrNoRows) {
		return sdk.Page{First: 1}, nil
	}
	if err != nil {
		return page, told(ctx, err)
	}
	// The first entry of the page is at position last+1 as long as there is none.
	page = sdk.Page{Epoch: uint64(epoch), First: uint64(last) + 1}
	limit := int64(s.lines)
	if opts.Limit >= 0 {
		limit = min(limit, int64(opts.Limit)) // nothing is sized by what the caller asks for
	}
	from := max(0, last-limit) // entries above this position
	if !opts.After.IsZero() {
		from = 0 // a cursor of another epoch comes before everything
		if opts.After.Epoch == page.Epoch {
			from = int64(min(opts.After.Position, uint64(last)))
		}
	}
	if err := readEntries(ctx, tx, log, from, limit, &page); err != nil {
		return sdk.Page{}, told(ctx, err)
	}
	return page, nil
}

// readEntries fills the page with up to limit entries above the position.
func readEntries(ctx context.Context, tx *sql.Tx, log, position, limit int64, page *sdk.Page) error {
	rows, err := tx.QueryContext(ctx, `SELECT position, seconds, nanos, utc_offset, published, source,
			process, release, pod, stream, host, message, cut_bytes, size
		FROM entries WHERE log = ? AND position > ? ORDER BY position LIMIT ?`, log, position, limit)
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
		var at, seconds, nanos, offset, published, cut, size int64
		if err := rows.Scan(&at, &seconds, &nanos, &offset, &published, &e.Source,
			&e.Process, &e.Release, &e.Pod, &e.Stream, &e.Host, &e.Message, &cut, &size); err != nil {
			return err
		}
		if len(page.Entries) == 0 {
			page.First = uint64(at)
		}
		e.Time = time.Unix(seconds, nanos).In(time.FixedZone("", int(offset)))
		e.Published, e.CutBytes = publishedAt(published), uint64(cut)
		page.Entries = append(page.Entries, e)
		total += size
	}
	return rows.Err()
}

// Apps lists the logs by what their rows say: it walks through no entries.
func (s *storage) Apps(ctx context.Context) ([]sdk.AppInfo, error) {
	rows, err := s.reader.QueryContext(ctx, `
		SELECT app, last, bytes, oldest.position,
			oldest.seconds, oldest.nanos, oldest.published, newest.seconds, newest.nanos, newest.published
		FROM logs
		JOIN entries AS oldest ON oldest.log = id AND oldest.position = (SELECT min(position) FROM entries WHERE log = id)
		JOIN entries AS newest ON newest.log = id AND newest.position = last`)
	if err != nil {
		return nil, told(ctx, err)
	}
	defer func() { _ = rows.Close() }()
	var apps []sdk.AppInfo
	for rows.Next() {
		var info sdk.AppInfo
		var first uint64
		var oldest, newest struct{ seconds, nanos, published int64 }
		if err := rows.Scan(&info.App, &info.Last, &info.Bytes, &first, &oldest.seconds, &oldest.nanos, &oldest.published,
			&newest.seconds, &newest.nanos, &newest.published); err != nil {
			return nil, told(ctx, err)
		}
		info.Entries = info.Last - first + 1
		if info.Oldest = publishedAt(oldest.published); info.Oldest.IsZero() {
			info.Oldest = time.Unix(oldest.seconds, oldest.nanos)
		}
		if info.Newest = publishedAt(newest.published); info.Newest.IsZero() {
			info.Newest = time.Unix(newest.seconds, newest.nanos)
		}
		apps = append(apps, info)
	}
	return apps, told(ctx, rows.Err())
}
