package main

import (
	"context"
	"sync/atomic"

	"github.com/jackc/pgx/v5"
)

// tables: a log is one life of an app's entries, and its id is never used again. All that changes
// changes in transactions that hold the lock on the log's row. So positions are given out in the
// order in which readers come to see them, whatever number of hosts append.
//
// PostgreSQL's text refuses NUL (U+0000), which lines may have. The texts of entries are bytea,
// which takes every byte, and compares as Go compares strings. Names of apps are ASCII; they are
// compared by their bytes (COLLATE "C"), whatever language the database is set to.
const tables = `
CREATE TABLE logs (
	id       bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
	app      text COLLATE "C" NOT NULL UNIQUE,
	epoch    bigint NOT NULL,
	last     bigint NOT NULL DEFAULT 0, -- the position of the last entry
	kept     bigint NOT NULL DEFAULT 0, -- how many entries, and how many bytes they take
	bytes    bigint NOT NULL DEFAULT 0,
	appended timestamptz NOT NULL,      -- by the database's clock, which all hosts share
	marks    bytea  NOT NULL DEFAULT ''
);
CREATE INDEX logs_by_age ON logs (appended);
CREATE INDEX logs_by_kept ON logs (kept);
CREATE TABLE entries (
	log        bigint   NOT NULL,
	position   bigint   NOT NULL, -- the order of arrival
	published  bigint   NOT NULL, -- the order of publishing: nanoseconds since 1970
	seconds    bigint   NOT NULL, -- the time that the entry states, and its offset from UTC
	nanos      integer  NOT NULL,
	utc_offset integer  NOT NULL,
	source     smallint NOT NULL,
	level      smallint NOT NULL,
	partial    boolean  NOT NULL,
	process    bytea    NOT NULL,
	release    bytea    NOT NULL,
	pod        bytea    NOT NULL,
	container  bytea    NOT NULL,
	stream     bytea    NOT NULL,
	host       bytea    NOT NULL,
	message    bytea    NOT NULL,
	cut_bytes  bigint   NOT NULL,
	size       bigint   NOT NULL,
	PRIMARY KEY (log, position)
);
CREATE UNIQUE INDEX entries_by_publishing ON entries (log, published, position);
CREATE TABLE totals (
	slot    integer PRIMARY KEY,
	apps    bigint NOT NULL DEFAULT 0,
	entries bigint NOT NULL DEFAULT 0,
	bytes   bigint NOT NULL DEFAULT 0,
	evicted bigint NOT NULL DEFAULT 0,
	deleted bigint NOT NULL DEFAULT 0
);`

// slots is how many rows the totals are spread over. Transactions that change one row wait for
// each other until they are committed; each process has a row, chosen at random.
const slots = 16

// schema knows whether the tables are there.
type schema struct {
	made atomic.Bool
	turn chan struct{} // has a value while nobody makes them
}

func newSchema() schema {
	turn := make(chan struct{}, 1)
	turn <- struct{}{}
	return schema{turn: turn}
}

// ready makes the tables, and applies NUMBER_OF_LINES to what is in them, at the first call that
// finds the database. Later ones return at once. A mutex would let a call wait longer than its
// context lasts; so it is a channel.
func (s *storage) ready(ctx context.Context) error {
	if s.schema.made.Load() {
		return nil
	}
	select {
	case <-s.schema.turn:
		defer func() { s.schema.turn <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.schema.made.Load() {
		return nil
	}
	if err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return s.create(ctx, tx) }); err != nil {
		return err
	}
	if err := s.trimAll(ctx); err != nil { // there may be fewer lines than the last time
		return err
	}
	s.schema.made.Store(true)
	return nil
}

// create makes what is missing. Hosts that start together take turns: CREATE TABLE IF NOT EXISTS
// alone fails where two run it at the same moment. What is there is left alone, so that a user who
// may create nothing can serve what an administrator made.
func (s *storage) create(ctx context.Context, tx pgx.Tx) error {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtext('logger'), hashtext($1))`, s.Schema); err != nil {
		return err
	}
	var hasSchema, hasTables bool
	name := pgx.Identifier{s.Schema}.Sanitize()
	row := tx.QueryRow(ctx, `SELECT to_regnamespace($1) IS NOT NULL, to_regclass('totals') IS NOT NULL`, name)
	if err := row.Scan(&hasSchema, &hasTables); err != nil || hasTables {
		return err
	}
	if !hasSchema {
		if _, err := tx.Exec(ctx, `CREATE SCHEMA `+name); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, tables); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO totals (slot) SELECT generate_series(0, $1::integer - 1)`, slots)
	return err
}
