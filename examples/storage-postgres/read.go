package main

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/deis/logger/sdk"
)

// A page ends where it has so many entries, or so many bytes. What is more is left to the next
// Read, and is not sent by the database either.
const (
	pageEntries = 4096
	pageBytes   = 1 << 20
)

// way names one of the three ways to read: which entries of a log, and in which order.
type way struct{ condition, order string }

var (
	// newest goes backward from a place; behind reads what is left of a history behind a place;
	// after reads what arrived after a position.
	newest = way{`position <= @position AND (published, position) < (@published, @entry)`, `published DESC, position DESC`}
	behind = way{`position <= @position AND (published, position) > (@published, @entry)`, `published, position`}
	after  = way{`position > @position`, `position`}
)

// snapshot is a transaction whose statements all see one moment. So a page is of one moment,
// whatever is appended and deleted beside it.
var snapshot = pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}

// Read answers a page of entries.
func (s *storage) Read(ctx context.Context, opts sdk.ReadOptions) (page sdk.Page, err error) {
	err = s.transact(ctx, readTimeout, snapshot, func(ctx context.Context, tx pgx.Tx) error {
		var log, epoch, last, kept int64
		row := tx.QueryRow(ctx, `SELECT id, epoch, last, kept FROM logs WHERE app = $1`, opts.App)
		if err := row.Scan(&log, &epoch, &last, &kept); err != nil {
			page = sdk.Page{}
			return ignore(err, pgx.ErrNoRows)
		}
		page = sdk.Page{Epoch: uint64(epoch), Last: uint64(last), Version: logVersion(epoch, last, kept)}
		q := pageQuery{tx: tx, page: &page, log: log, limit: s.Lines}
		if opts.Limit >= 0 {
			q.limit = min(q.limit, opts.Limit) // nothing is sized by what the caller asks for
		}
		return q.read(ctx, &opts)
	})
	if err != nil {
		return sdk.Page{}, err
	}
	return page, nil
}

func ignore(err, target error) error {
	if errors.Is(err, target) {
		return nil
	}
	return err
}

// pageQuery reads one page of a log.
type pageQuery struct {
	tx    pgx.Tx
	page  *sdk.Page
	log   int64
	limit int
}

// read chooses the way. The filter is given to the database where the contract allows it: what
// arrived after a cursor is counted by position, so there all entries are answered.
func (q *pageQuery) read(ctx context.Context, opts *sdk.ReadOptions) error {
	cursor, before := opts.After, opts.Before
	switch {
	case cursor.IsZero():
		from := sdk.Cursor{Position: math.MaxInt64, Published: math.MaxInt64, Entry: math.MaxInt64} // behind everything
		if before.Epoch == q.page.Epoch && before.InHistory() {
			from = before
		} else if before.Epoch == q.page.Epoch {
			from.Position = before.Position
		}
		err := q.entries(ctx, newest, from, &opts.Filter)
		slices.Reverse(q.page.Entries)
		return err
	case cursor.Epoch != q.page.Epoch: // it comes before everything
		return q.entries(ctx, after, sdk.Cursor{}, nil)
	case cursor.InHistory():
		if err := q.entries(ctx, behind, cursor, &opts.Filter); err != nil || len(q.page.Entries) > 0 {
			return err
		}
	}
	return q.entries(ctx, after, cursor, nil)
}

// entries fills the page with the entries from the cursor on, without those that the filter, if
// there is one, leaves out.
func (q *pageQuery) entries(ctx context.Context, way way, from sdk.Cursor, filter *sdk.Filter) error {
	limit := min(q.limit, pageEntries)
	args := pgx.NamedArgs{
		"log": q.log, "limit": limit, "bytes": pageBytes,
		"position": int64(min(from.Position, math.MaxInt64)), "published": from.Published, "entry": int64(min(from.Entry, math.MaxInt64)),
	}
	conditions := append([]string{"log = @log", way.condition}, filtered(filter, args)...)
	// The sum of the sizes up to each entry ends the page, in the database.
	rows, err := q.tx.Query(ctx, `SELECT position, published, seconds, nanos, utc_offset, source, level, partial,
			process, release, pod, container, stream, host, message, cut_bytes, size
		FROM (SELECT *, sum(size) OVER (ORDER BY `+way.order+`) AS so_far FROM entries
			WHERE `+strings.Join(conditions, " AND ")+` ORDER BY `+way.order+` LIMIT @limit) AS page
		WHERE so_far - size < @bytes`, args)
	if err != nil {
		return err
	}
	var bytes int64
	q.page.Entries, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (sdk.Entry, error) {
		e, size, err := scan(row)
		bytes += size
		return e, err
	})
	n := len(q.page.Entries)
	q.page.More = n < q.limit && (n == limit || bytes >= pageBytes)
	return err
}

// scan returns the entry of a row, and its size. A text is copied once, out of the driver's memory.
func scan(row pgx.CollectableRow) (e sdk.Entry, size int64, err error) {
	var published, seconds, nanos, offset, cut int64
	var texts [7]pgtype.DriverBytes
	err = row.Scan(&e.Position, &published, &seconds, &nanos, &offset, &e.Source, &e.Level, &e.Partial,
		&texts[0], &texts[1], &texts[2], &texts[3], &texts[4], &texts[5], &texts[6], &cut, &size)
	for i, to := range []*string{&e.Process, &e.Release, &e.Pod, &e.Container, &e.Stream, &e.Host, &e.Message} {
		*to = string(texts[i])
	}
	e.Time, e.Published, e.CutBytes = sdk.At(seconds, nanos, int(offset)), time.Unix(0, published).UTC(), uint64(cut)
	return e, size, err
}

// logVersion returns a number that changes whenever the newest entries of a log do: with each
// append, each life, and when another host keeps fewer.
func logVersion(epoch, last, kept int64) uint64 {
	hash := fnv.New64a()
	_ = binary.Write(hash, binary.BigEndian, []int64{epoch, last, kept}) // it never fails
	return hash.Sum64() | 1
}
