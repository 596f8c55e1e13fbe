package main

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/deis/logger/sdk"
)

// Append stores the batch in one transaction: all of it, or nothing.
func (s *storage) Append(ctx context.Context, batch sdk.Batch) error {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return told(ctx, err)
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	insert, err := tx.PrepareContext(ctx, `INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return told(ctx, err)
	}
	for _, group := range batch.Apps {
		if err := s.appendApp(ctx, tx, insert, batch.ID, group); err != nil {
			return told(ctx, err)
		}
	}
	return told(ctx, tx.Commit())
}

// appendApp stores the entries of one app, unless it has them. The marks that tell change
// with the entries, in the same transaction, so that no crash comes between the two.
func (s *storage) appendApp(ctx context.Context, tx *sql.Tx, insert *sql.Stmt, id sdk.BatchID, group sdk.AppEntries) error {
	if len(group.Entries) == 0 {
		return nil // nothing to store begins no log
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO logs (app, epoch) VALUES (?, ?) ON CONFLICT DO NOTHING`, group.App, newEpoch()); err != nil {
		return err
	}
	var log, last, bytes int64
	var stored []byte
	row := tx.QueryRowContext(ctx, `SELECT id, last, bytes, marks FROM logs WHERE app = ?`, group.App)
	if err := row.Scan(&log, &last, &bytes, &stored); err != nil {
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
	for i := range group.Entries {
		last++ // also for an entry that this very batch pushes out
		if len(group.Entries)-i > s.lines {
			continue
		}
		size, err := insertEntry(ctx, insert, log, last, &group.Entries[i])
		if err != nil {
			return err
		}
		bytes += size
	}
	var trimmed int64
	row = tx.QueryRowContext(ctx, `SELECT coalesce(sum(size), 0) FROM entries WHERE log = ? AND position <= ?`, log, last-int64(s.lines))
	if err := row.Scan(&trimmed); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM entries WHERE log = ? AND position <= ?`, log, last-int64(s.lines)); err != nil {
		return err
	}
	stored, err := marks.MarshalBinary()
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE logs SET last = ?, bytes = ?, marks = ? WHERE id = ?`, last, bytes-trimmed, stored, log)
	return err
}

// rowBytes is about what a row takes beside its texts.
const rowBytes = 40

func insertEntry(ctx context.Context, insert *sql.Stmt, log, position int64, e *sdk.Entry) (size int64, err error) {
	_, offset := e.Time.Zone()
	size = rowBytes + int64(len(e.Process)+len(e.Release)+len(e.Pod)+len(e.Stream)+len(e.Host)+len(e.Message))
	_, err = insert.ExecContext(ctx, log, position, e.Time.Unix(), e.Time.Nanosecond(), offset, published(e), e.Source,
		e.Process, e.Release, e.Pod, e.Stream, e.Host, e.Message, int64(e.CutBytes), size)
	return size, err
}

func published(e *sdk.Entry) int64 {
	if e.Published.IsZero() {
		return 0
	}
	return e.Published.UnixNano()
}

func publishedAt(nanos int64) time.Time {
	if nanos == 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos).UTC()
}

// Delete forgets the log, marks and all. What comes later begins another.
func (s *storage) Delete(ctx context.Context, app string) error {
	tx, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return told(ctx, err)
	}
	defer func() { _ = tx.Rollback() }()
	var log int64
	err = tx.QueryRowContext(ctx, `DELETE FROM logs WHERE app = ? RETURNING id`, app).Scan(&log)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		_, err = tx.ExecContext(ctx, `DELETE FROM entries WHERE log = ?`, log)
	}
	if err == nil {
		err = tx.Commit()
	}
	return told(ctx, err)
}
