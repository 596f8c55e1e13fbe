package plugin

import (
	"context"
	"sync/atomic"
	"time"
)

const (
	// largeAppend is the number of entries that makes an append give way to reads. An append of
	// that size works off a backlog, so nobody waits for just its lines.
	largeAppend = 256
	// patience bounds how long an append waits for reads: so many times as long as the last append
	// took. So even if reads never end, appends get a third of the time.
	patience = 2
	// mostPatience bounds that wait.
	mostPatience = 20 * time.Millisecond
)

// rightOfWay lets large appends give way to reads, which otherwise wait several times for a
// processor while a backlog is worked off.
type rightOfWay struct {
	reading atomic.Int64 // reads that are under way
	took    atomic.Int64 // nanoseconds that the last append took
}

// read counts a read until the caller calls done.
func (r *rightOfWay) read() (done func()) {
	r.reading.Add(1)
	return func() { r.reading.Add(-1) }
}

// append waits until no read is under way or its patience is over, if the append has largeAppend
// entries. The caller calls done when the append has returned.
func (r *rightOfWay) append(ctx context.Context, entries int) (done func()) {
	if entries >= largeAppend {
		end := time.Now().Add(min(patience*time.Duration(r.took.Load()), mostPatience))
		for r.reading.Load() > 0 && ctx.Err() == nil && time.Now().Before(end) {
			time.Sleep(time.Millisecond)
		}
	}
	began := time.Now()
	return func() { r.took.Store(int64(time.Since(began))) }
}
