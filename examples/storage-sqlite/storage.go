package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/deis/logger/sdk"
)

// schema: a log is one life of an app's entries. Its epoch is random, so that a log that
// was deleted, or lost with its file, is never taken for the next one. What a log's row and
// the totals say changes in the transactions that change its entries.
const schema = `
CREATE TABLE IF NOT EXISTS logs (
	id       INTEGER PRIMARY KEY,
	app      TEXT    NOT NULL UNIQUE,
	epoch    INTEGER NOT NULL,
	last     INTEGER NOT NULL DEFAULT 0, -- the position of the last entry
	kept     INTEGER NOT NULL DEFAULT 0, -- how many entries, and how many bytes they take
	bytes    INTEGER NOT NULL DEFAULT 0,
	appended INTEGER NOT NULL DEFAULT 0, -- when, in seconds since 1970
	marks    BLOB    NOT NULL DEFAULT x''
);
CREATE INDEX IF NOT EXISTS logs_by_age ON logs (appended);
CREATE TABLE IF NOT EXISTS entries (
	log        INTEGER NOT NULL,
	position   INTEGER NOT NULL, -- the order of arrival
	published  INTEGER NOT NULL, -- the order of publishing: nanoseconds since 1970
	seconds    INTEGER NOT NULL, -- the time that the entry states, and its offset from UTC
	nanos      INTEGER NOT NULL,
	utc_offset INTEGER NOT NULL,
	source     INTEGER NOT NULL,
	process    TEXT    NOT NULL,
	release    TEXT    NOT NULL,
	pod        TEXT    NOT NULL,
	container  TEXT    NOT NULL,
	stream     TEXT    NOT NULL,
	host       TEXT    NOT NULL,
	message    TEXT    NOT NULL,
	cut_bytes  INTEGER NOT NULL,
	partial    INTEGER NOT NULL,
	level      INTEGER NOT NULL,
	size       INTEGER NOT NULL,
	PRIMARY KEY (log, position)
) WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS entries_by_publishing ON entries (log, published, position);
CREATE TABLE IF NOT EXISTS totals (
	id      INTEGER PRIMARY KEY,
	apps    INTEGER NOT NULL DEFAULT 0,
	entries INTEGER NOT NULL DEFAULT 0,
	bytes   INTEGER NOT NULL DEFAULT 0,
	evicted INTEGER NOT NULL DEFAULT 0,
	deleted INTEGER NOT NULL DEFAULT 0
);
INSERT INTO totals (id) VALUES (1) ON CONFLICT DO NOTHING;`

// storage implements sdk.Storage. It is no sdk.Follower: the host polls Read instead.
type storage struct {
	settings
	writer *sql.DB // one connection: SQLite has one writer at a time
	reader *sql.DB // readers neither wait for it nor hold it up (WAL)
}

var (
	_ sdk.Storage   = (*storage)(nil)
	_ sdk.AppLister = (*storage)(nil)
	_ sdk.Checker   = (*storage)(nil)
)

func open(ctx context.Context, set settings, _ sdk.Host) (sdk.Storage, error) {
	params := url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"journal_mode(wal)", "synchronous(" + set.Synchronous + ")", "busy_timeout(5000)"},
	}
	writer, err := sql.Open("sqlite", dsn(set.Path, params))
	if err != nil {
		return nil, err
	}
	writer.SetMaxOpenConns(1)
	s := &storage{settings: set, writer: writer}
	params.Set("_txlock", "deferred")
	if s.reader, err = sql.Open("sqlite", dsn(set.Path, params)); err == nil {
		s.reader.SetMaxOpenConns(4)
		_, err = writer.ExecContext(ctx, schema)
	}
	if err == nil {
		err = s.trimAll(ctx) // there may be fewer lines than the last time
	}
	if err != nil {
		_ = s.Close()
		return nil, fmt.Errorf("SQLITE_PATH=%q: %w", set.Path, err)
	}
	return s, nil
}

func dsn(path string, params url.Values) string {
	return (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: params.Encode()}).String()
}

// Close implements io.Closer: the SDK calls it once the last call returned.
func (s *storage) Close() error {
	err := s.writer.Close()
	if s.reader != nil {
		err = errors.Join(err, s.reader.Close())
	}
	return err
}

// Check says whether the database answers.
func (s *storage) Check(ctx context.Context) error {
	_, err := s.reader.ExecContext(ctx, `SELECT 1 FROM logs LIMIT 1`)
	return told(ctx, err)
}

// told gives an error the identity that the host goes by. Whatever has none may pass: the
// host tries again.
func told(ctx context.Context, err error) error {
	var failure *sqlite.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err() // SQLite calls it "interrupted"
	case errors.As(err, &failure) && failure.Code()&0xff == sqlite3.SQLITE_FULL:
		return fmt.Errorf("%w: %w", sdk.ErrFull, err)
	default:
		return err
	}
}

// newEpoch returns a positive number that no other log has.
func newEpoch() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return int64(binary.BigEndian.Uint64(b[:])>>1 | 1)
}
