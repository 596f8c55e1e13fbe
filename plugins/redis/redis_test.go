package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/deis/logger/internal/redistest"
	"github.com/deis/logger/internal/testwait"
	"github.com/deis/logger/sdk"
	"github.com/deis/logger/sdk/storagetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	storagetest.Run(t, func(t *testing.T, lines int) sdk.Storage {
		server.MustDo("FLUSHALL")
		return open(t, server, func(s *Settings) { s.Lines = lines })
	})
}

// TestConformanceCluster runs the suite on a node in cluster mode that has all slots. Such a node
// refuses a command or script whose keys are in several slots.
func TestConformanceCluster(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, "--cluster-enabled", "yes")
	server.MustDo("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	testwait.NoError(t, func() error {
		_, err := server.Do("SET", "key", "value")
		return err
	})
	storagetest.Run(t, func(t *testing.T, lines int) sdk.Storage {
		server.MustDo("FLUSHALL")
		return open(t, server, func(s *Settings) { s.Lines, s.Mode = lines, cluster })
	})
	server.MustDo("FLUSHALL")
	s := open(t, server)
	err := s.Append(t.Context(), wide(1, 1, 2))
	if wantUnavailable(t, s, err); !contains(err.Error(), "LOGGER_REDIS_MODE=cluster") {
		t.Errorf("as a Redis of its own it says %v", err)
	}
}

// TestConformanceShortPipelines runs the suite with every batch in many pipelines.
func TestConformanceShortPipelines(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	storagetest.Run(t, func(t *testing.T, lines int) sdk.Storage {
		server.MustDo("FLUSHALL")
		return open(t, server, func(s *Settings) { s.Lines, s.PipelineLength, s.PipelineTimeout = lines, 2, 0 })
	})
}

// open makes a storage on the server, with the default settings as modified by change.
func open(tb testing.TB, server *redistest.Server, change ...func(*Settings)) *storage {
	tb.Helper()
	settings, err := sdk.LoadSettings[Settings](func(string) (string, bool) { return "", false })
	if err != nil {
		tb.Fatal(err)
	}
	settings.Host, settings.Port = server.Host, server.Port
	for _, f := range change {
		f(&settings)
	}
	return openWith(tb, settings, sdk.Host{})
}

func openWith(tb testing.TB, settings Settings, host sdk.Host) *storage {
	tb.Helper()
	opened, err := Open(context.Background(), settings, host)
	if err != nil {
		tb.Fatal(err)
	}
	s := opened.(*storage)
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// batch returns a batch of one app, whose messages are the numbers from first to last.
func batch(writer string, sequence uint64, app string, first, last int) sdk.Batch {
	return sdk.Batch{
		ID:   sdk.BatchID{Writer: writer, Sequence: sequence},
		Apps: []sdk.AppEntries{{App: app, Entries: numbered(first, last)}},
	}
}

func numbered(first, last int) []sdk.Entry {
	var entries []sdk.Entry
	for i := first; i <= last; i++ {
		entries = append(entries, sdk.Entry{Time: time.Unix(int64(i), 0).UTC(), Published: time.Unix(int64(i), 5).UTC(), Message: fmt.Sprint(i)})
	}
	return entries
}

func mustAppend(tb testing.TB, s *storage, b sdk.Batch) {
	tb.Helper()
	if err := s.Append(context.Background(), b); err != nil {
		tb.Fatal(err)
	}
}

// readAll reads all kept entries of the app.
func readAll(tb testing.TB, s *storage, app string) sdk.Page {
	tb.Helper()
	page, err := s.Read(context.Background(), sdk.ReadOptions{App: app, Limit: -1})
	if err != nil {
		tb.Fatal(err)
	}
	return page
}

// want checks that the app has exactly the entries from first to last, the first of them at that
// position.
func want(tb testing.TB, s *storage, app string, position uint64, first, last int) sdk.Page {
	tb.Helper()
	page := readAll(tb, s, app)
	entries := numbered(first, last)
	if len(page.Entries) != len(entries) {
		tb.Fatalf("%s: %d entries, want %d", app, len(page.Entries), len(entries))
	}
	for i, e := range page.Entries {
		entries[i].Position = position + uint64(i)
		if e != entries[i] {
			tb.Fatalf("%s: entry %d is %+v, want %+v", app, i, e, entries[i])
		}
	}
	return page
}

// wantUnavailable checks that the error is [sdk.ErrUnavailable] and names the server.
func wantUnavailable(tb testing.TB, s *storage, err error) {
	tb.Helper()
	if !errors.Is(err, sdk.ErrUnavailable) {
		tb.Fatalf("error is %v, want one that wraps %v", err, sdk.ErrUnavailable)
	}
	if text := err.Error(); !contains(text, s.name) {
		tb.Errorf("error %q does not name %s", text, s.name)
	}
}

// pipelines records how many entries each pipeline of a client carries.
type pipelines struct {
	// after runs after each pipeline with entries. It gets the pipeline's error and returns the
	// error that the client sees.
	after func(err error) error

	mu      sync.Mutex
	carried []int
}

func watch(s *storage) *pipelines {
	w := &pipelines{}
	s.client.AddHook(w)
	return w
}

func (w *pipelines) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (w *pipelines) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (w *pipelines) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		entries := 0
		for _, c := range commands {
			for _, arg := range c.Args() {
				if b, ok := arg.(*block); ok {
					entries += b.entries
				}
			}
		}
		err := next(ctx, commands)
		if entries == 0 {
			return err
		}
		if errors.Is(err, redis.Nil) { // counts as a reply
			err = nil
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.carried = append(w.carried, entries)
		if w.after != nil {
			if err = w.after(err); err != nil {
				for _, c := range commands {
					c.SetErr(err)
				}
			}
		}
		return err
	}
}

// sent returns the number of entries of each pipeline so far, and forgets them.
func (w *pipelines) sent() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	sent := w.carried
	w.carried = nil
	return sent
}
