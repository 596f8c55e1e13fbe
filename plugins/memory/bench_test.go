package memory

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/deis/logger/sdk"
)

// line returns an entry as the platform's apps print them, with a message of 200 bytes.
func line(i int) sdk.Entry {
	at := time.Date(2016, 10, 18, 20, 29, 38, 123456000, time.UTC).Add(time.Duration(i) * time.Millisecond)
	message := fmt.Sprintf("10.164.1.1 GET / - %d ", i)
	return sdk.Entry{
		Time: at, Published: at.Add(time.Millisecond), Source: sdk.SourceApp, Process: "web", Release: "v2",
		Pod: "foo-web-845861952-nzf60", Stream: "stdout", Host: "node-10ye",
		Message: message + strings.Repeat(".", 200-len(message)),
	}
}

// ownBytes returns the size of an entry without any storage's overhead: its texts, twelve bytes for
// its time, and eight for its publish time.
func ownBytes(e sdk.Entry) int {
	return len(e.Message) + len(e.Process) + len(e.Release) + len(e.Pod) + len(e.Stream) + len(e.Host) + 12 + 8
}

// benchBatches returns batches of size entries for so many apps, with perApp consecutive entries of
// each.
func benchBatches(apps, size, perApp int) []sdk.Batch {
	var out []sdk.Batch
	n := 0
	for first := 0; first < apps; {
		var b sdk.Batch
		for len(b.Apps)*perApp < size && first < apps {
			group := sdk.AppEntries{App: fmt.Sprintf("app-%d", first)}
			for range perApp {
				group.Entries = append(group.Entries, line(n))
				n++
			}
			b.Apps = append(b.Apps, group)
			first++
		}
		out = append(out, b)
	}
	return out
}

// republish moves the batches' publish times by a duration, so that another round is not late.
func republish(batches []sdk.Batch, by time.Duration) {
	for _, batch := range batches {
		for _, app := range batch.Apps {
			for i := range app.Entries {
				app.Entries[i].Published = app.Entries[i].Published.Add(by)
			}
		}
	}
}

func openBench(b *testing.B, lines int, budget sdk.Bytes) *storage {
	b.Helper()
	s, err := Open(b.Context(), Settings{Lines: lines, Budget: budget}, sdk.Host{StateDir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.(*storage).Close() })
	return s.(*storage)
}

