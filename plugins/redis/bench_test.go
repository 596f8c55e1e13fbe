package redis

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/sdk"
)

// These benchmarks compare ways to keep a log in Redis, for docs/adr/0004. All of
// them do what append.lua does (once per batch, trimmed to 1000, exact positions)
// and take the same arguments, so that only the kind of key differs. They report the
// processor time of Redis too: on a busy machine it says more than the clock.

// preamble is what the scripts of the other kinds have in common: the arguments of
// append.lua, the check of the writer's mark, and the position of the last entry.
const preamble = `
local head, keep, count = 6, tonumber(ARGV[1]), #ARGV - 6
local state = redis.call('GET', KEYS[1])
local at = state and string.find(state, ARGV[3], 68, true)
if at and string.sub(state, at - 30, at - 1) >= ARGV[4] then return 0 end
local epoch, last = ARGV[2], 0
if state then epoch, last = string.sub(state, 1, 20), tonumber(string.sub(state, 21, 36)) end
`

const postamble = `
redis.call('SET', KEYS[1], epoch .. string.format('%016.0f\n', last + count) .. ARGV[4] .. ARGV[3])
return 1
`

// layouts are the kinds that are compared. The entry at position p of a stream has
// the id p-0, of a sorted set the score p.
var layouts = []struct {
	name, append string
	// newest makes the command that answers the newest n.
	newest func(ctx context.Context, p redis.Pipeliner, key string, n int)
}{
	{
		name:   "list",
		append: appendSource,
		newest: func(ctx context.Context, p redis.Pipeliner, key string, n int) {
			p.LRange(ctx, key, -int64(n), -1)
		},
	},
	{
		name: "stream",
		append: preamble + `
for i = 1, count do
  redis.call('XADD', KEYS[2], 'MAXLEN', '=', keep, string.format('%.0f-0', last + i), 'e', ARGV[head + i])
end` + postamble,
		newest: func(ctx context.Context, p redis.Pipeliner, key string, n int) {
			p.XRevRangeN(ctx, key, "+", "-", int64(n))
		},
	},
	{
		name: "stream-approximate",
		append: preamble + `
for i = 1, count do
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', keep, string.format('%.0f-0', last + i), 'e', ARGV[head + i])
end` + postamble,
		newest: func(ctx context.Context, p redis.Pipeliner, key string, n int) {
			p.XRevRangeN(ctx, key, "+", "-", int64(n))
		},
	},
	{
		name: "sortedset", // its members are unique, so the position is part of them
		append: preamble + `
local args = {}
for i = 1, count do
  local at = string.format('%.0f', last + i)
  args[2 * i - 1], args[2 * i] = at, at .. ' ' .. ARGV[head + i]
end
redis.call('ZADD', KEYS[2], unpack(args))
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', last + count - keep)` + postamble,
		newest: func(ctx context.Context, p redis.Pipeliner, key string, n int) {
			p.ZRange(ctx, key, -int64(n), -1)
		},
	},
}

const benchApps = 50

// benchBatch has as many entries as lines, spread over the apps, of 200 bytes.
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

// cpu is the processor time that Redis has used, in seconds.
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

// ownCPU is the processor time that this process has used, in seconds.
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
		batch.ID.Sequence++
		if err := s.Append(b.Context(), *batch); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppend appends batches of the size that a busy host makes, and small ones.
func BenchmarkAppend(b *testing.B) {
	for _, layout := range layouts {
		for _, length := range []int{50, 500} {
			for _, lines := range []int{50, 500, 1000, 2000, 2500} {
				b.Run(fmt.Sprintf("%s/pipeline=%d/batch=%d", layout.name, length, lines), func(b *testing.B) {
					server := redistest.Start(b)
					s := open(b, server, func(s *Settings) { s.PipelineLength = length })
					s.appendScript = redis.NewScript(layout.append)
					batch := benchBatch(lines, benchApps)
					fill(b, s, &batch)
					before, ownBefore := cpu(b, server), ownCPU(b)
					b.ReportAllocs()
					n := 0
					for b.Loop() {
						batch.ID.Sequence++
						if err := s.Append(b.Context(), batch); err != nil {
							b.Fatal(err)
						}
						n += lines
					}
					b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "lines/s")
					b.ReportMetric((ownCPU(b)-ownBefore)/float64(n)*1e6, "own-s/Mline")
					b.ReportMetric((cpu(b, server)-before)/float64(n)*1e6, "redis-s/Mline")
				})
			}
		}
	}
}

// BenchmarkNewest reads the newest entries of an app that has 1000: the bare reply
// for each layout, and ours with all that makes it a page.
func BenchmarkNewest(b *testing.B) {
	for _, layout := range layouts {
		server := redistest.Start(b)
		s := open(b, server)
		s.appendScript = redis.NewScript(layout.append)
		batch := benchBatch(2500, benchApps)
		fill(b, s, &batch)
		key := linesKey("app-7")
		bytes, err := s.client.MemoryUsage(b.Context(), key, 0).Result()
		if err != nil {
			b.Fatal(err)
		}
		entry := len(appendEntry(nil, &batch.Apps[7].Entries[0]))
		for _, n := range []int{100, 1000} {
			run := func(name string, read func() error) {
				b.Run(fmt.Sprintf("%s/n=%d", name, n), func(b *testing.B) {
					before := cpu(b, server)
					calls := 0
					for b.Loop() {
						if err := read(); err != nil {
							b.Fatal(err)
						}
						calls++
					}
					b.ReportMetric((cpu(b, server)-before)/float64(calls)*1e6, "redis-µs/op")
					b.ReportMetric(float64(bytes)/1000-float64(entry), "overhead-B/line")
				})
			}
			run(layout.name, func() error {
				_, err := s.client.Pipelined(b.Context(), func(p redis.Pipeliner) error {
					layout.newest(b.Context(), p, key, n)
					return nil
				})
				return err
			})
			if layout.name != "list" {
				continue
			}
			newest, err := s.Read(b.Context(), sdk.ReadOptions{App: "app-7", Limit: n})
			if err != nil {
				b.Fatal(err)
			}
			behind := newest.Cursor(-1) // just before the newest n
			run("Read-after", func() error {
				page, err := s.Read(b.Context(), sdk.ReadOptions{App: "app-7", Limit: -1, After: behind})
				if err == nil && len(page.Entries) != n {
					err = fmt.Errorf("%d entries", len(page.Entries))
				}
				return err
			})
			run("Read-nothing", func() error {
				_, err := s.Read(b.Context(), sdk.ReadOptions{App: "app-7", Limit: -1, After: newest.End()})
				return err
			})
			run("Read", func() error {
				page, err := s.Read(b.Context(), sdk.ReadOptions{App: "app-7", Limit: n})
				if err == nil && len(page.Entries) != n {
					err = fmt.Errorf("%d entries", len(page.Entries))
				}
				return err
			})
		}
	}
}
