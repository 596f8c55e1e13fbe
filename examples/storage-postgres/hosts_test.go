package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/deis/logger/sdk"
)

// TestHosts: several hosts that start at the same moment on an empty database, each with batches
// for the same apps in an order of its own, store every line once, and none of them fails.
func TestHosts(t *testing.T) {
	t.Parallel()
	const hosts, batches, each, kept = 6, 20, 5, 200
	set := sharedServer(t).settings()
	set.Lines = kept
	apps := []string{"a", "b", "c", "d"}
	var all []again
	for range hosts {
		all = append(all, openAt(t, set))
	}
	var running sync.WaitGroup
	for host, s := range all {
		running.Go(func() {
			for n := range batches {
				b := sdk.Batch{ID: sdk.BatchID{Writer: fmt.Sprint("host-", host), Sequence: uint64(n + 1)}}
				for _, i := range rand.Perm(len(apps)) {
					first := n*each + 1
					b.Apps = append(b.Apps, sdk.AppEntries{App: apps[i], Entries: numbered(first, first+each-1)})
				}
				for range 1 + rand.IntN(2) { // an answer that got lost: the batch comes again
					if err := s.Append(bounded(time.Minute), b); err != nil {
						t.Errorf("host %d: %v", host, err)
						return
					}
				}
				if err := s.Delete(bounded(time.Minute), fmt.Sprint("other-", n%3)); err != nil {
					t.Errorf("host %d: %v", host, err)
				}
				other := batch(fmt.Sprint("other-", host), uint64(n+1), fmt.Sprint("other-", n%3), numbered(n, n)...)
				if err := s.Append(bounded(time.Minute), other); err != nil {
					t.Errorf("host %d: %v", host, err)
				}
			}
		})
	}
	running.Wait()
	for _, app := range apps {
		page, err := sdk.ReadFiltered(t.Context(), all[0], sdk.ReadOptions{App: app, Limit: -1})
		if err != nil || page.Last != hosts*batches*each {
			t.Fatalf("app %s: %d lines arrived (%v), want %d", app, page.Last, err, hosts*batches*each)
		}
		// Each line comes from every host. The newest are kept, in the order of publishing.
		var want []string
		for _, text := range texts(1, batches*each) {
			want = append(want, slices.Repeat([]string{text}, hosts)...)
		}
		want = want[len(want)-kept:]
		var got []string
		for i := range page.Entries {
			got = append(got, page.Entries[i].Message)
		}
		if !slices.Equal(got, want) {
			t.Errorf("app %s: %d lines are kept, or others than the newest, or in another order", app, len(got))
		}
	}
	totals, err := all[1].Totals(t.Context())
	infos, err2 := all[1].Apps(t.Context(), "", 0)
	if err != nil || err2 != nil {
		t.Fatal(err, err2)
	}
	var sum sdk.Totals
	for _, info := range infos {
		sum.Apps, sum.Entries, sum.Bytes = sum.Apps+1, sum.Entries+info.Entries, sum.Bytes+info.Bytes
	}
	if stored := uint64(hosts * batches * (each*len(apps) + 1)); totals.Apps != sum.Apps || totals.Entries != sum.Entries ||
		totals.Bytes != sum.Bytes || totals.Stored != stored {
		t.Errorf("totals are %+v, want %+v, and %d stored", totals, sum, stored)
	}
}

// TestFewerLines: a log that was kept longer is trimmed bit by bit, before the plugin is ready.
func TestFewerLines(t *testing.T) {
	t.Parallel()
	set := sharedServer(t).settings()
	set.Lines = 100_000
	s := openAt(t, set)
	const first, step = 1, 2500
	for n := range 10 {
		appendUntil(t, s, batch("w", uint64(n+1), "foo", numbered(first+n*step, (n+1)*step)...))
	}
	set.Lines = 7
	less := openAt(t, set)
	eventually(t, "it is trimmed", func() error { return less.Check(t.Context()) })
	var rows int
	err := less.pool.QueryRow(t.Context(), `SELECT count(*) FROM entries`).Scan(&rows)
	info, err2 := less.App(t.Context(), "foo")
	if err != nil || err2 != nil || rows != 7 || info.Entries != 7 || info.Last != 10*step {
		t.Errorf("%d rows, %+v (%v, %v), want 7 entries", rows, info, err, err2)
	}
}

