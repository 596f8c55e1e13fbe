package main

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/deis/logger/sdk"
)

// change holds what a transaction does to the totals.
type change struct{ apps, entries, bytes, evicted, deleted int64 }

// write runs f in a transaction, in which the totals change too: all of it, or nothing.
func (s *storage) write(ctx context.Context, f func(tx *sql.Tx, sum *change) error) error {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return told(ctx, err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	var sum change
	err = f(tx, &sum)
	if err == nil && sum != (change{}) {
		_, err = tx.ExecContext(ctx, `UPDATE totals SET apps = apps + ?, entries = entries + ?, bytes = bytes + ?,
			evicted = evicted + ?, deleted = deleted + ?`, sum.apps, sum.entries, sum.bytes, sum.evicted, sum.deleted)
	}
	if err == nil {
		err = tx.Commit()
	}
	return told(ctx, err)
}

// Append stores the batch, and forgets the apps that got no line for long.
func (s *storage) Append(ctx context.Context, batch sdk.Batch) error {
	return s.write(ctx, func(tx *sql.Tx, sum *change) error {
		for _, group := range batch.Apps {
			if err := s.appendApp(ctx, tx, batch.ID, group, sum); err != nil {
				return err
			}
		}
		if s.Retention == 0 {
			return nil
		}
		old := time.Now().Add(-time.Duration(s.Retention)).Unix()
		entries, err := s.forget(ctx, tx, `DELETE FROM logs WHERE appended < ? RETURNING id, kept, bytes`, old, sum)
		sum.evicted += entries
		return err
	})
}

// appendApp stores the entries of one app, unless it has them. The marks that tell change
// with the entries, in the same transaction, so that no crash comes between the two.
func (s *storage) appendApp(ctx context.Context, tx *sql.Tx, id sdk.BatchID, group sdk.AppEntries, sum *change) error {
	if len(group.Entries) == 0 {
		return nil // nothing to store begins no log
	}
	result, err := tx.ExecContext(ctx, `INSERT INTO logs (app, epoch) VALUES (?, ?) ON CONFLICT DO NOTHING`, group.App, newEpoch())
	if err != nil {
		return err
	}
	begun, err := result.RowsAffected()
	if err != nil {
		return err
	}
	var log, last, kept, bytes int64
	var stored []byte
	row := tx.QueryRowContext(ctx, `SELECT id, last, kept, bytes, marks FROM logs WHERE app = ?`, group.App)
	if err := row.Scan(&log, &last, &kept, &bytes, &stored); err != nil {
		return err
	}
	var marks sdk.Marks
	if err := marks.UnmarshalBinary(stored); err != nil {
		return err
	}
	if marks.Stored(id) {
		return nil
	}
	marks.Add(id)
	added, err := insert(ctx, tx, log, last, group.Entries)
	if err != nil {
		return err
	}
	count := int64(len(group.Entries))
	over := max(0, kept+count-int64(s.Lines))
	gone, err := trim(ctx, tx, log, over)
	if err != nil {
		return err
	}
	sum.apps += begun
	sum.entries += count - over
	sum.bytes += added - gone
	sum.evicted += over
	stored, err = marks.MarshalBinary()
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE logs SET last = ?, kept = ?, bytes = ?, appended = ?, marks = ? WHERE id = ?`,
		last+count, kept+count-over, bytes+added-gone, time.Now().Unix(), stored, log)
	return err
}

// rowBytes is about what a row takes beside its texts.
const rowBytes = 80

// insert stores the entries at the positions after last. It returns how many bytes they take.
func insert(ctx context.Context, tx *sql.Tx, log, last int64, entries []sdk.Entry) (bytes int64, err error) {
	stmt, err := tx.PrepareContext(ctx, `INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return 0, err
	}
	defer func() { _ = stmt.Close() }()
	for i := range entries {
		e := &entries[i]
		_, offset := e.Time.Zone()
		size := rowBytes + int64(len(e.Process)+len(e.Release)+len(e.Pod)+len(e.Container)+len(e.Stream)+len(e.Host)+len(e.Message))
		_, err := stmt.ExecContext(ctx, log, last+1+int64(i), e.Published.UnixNano(), e.Time.Unix(), e.Time.Nanosecond(), offset, e.Source,
			e.Process, e.Release, e.Pod, e.Container, e.Stream, e.Host, e.Message, int64(e.CutBytes), e.Partial, e.Level, size)
		if err != nil {
			return 0, err
		}
		bytes += size
	}
	return bytes, nil
}

// trim deletes so many entries of the log: those that were published first, whenever they
// arrived. It returns how many bytes they took.
func trim(ctx context.Context, tx *sql.Tx, log, over int64) (bytes int64, err error) {
	if over <= 0 {
		return 0, nil
	}
	const oldest = ` FROM entries WHERE log = ? AND position IN (
		SELECT position FROM entries WHERE log = ? ORDER BY published, position LIMIT ?)`
	if err := tx.QueryRowContext(ctx, `SELECT sum(size)`+oldest, log, log, over).Scan(&bytes); err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `DELETE`+oldest, log, log, over)
	return bytes, err
}

// trimAll applies the number of lines to every log.
func (s *storage) trimAll(ctx context.Context) error {
	return s.write(ctx, func(tx *sql.Tx, sum *change) error {
		for {
			var log, kept int64
			row := tx.QueryRowContext(ctx, `SELECT id, kept FROM logs WHERE kept > ? LIMIT 1`, s.Lines)
			err := row.Scan(&log, &kept)
			if errors.Is(err, sql.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
			over := kept - int64(s.Lines)
			gone, err := trim(ctx, tx, log, over)
			if err == nil {
				_, err = tx.ExecContext(ctx, `UPDATE logs SET kept = kept - ?, bytes = bytes - ? WHERE id = ?`, over, gone, log)
			}
			if err != nil {
				return err
			}
			sum.entries -= over
			sum.bytes -= gone
			sum.evicted += over
		}
	})
}

// Delete forgets the log, marks and all. What comes later begins another.
func (s *storage) Delete(ctx context.Context, app string) error {
	return s.write(ctx, func(tx *sql.Tx, sum *change) error {
		entries, err := s.forget(ctx, tx, `DELETE FROM logs WHERE app = ? RETURNING id, kept, bytes`, app, sum)
		sum.deleted += entries
		return err
	})
}

// forget runs the statement, which deletes logs, and deletes their entries. It returns how
// many those were.
func (s *storage) forget(ctx context.Context, tx *sql.Tx, statement string, arg any, sum *change) (entries int64, err error) {
	rows, err := tx.QueryContext(ctx, statement, arg)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	var logs []int64
	for rows.Next() {
		var log, kept, bytes int64
		if err := rows.Scan(&log, &kept, &bytes); err != nil {
			return 0, err
		}
		logs = append(logs, log)
		entries += kept
		sum.apps--
		sum.entries -= kept
		sum.bytes -= bytes
	}
	if err := rows.Err(); err != nil {
		return 0, err
	}
	for _, log := range logs {
		if _, err := tx.ExecContext(ctx, `DELETE FROM entries WHERE log = ?`, log); err != nil {
			return 0, err
		}
	}
	return entries, nil
}
