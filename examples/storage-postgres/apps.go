package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deis/logger/sdk"
)

// infos selects what the rows of logs say, and looks up both ends in an index: it walks through no
// entries.
const infos = `SELECT app, kept, last, bytes,
	coalesce((SELECT min(published) FROM entries WHERE log = id), 0),
	coalesce((SELECT max(published) FROM entries WHERE log = id), 0) FROM logs `

// Apps lists the apps after a name.
func (s *storage) Apps(ctx context.Context, after string, limit int) ([]sdk.AppInfo, error) {
	if limit <= 0 {
		limit = 1000
	}
	return s.infos(ctx, infos+`WHERE app > $1 ORDER BY app LIMIT $2`, after, limit)
}

// App tells of one app.
func (s *storage) App(ctx context.Context, app string) (sdk.AppInfo, error) {
	found, err := s.infos(ctx, infos+`WHERE app = $1`, app)
	if err != nil || len(found) == 0 {
		return sdk.AppInfo{App: app}, err
	}
	return found[0], nil
}

func (s *storage) infos(ctx context.Context, query string, args ...any) (found []sdk.AppInfo, err error) {
	err = s.transact(ctx, readTimeout, snapshot, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (info sdk.AppInfo, err error) {
			var oldest, newest int64
			err = row.Scan(&info.App, &info.Entries, &info.Last, &info.Bytes, &oldest, &newest)
			info.Oldest, info.Newest = time.Unix(0, oldest).UTC(), time.Unix(0, newest).UTC()
			return info, err
		})
		return err
	})
	return found, err
}

// Totals sums up all apps, which have kept their sums with every change.
func (s *storage) Totals(ctx context.Context) (t sdk.Totals, err error) {
	err = s.transact(ctx, readTimeout, snapshot, func(ctx context.Context, tx pgx.Tx) error {
		row := tx.QueryRow(ctx, `SELECT sum(apps)::bigint, sum(entries)::bigint, sum(bytes)::bigint,
			sum(evicted)::bigint, sum(deleted)::bigint FROM totals`)
		return row.Scan(&t.Apps, &t.Entries, &t.Bytes, &t.Evicted, &t.Deleted)
	})
	t.Stored = t.Entries + t.Evicted + t.Deleted
	return t, err
}

// Versions answers for all apps in one question.
func (s *storage) Versions(ctx context.Context, apps []string) (versions []uint64, err error) {
	err = s.transact(ctx, readTimeout, snapshot, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT coalesce(epoch, 0), coalesce(last, 0), coalesce(kept, 0)
			FROM unnest($1::text[]) WITH ORDINALITY AS asked (app, n) LEFT JOIN logs USING (app) ORDER BY n`, apps)
		if err != nil {
			return err
		}
		versions, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (uint64, error) {
			var epoch, last, kept int64
			if err := row.Scan(&epoch, &last, &kept); err != nil || epoch == 0 {
				return 0, err
			}
			return logVersion(epoch, last, kept), nil
		})
		return err
	})
	return versions, err
}
