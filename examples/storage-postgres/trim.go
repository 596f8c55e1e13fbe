package main

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// change holds what a transaction does to the totals.
type change struct{ apps, entries, bytes, evicted, deleted int64 }

func (s *storage) addToTotals(batch *pgx.Batch, sum change) {
	batch.Queue(`UPDATE totals SET apps = apps + $2, entries = entries + $3, bytes = bytes + $4,
		evicted = evicted + $5, deleted = deleted + $6 WHERE slot = $1`,
		s.slot, sum.apps, sum.entries, sum.bytes, sum.evicted, sum.deleted)
}

// trim deletes what the logs have beyond NUMBER_OF_LINES: the entries that were published first,
// whenever they arrived. The caller writes the logs' rows.
func (s *storage) trim(ctx context.Context, tx pgx.Tx, logs []*log, sum *change) error {
	var ids, over []int64
	byID := map[int64]*log{}
	for _, l := range logs {
		if n := l.Kept - int64(s.Lines); n > 0 {
			ids, over, byID[l.ID] = append(ids, l.ID), append(over, min(n, trimmedAtOnce)), l
		}
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := tx.Query(ctx, `WITH gone AS (
			DELETE FROM entries USING unnest($1::bigint[], $2::bigint[]) AS full_log (id, over), LATERAL (
				SELECT position FROM entries WHERE log = full_log.id ORDER BY published, position LIMIT full_log.over
			) AS oldest
			WHERE entries.log = full_log.id AND entries.position = oldest.position
			RETURNING entries.log, entries.size)
		SELECT log, count(*), sum(size)::bigint FROM gone GROUP BY log`, ids, over)
	if err != nil {
		return err
	}
	var id, count, bytes int64
	_, err = pgx.ForEachRow(rows, []any{&id, &count, &bytes}, func() error {
		byID[id].Kept -= count
		byID[id].Bytes -= bytes
		sum.entries -= count
		sum.bytes -= bytes
		sum.evicted += count
		return nil
	})
	return err
}

// trimmedAtOnce bounds one step of a trim that was not done bit by bit. A batch is smaller.
const trimmedAtOnce = 10_000

// trimAll applies NUMBER_OF_LINES to every log, in steps of a transaction each: what is done stays
// done when the call's time is over.
func (s *storage) trimAll(ctx context.Context) error {
	for done := false; !done; {
		err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
			l := &log{}
			row := tx.QueryRow(ctx, `SELECT id, app, last, kept, bytes, marks FROM logs WHERE kept > $1
				ORDER BY kept DESC LIMIT 1 FOR UPDATE`, s.Lines)
			err := row.Scan(&l.ID, &l.App, &l.Last, &l.Kept, &l.Bytes, &l.Marks)
			if errors.Is(err, pgx.ErrNoRows) {
				done = true
				return nil
			}
			var sum change
			if err == nil {
				err = s.trim(ctx, tx, []*log{l}, &sum)
			}
			if err == nil {
				err = s.finish(ctx, tx, []*log{l}, sum)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Delete forgets the log, marks and all. What comes later begins another.
func (s *storage) Delete(ctx context.Context, app string) error {
	return s.transact(ctx, deleteTimeout, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		_, err := s.forget(ctx, tx, `DELETE FROM logs WHERE app = $1 RETURNING id, app, kept, bytes`, app,
			func(sum *change, entries int64) { sum.deleted += entries })
		return err
	})
}

// forget runs the statement, which deletes logs, deletes their entries and wakes their followers.
// It returns how many logs these were. Count says how their entries count.
func (s *storage) forget(ctx context.Context, tx pgx.Tx, statement string, arg any, count func(sum *change, entries int64)) (int, error) {
	rows, err := tx.Query(ctx, statement, arg)
	if err != nil {
		return 0, err
	}
	var ids []int64
	var apps []string
	var sum change
	var id, kept, bytes int64
	var app string
	_, err = pgx.ForEachRow(rows, []any{&id, &app, &kept, &bytes}, func() error {
		ids, apps = append(ids, id), append(apps, app)
		sum.apps--
		sum.entries -= kept
		sum.bytes -= bytes
		count(&sum, kept)
		return nil
	})
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	var batch pgx.Batch
	batch.Queue(`DELETE FROM entries WHERE log = ANY($1)`, ids)
	s.addToTotals(&batch, sum)
	s.wake(&batch, apps)
	return len(ids), tx.SendBatch(ctx, &batch).Close()
}

const (
	// tendEvery is how often apps are looked for that got no line for long.
	tendEvery = time.Minute
	// forgottenAtOnce bounds one transaction of it.
	forgottenAtOnce = 100 // as forgetOld's statement says
)

// tend forgets apps until ctx ends. An error is not told: Check tells what is wrong, and the next
// round does the work.
func (s *storage) tend(ctx context.Context) {
	defer close(s.tended)
	if s.inspect || s.Retention == 0 {
		return
	}
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = s.forgetOld(ctx)
		}
	}
}

// forgetOld forgets the apps that got no line for LOGGER_APP_RETENTION. All hosts do so, each
// passing over what another one is at: a log that is locked gets a line just now, or goes just now.
func (s *storage) forgetOld(ctx context.Context) error {
	for {
		forgotten := 0
		err := s.transact(ctx, appendTimeout, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) (err error) {
			forgotten, err = s.forget(ctx, tx, `DELETE FROM logs WHERE id IN (
					SELECT id FROM logs WHERE appended < now() - $1::interval
					ORDER BY appended LIMIT 100 FOR UPDATE SKIP LOCKED)
				RETURNING id, app, kept, bytes`, time.Duration(s.Retention),
				func(sum *change, entries int64) { sum.evicted += entries })
			return err
		})
		if err != nil || forgotten < forgottenAtOnce {
			return err
		}
	}
}
