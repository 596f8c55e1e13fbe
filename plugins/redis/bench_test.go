package redis

import (
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/sdk"
)

// These benchmarks also report the processor time of Redis, which tells more than the clock on a
// busy machine. docs/adr/0004, 0015 and 0016 tell the cost of other ways to keep a log.

const benchApps = 50

// benchBatch returns a batch of so many lines, spread over the apps, each of 200 bytes.
func benchBatch(lines, apps int) sdk.Batch {
	var batch sdk.Batch
	at := time.Date(2016, 10, 18, 20, 29, 38, 123456000, time.UTC)
	for i := range min(apps, lines) {
		app := sdk.AppEntries{App: fmt.Sprintf("app-%d", i)}
		for j := i; j < lines; j += apps {
			app.Entries = append(app.Entries, sdk.Entry{
				Time: at, Published: at.Add(time.Duration(j) * time.Millisecond), Source: sdk.SourceApp,
				Process: "web", Release: "v2", Pod: fmt.Sprintf("app-%d-web-845861952-nzf60", i),
				Stream: "stdout", Host: "10.128.0.17", Message: strings.Repeat("x", 200),
			})
		}
		batch.Apps = append(batch.Apps, app)
	}
	batch.ID.Writer = "0123456789abcdef0123456789abcdef"
	return batch
}

// next turns the batch into another one that was published later.
func next(batch *sdk.Batch) {
	batch.ID.Sequence++
	for _, app := range batch.Apps {
		for i := range app.Entries {
			app.Entries[i].Published = app.Entries[i].Published.Add(3 * time.Second)
		}
	}
}

// cpu returns the processor time that Redis has used, in seconds.
func cpu(b *testing.B, server *redistest.Server) (seconds float64) {
	b.Helper()
	for line := range strings.Lines(server.MustDo("INFO", "cpu")) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if key == "used_cpu_user" || key == "used_cpu_sys" {
			x, err := strconv.ParseFloat(value, 64)
			if err != nil {
				b.Fatal(err)
			}
			seconds += x
		}
	}
	return seconds
}

// ownCPU returns the processor time that this process has used, in seconds.
func ownCPU(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// fill appends batches until every app has its 1000 lines.
func fill(b *testing.B, s *storage, batch *sdk.Batch) {
	b.Helper()
	for n := 0; n <= 1100*benchApps; n += batch.Len() {
		next(batch)
		if err := s.Append(b.Context(), *batch); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppend appends batches of the size that a busy host makes, and small ones. With slots,
// Redis runs as in a cluster.
func BenchmarkAppend(b *testing.B) {
	for _, slots := range []bool{false, true} {
		for _, length := range []int{50, 500} {
			for _, lines := range []int{50, 500, 1000, 2500} {
				b.Run(fmt.Sprintf("slots=%t/pipeline=%d/batch=%d", slots, length, lines), func(b *testing.B) {
					server := redistest.Start(b)
					s := open(b, server, func(s *Settings) { s.PipelineLength = length })
					s.slots.Store(slots)
					batch := benchBatch(lines, benchApps)
					fill(b, s, &batch)
					benchAppend(b, server, s, batch)
				})
			}
		}
	}
}

// BenchmarkAppendShortRuns appends batches in which each entry is of another app.
func BenchmarkAppendShortRuns(b *testing.B) {
	const lines = 1250
	server := redistest.Start(b)
	s := open(b, server)
	batch := benchBatch(lines, lines)
	for range 5 {
		next(&batch)
		mustAppend(b, s, batch)
	}
	benchAppend(b, server, s, batch)
}

func benchAppend(b *testing.B, server *redistest.Server, s *storage, batch sdk.Batch) {
	b.Helper()
	before, ownBefore := cpu(b, server), ownCPU(b)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		next(&batch)
		if err := s.Append(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		n += batch.Len()
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "lines/s")
	b.ReportMetric((ownCPU(b)-ownBefore)/float64(n)*1e6, "own-s/Mline")
	b.ReportMetric((cpu(b, server)-before)/float64(n)*1e6, "redis-s/Mline")
}

// BenchmarkRead reads entries of an app that has 1000: the newest, those after a cursor, and none.
func BenchmarkRead(b *testing.B) {
	server := redistest.Start(b)
	s := open(b, server)
	batch := benchBatch(2500, benchApps)
	fill(b, s, &batch)
	for _, n := range []int{100, 1000} {
		newest, err := s.Read(b.Context(), sdk.ReadOptions{App: "app-7", Limit: n})
		if err != nil {
			b.Fatal(err)
		}
		for name, opts := range map[string]sdk.ReadOptions{
			"newest":  {Limit: n},
			"after":   {Limit: -1, After: sdk.Cursor{Epoch: newest.Epoch, Position: newest.Entries[0].Position - 1}},
			"nothing": {Limit: n, After: newest.End()},
		} {
			opts.App = "app-7"
			b.Run(fmt.Sprintf("%s/n=%d", name, n), func(b *testing.B) {
				before := cpu(b, server)
				calls := 0
				for b.Loop() {
					if _, err := s.Read(b.Context(), opts); err != nil {
						b.Fatal(err)
					}
					calls++
				}
				b.ReportMetric((cpu(b, server)-before)/float64(calls)*1e6, "redis-µs/op")
			})
		}
	}
}

// BenchmarkSearch searches an app of 100,000 lines (25 MB): for a text that does not occur, and for
// the last 1000 lines by their time.
func BenchmarkSearch(b *testing.B) {
	const lines = 100_000
	server := redistest.Start(b)
	s := open(b, server, func(s *Settings) { s.Lines, s.PipelineTimeout = lines, 0 })
	batch := benchBatch(1000, 1)
	for range lines / 1000 {
		next(&batch)
		for i := range batch.Apps[0].Entries {
			batch.Apps[0].Entries[i].Time = batch.Apps[0].Entries[i].Published
		}
		mustAppend(b, s, batch)
	}
	since := batch.Apps[0].Entries[0].Time
	for name, filter := range map[string]sdk.Filter{"include": {Include: []string{"nowhere"}}, "since": {Since: since}} {
		b.Run(name, func(b *testing.B) {
			before := cpu(b, server)
			for b.Loop() {
				opts := sdk.ReadOptions{App: "app-0", Limit: 10_000, Filter: filter}
				for more, found := true, 0; more; {
					page, err := sdk.ReadFiltered(b.Context(), s, opts)
					if err != nil {
						b.Fatal(err)
					}
					found += len(page.Entries)
					if opts.Before, more = page.Next, page.More; !more && (found == 1000) != (name == "since") {
						b.Fatalf("%d entries were found", found)
					}
				}
			}
			b.ReportMetric((cpu(b, server)-before)/float64(b.N)*1e3, "redis-ms/op")
		})
	}
}