// TestRetention: an app that got no line for long is gone, counted and told to its followers.
func TestRetention(t *testing.T) {
	t.Parallel()
	set := sharedServer(t).settings()
	set.Retention = sdk.Duration(time.Hour)
	s := openAt(t, set)
	appendUntil(t, s, batch("w", 1, "old", numbered(1, 2)...))
	appendUntil(t, s, batch("w", 2, "new", numbered(1, 3)...))
	appendUntil(t, s, batch("w", 3, "busy", numbered(1, 4)...))
	if _, err := s.pool.Exec(t.Context(), `UPDATE logs SET appended = appended - interval '3601 s' WHERE app <> 'new'`); err != nil {
		t.Fatal(err)
	}
	gone := make(chan sdk.Page, 1)
	go func() {
		at, _ := s.Read(t.Context(), sdk.ReadOptions{App: "old"})
		_ = s.Follow(t.Context(), "old", at.End(), func(page sdk.Page) error {
			gone <- page
			return t.Context().Err()
		})
	}()
	// Another host appends to one of them just now.
	tx, err := s.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM logs WHERE app = 'busy' FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	eventually(t, "somebody follows", func() error {
		if len(s.followers.Names()) == 0 {
			return pgx.ErrNoRows
		}
		return nil
	})
	if err := s.forgetOld(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	infos, err := s.Apps(t.Context(), "", 0)
	if err != nil || len(infos) != 2 || infos[0].App != "busy" || infos[1].App != "new" {
		t.Errorf("apps: %+v, %v", infos, err)
	}
	totals, err := s.Totals(t.Context())
	if err != nil || totals.Apps != 2 || totals.Entries != 7 || totals.Evicted != 2 || totals.Bytes != infos[0].Bytes+infos[1].Bytes {
		t.Errorf("totals: %+v, %v", totals, err)
	}
	select {
	case page := <-gone:
		if page.Epoch != 0 {
			t.Errorf("the follower is told of epoch %d", page.Epoch)
		}
	case <-time.After(time.Minute):
		t.Error("the follower is told of nothing")
	}
}

// TestInspect: a plugin that is only looked at makes no tables.
func TestInspect(t *testing.T) {
	t.Parallel()
	set := sharedServer(t).settings()
	s, err := open(t.Context(), set, sdk.Host{Inspect: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.(*storage).Close() }()
	if err := s.(*storage).Check(t.Context()); err != nil {
		t.Error(err)
	}
	var made bool
	err = s.(*storage).pool.QueryRow(t.Context(), `SELECT to_regnamespace($1) IS NOT NULL`, pgx.Identifier{set.Schema}.Sanitize()).Scan(&made)
	if err != nil || made {
		t.Errorf("made: %v, %v", made, err)
	}
}

// TestOtherEncoding: a database that cannot write most texts keeps them all the same.
func TestOtherEncoding(t *testing.T) {
	t.Parallel()
	server := sharedServer(t)
	server.do(t, `CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0`)
	set := server.settings()
	set.URL = fmt.Sprintf("postgres://logger@127.0.0.1:%d/latin?sslmode=disable", server.port)
	set.Schema = "logger"
	s := openAt(t, set)
	entries := numbered(1, 4)
	for i, text := range []string{"a\x00b", "漢字 👩‍👩‍👧‍👦 \U0010ffff", "not UTF-8: \xff\xc3", `\x41 \\ '`} {
		entries[i].Message, entries[i].Pod = text, text
	}
	appendUntil(t, s, batch("w", 1, "foo", entries...))
	page, err := s.Read(t.Context(), sdk.ReadOptions{App: "foo", Limit: -1})
	if err != nil || len(page.Entries) != len(entries) {
		t.Fatalf("%d entries, %v", len(page.Entries), err)
	}
	for i, e := range page.Entries {
		if e.Message != entries[i].Message || e.Pod != entries[i].Pod {
			t.Errorf("got %q and %q, want %q", e.Message, e.Pod, entries[i].Message)
		}
	}
}
