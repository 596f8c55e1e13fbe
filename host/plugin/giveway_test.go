package plugin

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
)

// TestLargeAppendsGiveWayToReads: they wait for reads under way, in proportion to the time that
// appends take.
func TestLargeAppendsGiveWayToReads(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		entries          int
		took, read, want time.Duration
	}{
		"no reads":                {largeAppend, 5 * ms, 0, 0},
		"a read that ends":        {largeAppend, 5 * ms, 2500 * time.Microsecond, 3 * ms},
		"a read that does not":    {largeAppend, 5 * ms, time.Hour, 10 * ms},
		"an append that took 1 s": {largeAppend, time.Second, time.Hour, mostPatience},
		"the first append":        {largeAppend, 0, time.Hour, 0},
		"a small append":          {largeAppend - 1, 5 * ms, time.Hour, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r rightOfWay
				done := r.append(t.Context(), 1)
				time.Sleep(c.took)
				done()
				if c.read > 0 {
					time.AfterFunc(c.read, r.read())
				}
				began := time.Now()
				r.append(t.Context(), c.entries)()
				if waited := time.Since(began); waited != c.want {
					t.Errorf("waited %s, want %s", waited, c.want)
				}
			})
		})
	}
	t.Run("a caller that leaves", func(t *testing.T) {
		var r rightOfWay
		r.took.Store(int64(time.Hour))
		r.read()
		ctx, leave := context.WithCancel(t.Context())
		leave()
		r.append(ctx, largeAppend)()
	})
}

// TestReadsHaveTheRightOfWay while the plugin answers them.
func TestReadsHaveTheRightOfWay(t *testing.T) {
	s, _ := supervise(t, testOptions(t, install(t, sdk.StorageKind, "toy", "liar"), nil))
	wait(t, s)
	storage := NewStorage(s)
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { // ends with the test
		_, err := storage.Read(ctx, sdk.ReadOptions{App: "hangs", Limit: 1})
		ended <- err
	}()
	testwait.Within(t, 20*time.Second, "a read is under way", func() bool { return storage.way.reading.Load() == 1 })
	leave()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if n := storage.way.reading.Load(); n != 0 {
		t.Errorf("%d reads are under way", n)
	}
}
