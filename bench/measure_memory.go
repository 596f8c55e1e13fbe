package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/deis/logger/plugins/memory"
	"github.com/deis/logger/sdk"
)

// measureMemory measures the memory storage alone, by calling its code.
func measureMemory(ctx context.Context, r *rig) (err error) {
	dir, err := r.runDir()
	if err != nil {
		return err
	}
	storage, err := memory.Open(ctx, memory.Settings{Lines: keptLines, Budget: 256 << 20}, sdk.Host{StateDir: dir})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, storage.(io.Closer).Close(), os.RemoveAll(dir)) }()

	// A batch has five entries of each app, as on a busy host. There are more entries than are
	// kept, so every append also evicts.
	const perApp, rounds = 5, 2*keptLines/5 + 3
	start := time.Now()
	var appending time.Duration
	own := 0
	for round := range rounds {
		batch := entryBatch(round, perApp)
		begin := time.Now()
		if err := storage.Append(ctx, batch); err != nil {
			return err
		}
		if round >= rounds/2 { // the apps' logs are full
			appending += time.Since(begin)
		}
		own = ownBytes(batch.Apps[0].Entries[0])
	}
	if time.Since(start) > time.Minute {
		return fmt.Errorf("%d appends took %s", rounds, time.Since(start))
	}
	r.figures.add("memory", "append an entry", "ns", float64(appending.Nanoseconds())/float64((rounds-rounds/2)*apps*perApp))
	for _, limit := range []int{100, 1000} {
		perEntry, err := readEntries(ctx, storage, limit)
		if err != nil {
			return err
		}
		r.figures.add("memory", fmt.Sprintf("read an entry, %d at once", limit), "ns", perEntry)
	}
	totals, err := storage.(sdk.AppLister).Totals(ctx)
	if err != nil {
		return err
	}
	if totals.Entries != apps*keptLines {
		return fmt.Errorf("%d entries are kept, want %d", totals.Entries, apps*keptLines)
	}
	kept, inUse := float64(totals.Entries), float64(totals.Bytes)
	arena, err := fileBytes(dir)
	if err != nil {
		return err
	}
	r.figures.add("memory", "own bytes of an entry", "B", float64(own))
	r.figures.add("memory", "bytes kept of an entry", "B", inUse/kept)
	r.figures.add("memory", "bytes kept ÷ own bytes", ratio, inUse/kept/float64(own))
	r.figures.add("memory", "whole arena ÷ own bytes", ratio, float64(arena)/kept/float64(own))
	return nil
}

// entryBatch returns a batch with perApp entries of each app, whose texts have 200 bytes.
func entryBatch(round, perApp int) sdk.Batch {
	b := sdk.Batch{ID: sdk.BatchID{Writer: "bench", Sequence: uint64(round) + 1}}
	for app := range apps {
		a := sdk.AppEntries{App: appName(app)}
		for i := range perApp {
			n := round*perApp + i
			at := epoch.Add(time.Duration(n) * time.Millisecond)
			a.Entries = append(a.Entries, sdk.Entry{
				Time: at, Published: at.Add(time.Millisecond), Source: sdk.SourceApp, Process: "web", Release: "v2",
				Pod: "foo-web-845861952-nzf60", Container: "foo-web", Stream: "stdout", Host: "node-10ye",
				Message: text(n, lineBytes),
			})
		}
		b.Apps = append(b.Apps, a)
	}
	return b
}

// ownBytes returns the size of an entry without any storage's overhead: its texts, twelve bytes for
// its time with the zone, and eight for its publish time.
func ownBytes(e sdk.Entry) int {
	return len(e.Message) + len(e.Process) + len(e.Release) + len(e.Pod) + len(e.Container) + len(e.Stream) + len(e.Host) + 12 + 8
}

// readEntries returns how long reading takes, in nanoseconds for each entry.
func readEntries(ctx context.Context, storage sdk.Storage, limit int) (float64, error) {
	const total = 200_000
	start := time.Now()
	for i := range total / limit {
		page, err := storage.Read(ctx, sdk.ReadOptions{App: appName(i % apps), Limit: limit})
		if err != nil {
			return 0, err
		}
		if len(page.Entries) != limit || !strings.HasPrefix(page.Entries[0].Message, "10.164.1.") {
			return 0, fmt.Errorf("a read of %d entries answers %d", limit, len(page.Entries))
		}
	}
	return float64(time.Since(start).Nanoseconds()) / total, nil
}

func fileBytes(dir string) (sum int64, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return 0, err
		}
		sum += info.Size()
	}
	return sum, err
}
