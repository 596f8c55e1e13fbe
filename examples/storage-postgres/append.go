package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/deis/logger/sdk"
)

// Append stores the batch in one transaction. A batch has up to 4,096 entries of as many apps; it
// takes the same five round trips, however many they are.
//
//  1. Begin the logs that are missing, and lock the others.
//  2. Leave out the apps that have the batch already: their marks tell.
//  3. Copy the entries, at the positions after each log's last.
//  4. Delete what is too much.
//  5. Write what changed into the logs' rows, add it to the totals, and wake followers.
//
// When the connection breaks, nobody knows whether the transaction was committed. The host appends
// the batch again, and the marks, which were committed with the entries, or not, settle it.
func (s *storage) Append(ctx context.Context, batch sdk.Batch) error {
	groups := slices.DeleteFunc(slices.Clone(batch.Apps), func(g sdk.AppEntries) bool { return len(g.Entries) == 0 })
	if len(groups) == 0 {
		return nil // nothing to store begins no log
	}
	// All hosts lock logs in the order of their names: otherwise two could wait for each other.
	slices.SortFunc(groups, func(a, b sdk.AppEntries) int { return cmp.Compare(a.App, b.App) })
	return s.transact(ctx, appendTimeout, pgx.TxOptions{}, func(ctx context.Context, tx pgx.Tx) error {
		var sum change
		logs, err := lockLogs(ctx, tx, groups, &sum)
		if err != nil {
			return err
		}
		var changed []*log
		var rows [][]any
		for i, group := range groups {
			isNew, err := logs[i].mark(batch.ID)
			if err != nil {
				return err
			}
			if !isNew {
				continue
			}
			changed = append(changed, logs[i])
			for j := range group.Entries {
				rows = append(rows, logs[i].row(&group.Entries[j]))
			}
		}
		if len(changed) == 0 {
			return nil
		}
		if _, err := tx.CopyFrom(ctx, pgx.Identifier{"entries"}, columns, pgx.CopyFromRows(rows)); err != nil {
			return err
		}
		sum.entries += int64(len(rows))
		for _, l := range changed {
			sum.bytes += l.added
		}
		if err := s.trim(ctx, tx, changed, &sum); err != nil {
			return err
		}
		return s.finish(ctx, tx, changed, sum)
	})
}

// log holds the row of a log.
type log struct {
	ID          int64
	App         string
	Epoch       int64
	Last        int64
	Kept, Bytes int64
	Marks       []byte

	added int64 // bytes
}

// lockLogs returns the logs of the groups, and holds their locks until the transaction ends. An
// update that changes nothing much is what locks a row in the statement that may insert it.
func lockLogs(ctx context.Context, tx pgx.Tx, groups []sdk.AppEntries, sum *change) ([]*log, error) {
	apps, epochs := make([]string, len(groups)), make([]int64, len(groups))
	for i := range groups {
		apps[i], epochs[i] = groups[i].App, newEpoch()
	}
	rows, err := tx.Query(ctx, `INSERT INTO logs (app, epoch, appended)
		SELECT app, epoch, now() FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS new (app, epoch, n) ORDER BY n
		ON CONFLICT (app) DO UPDATE SET appended = excluded.appended
		RETURNING id, app, epoch, last, kept, bytes, marks`, apps, epochs)
	if err != nil {
		return nil, err
	}
	logs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*log, error) {
		l := &log{}
		return l, row.Scan(&l.ID, &l.App, &l.Epoch, &l.Last, &l.Kept, &l.Bytes, &l.Marks)
	})
	for i, l := range logs { // in the order of the groups
		if l.Epoch == epochs[i] {
			sum.apps++
		}
	}
	return logs, err
}

// newEpoch returns a positive number that no other log has.
func newEpoch() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	return int64(binary.BigEndian.Uint64(b[:])>>1 | 1)
}

// mark notes that the log has the batch, and reports whether that is new.
func (l *log) mark(id sdk.BatchID) (isNew bool, err error) {
	var marks sdk.Marks
	if err := marks.UnmarshalBinary(l.Marks); err != nil || marks.Stored(id) {
		return false, err
	}
	marks.Add(id)
	l.Marks, err = marks.MarshalBinary()
	return true, err
}

// columns are those of entries, in the order of row.
var columns = []string{
	"log", "position", "published", "seconds", "nanos", "utc_offset", "source", "level", "partial",
	"process", "release", "pod", "container", "stream", "host", "message", "cut_bytes", "size",
}

// rowBytes is about what a row and its places in two indices take beside its texts.
const rowBytes = 200

// row returns the entry as a row at the log's next position.
func (l *log) row(e *sdk.Entry) []any {
	_, offset := e.Time.Zone()
	size := rowBytes + int64(len(e.Process)+len(e.Release)+len(e.Pod)+len(e.Container)+len(e.Stream)+len(e.Host)+len(e.Message))
	l.Last++
	l.Kept++
	l.Bytes += size
	l.added += size
	return []any{
		l.ID, l.Last, e.Published.UnixNano(), e.Time.Unix(), int32(e.Time.Nanosecond()), int32(offset),
		int16(e.Source), int16(e.Level), e.Partial,
		[]byte(e.Process), []byte(e.Release), []byte(e.Pod), []byte(e.Container), []byte(e.Stream), []byte(e.Host),
		[]byte(e.Message), int64(e.CutBytes), size,
	}
}

// finish writes the rows of the logs and the totals, and tells followers, in one round trip.
func (s *storage) finish(ctx context.Context, tx pgx.Tx, logs []*log, sum change) error {
	ids, last, kept := make([]int64, len(logs)), make([]int64, len(logs)), make([]int64, len(logs))
	bytes, marks, apps := make([]int64, len(logs)), make([][]byte, len(logs)), make([]string, len(logs))
	for i, l := range logs {
		ids[i], last[i], kept[i], bytes[i], marks[i], apps[i] = l.ID, l.Last, l.Kept, l.Bytes, l.Marks, l.App
	}
	var batch pgx.Batch
	batch.Queue(`UPDATE logs SET last = new.last, kept = new.kept, bytes = new.bytes, marks = new.marks
		FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[]) AS new (id, last, kept, bytes, marks)
		WHERE logs.id = new.id`, ids, last, kept, bytes, marks)
	s.addToTotals(&batch, sum)
	s.wake(&batch, apps)
	return tx.SendBatch(ctx, &batch).Close()
}