// cpuTime returns the processor time that this process has used, in nanoseconds. On a busy machine,
// it tells more than the clock.
func cpuTime(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

// appending returns a function that publishes the batches anew and appends them, and the number of
// entries that it appended.
func appending(b *testing.B, s *storage, batches []sdk.Batch) (round func(), entries *int) {
	entries = new(int)
	sequence := uint64(0)
	return func() {
		republish(batches, time.Minute)
		for _, batch := range batches {
			sequence++
			batch.ID = sdk.BatchID{Writer: "bench", Sequence: sequence}
			if err := s.Append(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			*entries += batch.Len()
		}
	}, entries
}

// measure repeats round, which counts the entries that it appends, and reports the processor time
// per entry. Rounds that ran before do not count.
func measure(b *testing.B, round func(), entries *int) {
	b.Helper()
	*entries = 0
	before := cpuTime(b)
	for b.Loop() {
		round()
	}
	b.ReportMetric((cpuTime(b)-before)/float64(*entries), "cpu-ns/entry")
}

// BenchmarkAppendLengths measures appends per entry, for messages of several lengths, in 50 full
// logs.
func BenchmarkAppendLengths(b *testing.B) {
	for _, length := range []int{50, 200, 2 << 10, 20 << 10} {
		b.Run(fmt.Sprintf("length=%d", length), func(b *testing.B) {
			s := openBench(b, 100, 256<<20)
			batches := benchBatches(50, 250, 5)
			for _, batch := range batches {
				for _, app := range batch.Apps {
					for i := range app.Entries {
						app.Entries[i].Message = strings.Repeat("x", length)
					}
				}
			}
			round, entries := appending(b, s, batches)
			for range 30 {
				round()
			}
			b.ReportAllocs()
			measure(b, round, entries)
		})
	}
}

// BenchmarkAppend measures appends per entry. The logs are full, so each append trims.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct{ apps, size, perApp int }{
		{10, 256, 1}, {10, 256, 25}, {50, 256, 5}, {100, 256, 5}, {1000, 256, 5}, {10_000, 256, 1}, {1, 1000, 1000},
	} {
		b.Run(fmt.Sprintf("apps=%d/group=%d", c.apps, c.perApp), func(b *testing.B) {
			s := openBench(b, 1000, 256<<20)
			batches := benchBatches(c.apps, c.size, c.perApp)
			round, entries := appending(b, s, batches)
			for i := 0; i < 1000 && *entries < 600_000; i++ {
				round()
			}
			b.ReportAllocs()
			measure(b, round, entries)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(*entries), "ns/entry")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkAppendLate measures appends per entry. A third of the batches is on time, a third 10 s
// late, and a third 20 s late.
func BenchmarkAppendLate(b *testing.B) {
	s := openBench(b, 1000, 256<<20)
	batches := benchBatches(50, 250, 5)
	republish(batches, time.Hour)
	sequence, entries := uint64(0), 0
	round := func() {
		sequence++
		late := -time.Duration(sequence%3) * 10 * time.Second
		republish(batches, time.Second+late)
		for _, batch := range batches {
			batch.ID = sdk.BatchID{Writer: "bench", Sequence: sequence}
			if err := s.Append(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
			entries += batch.Len()
		}
		republish(batches, -late)
	}
	for range 1000 {
		round()
	}
	for _, l := range s.logs {
		if len(l.runs) != 3 {
			b.Fatalf("%q has %d runs, want 3", l.name, len(l.runs))
		}
	}
	measure(b, round, &entries)
}

func BenchmarkRead(b *testing.B) {
	s := openBench(b, 1000, 256<<20)
	for i, batch := range benchBatches(50, 256, 1) {
		for range 1000 {
			republish([]sdk.Batch{batch}, time.Minute)
			batch.ID = sdk.BatchID{Writer: fmt.Sprint("bench", i), Sequence: batch.ID.Sequence + 1}
			if err := s.Append(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
		}
	}
	for _, limit := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("limit=%d", limit), func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for i := 0; b.Loop(); i++ {
				page, err := s.Read(b.Context(), sdk.ReadOptions{App: fmt.Sprintf("app-%d", i%50), Limit: limit})
				if err != nil || len(page.Entries) != limit {
					b.Fatal(len(page.Entries), err)
				}
				n += limit
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/entry")
		})
	}
}

// BenchmarkKept measures how much memory of the arena a kept entry takes, as a multiple of its own
// bytes. All blocks in use count.
func BenchmarkKept(b *testing.B) {
	for _, c := range []struct{ apps, perApp, lines int }{{50, 1, 1000}, {50, 20, 1000}, {1000, 1, 100}, {10_000, 1, 15}} {
		b.Run(fmt.Sprintf("apps=%d/group=%d/lines=%d", c.apps, c.perApp, c.lines), func(b *testing.B) {
			for b.Loop() {
				s := openBench(b, c.lines, 256<<20)
				round, _ := appending(b, s, benchBatches(c.apps, 256, c.perApp))
				for range 2*c.lines/c.perApp + 3 {
					round()
				}
				kept := 0
				for _, l := range s.logs {
					kept += l.kept
				}
				if kept != c.apps*c.lines {
					b.Fatalf("%d entries are kept, want %d", kept, c.apps*c.lines)
				}
				used := (int(s.arena.blocks) - len(s.arena.free)) * blockSize
				b.ReportMetric(float64(used)/float64(kept)/float64(ownBytes(line(1))), "×own")
				b.ReportMetric(float64(used)/float64(kept), "B/entry")
			}
		})
	}
}

// BenchmarkSearch reads 100,000 entries (25 MB) through two filters: one that passes nothing, and
// one that passes the newest 1,000.
func BenchmarkSearch(b *testing.B) {
	const n = 100_000
	s := openBench(b, n, 256<<20)
	batches := benchBatches(1, n, n)
	batches[0].ID = sdk.BatchID{Writer: "bench", Sequence: 1}
	if err := s.Append(b.Context(), batches[0]); err != nil {
		b.Fatal(err)
	}
	for name, c := range map[string]struct {
		filter sdk.Filter
		want   int
	}{
		"text":  {sdk.Filter{Include: []string{"no line has this"}}, 0},
		"since": {sdk.Filter{Since: line(n - 1000).Time}, 1000},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			before := cpuTime(b)
			for b.Loop() {
				found := 0
				for opts := (sdk.ReadOptions{App: "app-0", Limit: 5000, Filter: c.filter}); ; {
					page, err := sdk.ReadFiltered(b.Context(), s, opts)
					if err != nil {
						b.Fatal(err)
					}
					found += len(page.Entries)
					if opts.Before = page.Next; !page.More {
						break
					}
				}
				if found != c.want {
					b.Fatalf("%d entries pass, want %d", found, c.want)
				}
			}
			b.ReportMetric((cpuTime(b)-before)/float64(b.N)/1e6, "cpu-ms/op")
		})
	}
}

// BenchmarkOpen opens a full store of 256 MiB.
func BenchmarkOpen(b *testing.B) {
	s := openBench(b, 100_000, 256<<20)
	for i, batch := range benchBatches(50, 1_000_000, 20_000) {
		batch.ID = sdk.BatchID{Writer: "bench", Sequence: uint64(i + 1)}
		if err := s.Append(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	data := s.arena.mapping.data[:uint64(s.arena.blocks)*blockSize]
	before := cpuTime(b)
	for b.Loop() {
		again, err := newStorage(onHeap(data, int64(len(data))), 100_000, hclog.NewNullLogger())
		if err != nil || again.entries != s.entries {
			b.Fatal(again.entries, s.entries, err)
		}
	}
	b.ReportMetric((cpuTime(b)-before)/float64(b.N)/1e6, "cpu-ms/op")
	b.ReportMetric(float64(s.entries), "entries")
}

// BenchmarkApps lists 40,000 apps.
func BenchmarkApps(b *testing.B) {
	s := openBench(b, 1000, 256<<20)
	for i, batch := range benchBatches(40_000, 1000, 1) {
		batch.ID = sdk.BatchID{Writer: "bench", Sequence: uint64(i + 1)}
		if err := s.Append(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		n := 0
		for after := ""; ; {
			infos, err := s.Apps(b.Context(), after, 0)
			if err != nil {
				b.Fatal(err)
			}
			if len(infos) == 0 {
				break
			}
			n, after = n+len(infos), infos[len(infos)-1].App
		}
		if n != 40_000 {
			b.Fatalf("%d apps", n)
		}
	}
}
